"""A second reading of a YAML against the first: equal on right readers, and on no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from harness import config_files
from harness.plain_reading import digest_of, misreadings, read_words
from tests.examples import NAMES, SMALL, small_file


def misread(text: str, values: Any) -> dict[str, str]:
    return dict(misreadings(read_words(text), values))


@pytest.mark.parametrize("name", NAMES)
def test_shipped_milestones_are_read_as_they_are_written(name: str) -> None:
    assert config_files.load(config_files.find(name)).misread == ()


@pytest.mark.parametrize(
    "change",
    [
        "training.lr=0.05",
        "training.lr=1.0e5",
        "training.clip_grad_norm=1",
        "training.nesterov=false",
        "training.momentum=null",
        "training.momentum=~",
        "training.momentum=",
        "title='0x10'",
        "title='true'",
        "summary=a # comment",
        "layers.tanh={type: ReLU}",
        "layers.more={type: Linear, in_features: +1, out_features: 3}",
        "data.inputs=[[.5, 1.], [-0.0, 1.5e-3], [1, 0], [1, 1]]",
        "year=1957",
    ],
)
def test_changes_on_the_command_line_are_read_as_they_are_written(
    change: str, tmp_path: Path
) -> None:
    assert config_files.load(small_file(tmp_path), changes=[change]).misread == ()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1), ("1", 1.0), ("-2.5e-3", -0.0025), ("true", True), ("false", False),
        ("null", None), ("~", None), ("", None), ("word", "word"), ("'1'", "1"),
        ("[1, [2, x]]", [1, [2, "x"]]), ("2024-01-01", "2024-01-01"),
    ],
)  # fmt: skip
def test_values_that_a_word_stands_for_are_right(text: str, value: object) -> None:
    assert misread(f"a: {text}", {"a": value}) == {}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.12", 0.1), ("0.12", "0.12 "), ("1", 2), ("1", True), ("true", 1), ("true", False),
        ("false", None), ("0", None), ("word", "Word"), ("1.5", 1), ("word", 1.0), ("[1, 2]", [1]),
        ("[1, 2]", [2, 1]), ("{b: 1}", {}), ("{b: 1}", 1), ("1", {"b": 1}),
    ],
)  # fmt: skip
def test_values_that_a_word_does_not_stand_for_are_misread(text: str, value: object) -> None:
    paths = list(misread(f"a: {text}", {"a": value}))
    assert paths
    assert all(path.startswith("a") for path in paths)


def test_what_is_not_written_is_nothing() -> None:
    assert misread("a: 1", {"a": 1, "b": None, "c": 0.0, "d": {}, "e": False}) == {}
    assert misread("a: 1", {"a": 1, "b": 0.9}) == {"b": "0.9 was read, nothing is written"}


def test_order_matters_among_layers_and_nowhere_else() -> None:
    text = "layers: {one: {b: 1, a: 2}, two: {a: 1}}"
    right = {"one": {"a": 2, "b": 1}, "two": {"a": 1}}
    assert misread(text, {"layers": right}) == {}
    turned = {name: right[name] for name in ("two", "one")}
    assert misread(text, {"layers": turned}) == {
        "layers": "the order two, one was read, one, two is written"
    }


# --- what was written on record -----------------------------------------------------------


def test_digest_is_of_what_decides_and_not_of_looks() -> None:
    looks = SMALL.replace("epochs: 80", "epochs:   80   # enough").replace(
        "title: Small", "title: T"
    )
    assert digest_of(read_words(looks)) == digest_of(read_words(SMALL))
    for old, new in (("epochs: 80", "epochs: 81"), ("[0, 0, 0, 1]", "[0, 0, 1, 1]"),
                     ("{type: Tanh}", "{type: ReLU}")):  # fmt: skip
        assert digest_of(read_words(SMALL.replace(old, new))) != digest_of(read_words(SMALL))


def test_order_of_layers_is_in_the_digest_and_that_of_arguments_is_not() -> None:
    words = yaml.load(SMALL, Loader=yaml.BaseLoader)
    turned = {**words, "layers": dict(reversed(words["layers"].items()))}
    assert digest_of(turned) != digest_of(words)
    turned = {**words, "training": dict(reversed(words["training"].items()))}
    assert digest_of(turned) == digest_of(words)


def test_config_that_was_changed_since_has_nothing_written(tmp_path: Path) -> None:
    found = config_files.load(small_file(tmp_path))
    assert found.written == digest_of(read_words(SMALL))
    changed = found.model_copy(update={"layers": dict(reversed(found.layers.items()))})
    assert changed.written == ""


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
