"""A milestone's YAML: every mistake in it with its line and column, all of them at once."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from harness.config import MilestoneConfig, flat_layers
from harness.config_files import find, load, milestone_files
from harness.errors import ConfigError, Problem, UsageError
from tests.examples import NAMES, ROOT, SMALL, placed, refusal, small_config, small_file


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("lr: 1.0", "lr: ^-1", "training.lr: must be greater than 0, got -1"),
        ("lr: 1.0", "lr: ^0.0", "training.lr: must be greater than 0, got 0.0"),
        ("lr: 1.0", "lr: ^fast", "training.lr: must be a number, got 'fast'"),
        ("lr: 1.0", "lr: ^true", "training.lr: must be a number, got True"),
        ("lr: 1.0", "lr:^ ", "training.lr: must be a number, got None"),
        ("lr: 1.0", "lr: ^1e-3", "training.lr: is the text '1e-3', expected a number. YAML needs"),
        ("lr: 1.0", "lr: 1.0\n  ^learning_rate: 1.0", "training.learning_rate: unknown key."),
        ("lr: 1.0", "lr: 1.0\n  ^momentun: 0.9",
         "training.momentun: unknown key. Did you mean 'momentum'?"),
        ("lr: 1.0", "lr: 1.0\n  momentum: ^1", "training.momentum: must be less than 1, got 1"),
        ("lr: 1.0", "lr: 1.0\n  betas: ^[0.9]", "training.betas: "),
        ("epochs: 80", "epochs: ^0", "training.epochs: must be at least 1, got 0"),
        ("epochs: 80", "epochs: ^2.5", "training.epochs: must be a whole number, got 2.5"),
        ("epochs: 80", "epochs: ^'3'", "training.epochs: must be a whole number, got '3'"),
        ("epochs: 80", "epochs: ^012", "training.epochs: '012' may mean several numbers"),
        ("epochs: 80", "epochs: ^1:30", "training.epochs: '1:30' may mean several numbers"),
        ("title: Small", "title: ^no", "title: 'no' may mean a truth value"),
        ("title: Small", "title: ^1957", "title: must be text, got 1957"),
        ("title: Small", "title: ^''", "title: must not be empty"),
        ("title: Small", "title: Small\n^titel: Small",
         "titel: unknown key. Did you mean 'title'?"),
        ("year: 1986", "year: ^1850", "year: must be at least 1900, got 1850"),
        ("people: [Ada Lovelace]", "people: ^Ada", "people: must be a list, got 'Ada'"),
        ("people: [Ada Lovelace]", "people: [Ada, ^7]", "people[1]: must be text, got 7"),
        ("name: small", "name: ^Small Net",
         "name: must be lower-case letters, digits and _, got 'Small Net'"),
        ("  hidden:", "  ^Hidden:",
         "layers.Hidden: a label must be lower-case letters, digits and _, got 'Hidden'"),
        ("accuracy: 1.0", "accuracy: ^95", "targets.accuracy: must be at most 1, got 95"),
        ("accuracy: 1.0", "^acuracy: 1.0",
         "targets.acuracy: unknown key. Did you mean 'accuracy'?"),
        ("tensors: 4", "tensors: 4\n  ^tensors: 5",
         "expectations: the key 'tensors' stands here twice"),
        ("tensors: 4", "tensors: [hidden.weight, hidden.bias]\n  null_gradients:\n    "
         "^hidden.bia: because", "expectations.null_gradients.hidden.bia: 'hidden.bia' is not in "
         "tensors. Did you mean 'hidden.bias'?"),
        ("tensors: 4", "tensors: ^0", "expectations.tensors: "),
        ("tensors: 4", "tensors: ^all", "expectations.tensors: "),
        ("tensors: 4", "tensors: ^[a.weight, 3]", "expectations.tensors"),
        ("tensors: 4", "tensors: ^[a.weight, a.weight]", "expectations.tensors"),
        ("tensors: 4", "tensors: ^[]", "expectations.tensors"),
        ("training:", "training: ^3\nrest:",
         "training: must be a mapping of keys to values, got 3"),
    ],
)  # fmt: skip
def test_mistake_is_named_with_its_place(tmp_path: Path, old: str, new: str, message: str) -> None:
    _, place = placed(SMALL.replace(old, new))
    assert f"small.yaml:{place}: {message}" in refusal(tmp_path, (old, new.replace("^", "")))


@pytest.mark.parametrize("key", ["name", "year", "data", "layers", "training", "targets"])
def test_missing_key_is_named(tmp_path: Path, key: str) -> None:
    lines = SMALL.splitlines(keepends=True)
    start = next(i for i, line in enumerate(lines) if line.startswith(f"{key}:"))
    end = start + 1
    while end < len(lines) and lines[end].startswith((" ", "\n")):
        end += 1
    gone = "".join(lines[start:end])
    assert f"small.yaml:1:1: {key}: is missing" in refusal(tmp_path, (gone, ""))


def test_all_problems_come_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    words = refusal(
        tmp_path,
        ("title: Small", "titel: Small"),
        ("year: 1986", "year: soon"),
        ("  hidden:", "  Hidden:"),
        ("lr: 1.0", "lr: 1e-3"),
        ("epochs: 80", "epochs: 0\n  momentum: 2.0"),
        ("loss_drop: 0.5", "loss_drop: 0.5\n  loss_drop: 0.6"),
        ("tensors: 4", "tensors: no"),
    )
    named = [line.split(": ")[1] for line in words.splitlines() if line.startswith("small.yaml:")]
    assert named == ["title", "titel", "year", "layers.Hidden", "training.lr", "training.epochs",
                     "training.momentum", "targets", "expectations.tensors"]  # fmt: skip


def test_problems_of_one_line_come_in_its_order(tmp_path: Path) -> None:
    words = refusal(tmp_path, ("in_features: 2, out_features: 4", "a_feature: 2, b_feature: 4"))
    assert words.index("hidden.a_feature") < words.index("hidden.b_feature")


def test_caret_stands_under_the_mistake(tmp_path: Path) -> None:
    lines = refusal(tmp_path, ("lr: 1.0", "lr: -1")).splitlines()
    assert lines[1] == "      lr: -1"
    assert lines[2] == "          ^"


def test_repeated_label_is_named_where_it_stands_again(tmp_path: Path) -> None:
    inner = "tanh: {type: Residual, layers: {hidden: {type: Tanh}}}"
    words = refusal(tmp_path, ("tanh: {type: Tanh}", inner))
    assert "two layers have the label 'hidden'" in words
    assert words.startswith("small.yaml:15:")


# --- --set -----------------------------------------------------------------------------


def test_set_changes_values_and_is_remembered(tmp_path: Path) -> None:
    changes = ("training.lr=0.25", "layers.hidden.out_features=6", "training.momentum=0.9")
    config = load(small_file(tmp_path), changes=changes)
    assert config.training.lr == 0.25
    assert config.layers["hidden"].arguments == {"in_features": 2, "out_features": 6}
    assert config.training.momentum == 0.9
    assert config.modified == changes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("training.lr", "--set training.lr: expected key=value"),
        ("=3", "--set =3: expected key=value"),
        ("training..lr=3", "--set training..lr=3: expected key=value"),
        ("name.first=x", "--set name.first=x: 'name.first' is not a key of small.yaml"),
        ("training.lr=1e-3", "--set training.lr=1e-3: "),
        ("training.lr=-1", "--set training.lr=-1: training.lr: must be greater than 0, got -1"),
        ("training.lr=", "training.lr: must be a number, got None"),
        ("training.lrr=1", "training.lrr: unknown key. Did you mean 'lr'?"),
        ("trainin.lr=1", "trainin: unknown key. Did you mean 'training'?"),
        ("training.lr=[1", "--set training.lr=[1"),
    ],
)
def test_mistake_in_set_is_named(tmp_path: Path, change: str, message: str) -> None:
    words = refusal(tmp_path, settings=(change,))
    assert message in words
    assert "name: small" not in words  # what stands in the file is not what is wrong
    assert ":1:1" not in words


# --- values ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "value"),
    [("lr: 1.0", "lr: 2.0"), ("out_features: 4}", "out_features: 8}"), ("0, 0, 1]", "0, 1, 1]")],
)
def test_digest_changes_with_what_decides_the_numbers(
    path: str, value: str, tmp_path: Path
) -> None:
    before = load(small_file(tmp_path)).digest
    assert load(small_file(tmp_path, (path, value))).digest != before


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("title: Small", "title: Smaller"),
        ("summary: Two layers learn AND.", "summary: Prose."),
        ("accuracy: 1.0", "accuracy: 0.5"),
        ("tensors: 4", "tensors: 5  # a comment"),
        ("  hidden: {type: Linear, in_features: 2, out_features: 4}",
         "  hidden:\n    out_features: 4\n    in_features: 2\n    type: Linear"),
    ],
)  # fmt: skip
def test_digest_stays_with_prose_targets_and_form(path: str, value: str, tmp_path: Path) -> None:
    before = load(small_file(tmp_path)).digest
    assert load(small_file(tmp_path, (path, value))).digest == before


def test_order_of_layers_is_part_of_the_digest(tmp_path: Path) -> None:
    one, other = "  a: {type: Tanh}\n", "  b: {type: Tanh}\n"
    tanh = "  tanh: {type: Tanh}\n"
    first = load(small_file(tmp_path, (tanh, one + other))).digest
    assert load(small_file(tmp_path, (tanh, other + one))).digest != first


def test_config_survives_pickling(tmp_path: Path) -> None:
    config = load(small_file(tmp_path), changes=["training.lr=0.5"])
    copy = pickle.loads(pickle.dumps(config))
    assert copy == config
    assert (copy.digest, copy.folder, copy.modified) == (
        config.digest,
        tmp_path,
        ("training.lr=0.5",),
    )
    assert copy.problem(("layers",), "x") == config.problem(("layers",), "x")


def test_config_is_frozen() -> None:
    config = small_config()
    with pytest.raises(ValidationError, match="frozen"):
        config.training.lr = 3.0  # type: ignore[misc]


def test_control_is_the_same_milestone_with_other_layers(tmp_path: Path) -> None:
    text = "\ncontrols:\n  majority: {why: nothing}\n  linear:\n    why: one layer\n    layers: "
    text += "{output: {type: Linear, in_features: 2, out_features: 1}}\n"
    config = load(small_file(tmp_path, ("  tensors: 4\n", f"  tensors: 4\n{text}")))
    control = config.control("linear")
    assert list(control.layers) == ["output"]
    assert (control.training, control.data) == (config.training, config.data)
    with pytest.raises(UsageError, match="the control 'majority' of small has no layers to train"):
        config.control("majority")


def test_flat_layers_gives_inner_layers_with_their_paths(tmp_path: Path) -> None:
    inner = "tanh: {type: Residual, layers: {inner: {type: Tanh}}}"
    found = dict(flat_layers(load(small_file(tmp_path, ("tanh: {type: Tanh}", inner))).layers))
    assert list(found) == ["hidden", "tanh", "inner", "output"]
    assert found["inner"] == ("layers", "tanh", "layers", "inner")


def test_shipped_milestones_come_in_the_order_of_history() -> None:
    files = milestone_files()
    assert tuple(files) == NAMES
    assert [load(file).name for file in files.values()] == list(NAMES)


def test_find_takes_names_and_paths_and_suggests() -> None:
    assert find("cnn") == ROOT / "configs" / "cnn.yaml"
    assert find("./my.yaml") == Path("my.yaml")
    with pytest.raises(UsageError, match=r"unknown milestone 'cnnn'\. Did you mean 'cnn'\?") as it:
        find("cnnn")
    assert it.value.hint == (
        "Known are perceptron, xor, mlp, cnn, transformer; a path to a .yaml file works too."
    )


def test_schema_is_that_of_the_models() -> None:
    schema = MilestoneConfig.model_json_schema()
    assert set(schema["required"]) <= set(MilestoneConfig.model_fields)
    assert schema["additionalProperties"] is False


# --- whatever may stand in a file ------------------------------------------------------

CNN = (ROOT / "configs" / "cnn.yaml").read_text(encoding="utf-8").splitlines()
WORDS = ["-1", "0", "1", "3", "7.5", "no", "word", "''", "[]", "[1, 2]", "{}", "{a: 1}", "null",
         "1e-3", ".nan", "Linear", "ReLU", "true", "'", "*a", "!t 1", "9" * 25]  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """cnn.yaml with one to three lines lost, doubled, moved in, or given another value."""
    lines = list(CNN)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(lines) - 1))
        kind = draw(st.sampled_from(["drop", "double", "indent", "value", "key"]))
        key, colon, value = lines[at].partition(":")
        word = draw(st.sampled_from(WORDS))
        lines[at : at + 1] = {
            "drop": [],
            "double": [lines[at], lines[at]],
            "indent": [f"  {lines[at]}"],
            "value": [f"{key}{colon} {word}"],
            "key": [f"{word}{colon}{value}"],
        }[kind]
        lines = lines or [""]
    return "\n".join(lines)


def problems_of(file: Path) -> list[Problem]:
    try:
        load(file)
    except ConfigError as error:
        return error.problems
    return []


@given(text=st.one_of(mutated(), st.text(st.characters(codec="utf-8"), max_size=40)))
def test_load_raises_nothing_but_config_errors(
    text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.getbasetemp() / "drawn.yaml"
    file.write_text(text, encoding="utf-8")
    assert all(map(str, problems_of(file)))


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
