"""The `harness` command: what each verb prints, writes and answers with."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
import yaml
from click import Context

from harness import cli, runner
from harness.scorecard import CURVES_NAME, FILE_NAME, load
from tests.examples import NAMES, ROOT, small_file

# The worker processes of pytest-xdist have a thread of their own while they fork.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
Harness = Callable[..., tuple[int, str, str]]


@pytest.fixture
def small(tmp_path: Path) -> str:
    return small_file(tmp_path).name


@pytest.fixture
def failing(tmp_path: Path) -> str:
    """Too little training to learn anything."""
    return small_file(tmp_path, ("epochs: 80", "epochs: 1"), name="failing").name


def crash(*arguments: object) -> None:
    raise ZeroDivisionError("by nothing")


# --- run -----------------------------------------------------------------------------------


def test_run_of_a_pass(harness: Harness, small: str, tmp_path: Path) -> None:
    code, out, err = harness("run", small)
    assert (code, err) == (0, "")
    assert ["small", "1986", "pass"] in [line.split()[:3] for line in out.splitlines()]
    assert out.splitlines()[-2:] == ["1 of 1 milestones pass.",
                                     "scorecard: runs/latest/scorecard.json"]  # fmt: skip
    folder = tmp_path / "runs" / "latest"
    assert sorted(file.name for file in folder.iterdir()) == [CURVES_NAME, FILE_NAME]
    assert load(folder).status == "pass"


def test_run_of_a_failure(harness: Harness, small: str, failing: str) -> None:
    code, out, err = harness("run", small, failing, "--out", "x")
    assert (code, err) == (1, "")
    assert "FAIL failing, seed 0: " in out
    assert "1 of 2 milestones pass." in out
    assert load(Path("x")).exit_code == 1


def test_run_of_a_crash(harness: Harness, small: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "train", crash)
    code, out, err = harness("run", small)
    assert (code, err) == (3, "")
    assert "ERROR small, seed 0: it raised ZeroDivisionError: by nothing" in out
    assert "Traceback" not in out
    assert "Traceback" in Path("runs/latest/scorecard.json").read_text(encoding="utf-8")


def test_run_of_a_shipped_milestone_by_name(harness: Harness) -> None:
    code, out, _ = harness("run", "xor", "perceptron")
    assert code == 0
    assert "2 of 2 milestones pass." in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "nothing to run"),
        (["cnnn"], "unknown milestone 'cnnn'. Did you mean 'cnn'?"),
        (["--all", "xor"], "give names or --all, not both"),
        (["gone.yaml"], "gone.yaml: cannot be read: No such file or directory"),
        (["xor", "--seeds", "0"], "'--seeds': 0 is not in the range x>=1"),
        (["xor", "--seeds", "many"], "'--seeds': 'many' is not a valid integer"),
        (["xor", "--seed", "-1"], "'--seed': -1 is not in the range x>=0"),
        (["xor", "--jobs", "0"], "'--jobs': 0 is not in the range x>=1"),
        (["xor", "--timeout", "0"], "'--timeout': 0.0 is not in the range x>0"),
        (["xor", "--timeout", "nan"], "'--timeout'"),
        (["xor", "--format", "xml"], "'--format': 'xml' is not one of"),
        (["xor", "--sed", "1"], "No such option '--sed'. (Did you mean one of: '--seed'"),
        (["xor", "--set", "training.lr"], "--set training.lr: expected key=value"),
        (["xor", "--set", "training.lrr=1"], "training.lrr: unknown key. Did you mean 'lr'?"),
        (["xor", "--out", "in_the_way"], "in_the_way"),
        (["xor", "--out", "in_the_way/below"], "cannot write to in_the_way/below: Not a directory"),
    ],
)
def test_wrong_use_is_one_sentence_and_trains_nothing(
    harness: Harness, arguments: list[str], words: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    (tmp_path / "in_the_way").write_text("a file", encoding="utf-8")
    monkeypatch.setattr(runner, "train", crash)
    code, out, err = harness("run", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert words in err
    assert "Traceback" not in err
    assert [file.name for file in tmp_path.iterdir()] == ["in_the_way"]


def test_bad_configs_are_all_named_and_nothing_is_overwritten(
    harness: Harness, small: str, tmp_path: Path
) -> None:
    harness("run", small)
    before = {file: file.read_bytes() for file in (tmp_path / "runs" / "latest").iterdir()}
    one = small_file(tmp_path, ("lr: 1.0", "lr: -1"), name="one").name
    two = small_file(tmp_path, ("type: Tanh", "type: Tahn"), name="two").name
    code, out, err = harness("run", small, one, two)
    assert (code, out) == (2, "")
    assert "one.yaml:21:7: training.lr: must be greater than 0, got -1\n      lr: -1" in err
    assert "two.yaml:15:16: layers.tanh.type: unknown layer 'Tahn'. Did you mean 'Tanh'?" in err
    assert {file: file.read_bytes() for file in before} == before


def test_json_goes_to_stdout_alone_and_fits_the_schema(
    harness: Harness, small: str, failing: str
) -> None:
    code, schema, _ = harness("schema", "scorecard")
    assert code == 0
    code, out, err = harness("run", small, failing, "--format", "json")
    assert (code, err) == (1, "")
    jsonschema.validate(json.loads(out), json.loads(schema))
    assert out == Path("runs/latest/scorecard.json").read_text(encoding="utf-8")


def test_markdown(harness: Harness, small: str) -> None:
    code, out, _ = harness("run", small, "--format", "markdown")
    assert code == 0
    assert out.startswith("## 1 of 1 milestones pass\n\n| milestone | year |")


def test_quiet_speaks_only_of_what_does_not_pass(
    harness: Harness, small: str, failing: str
) -> None:
    assert harness("run", small, "-q") == (0, "", "")
    code, out, _ = harness("run", failing, "--quiet")
    assert code == 1
    assert "FAIL failing" in out


def test_verbose_shows_every_check_and_tensor(harness: Harness, small: str) -> None:
    _, out, _ = harness("run", small, "-v")
    assert "pass  gradients_arrive: 4 of 4 parameters receive a gradient" in out
    assert "OK        hidden.weight (4x2)" in out


def test_seeds_are_counted_from_the_first(harness: Harness, small: str) -> None:
    code, out, _ = harness("run", small, "--seeds", "3", "--seed", "5", "--jobs", "2")
    assert code == 0
    assert "pass 3/3 seeds" in out
    card = load(Path("runs/latest"))
    assert [result.seed for result in card.results] == [5, 6, 7] == card.provenance.seeds


def test_set_changes_the_run_and_marks_the_scorecard(harness: Harness, small: str) -> None:
    harness("run", small, "--out", "a")
    harness("run", small, "--out", "b", "--set", "training.lr=0.5", "--set", "training.epochs=90")
    plain, changed = load(Path("a")), load(Path("b"))
    assert plain.provenance.modified == []
    assert changed.provenance.modified == ["training.lr=0.5", "training.epochs=90"]
    assert changed.results[0].steps == 90
    assert plain.provenance.configs != changed.provenance.configs


def test_fail_fast_says_what_was_not_run(harness: Harness, small: str, failing: str) -> None:
    code, _, _ = harness("run", failing, small, "xor", "--jobs", "1", "--fail-fast")
    assert code == 1
    reasons = [result.verdicts[0].reason for result in load(Path("runs/latest")).results]
    assert reasons[-1] == "it was not run: stopped after the first failure (--fail-fast)"


def test_same_run_gives_the_same_digest_and_other_seeds_others(
    harness: Harness, small: str
) -> None:
    for out, jobs in (("a", "1"), ("b", "2")):
        harness("run", small, "xor", "--seeds", "2", "--out", out, "--jobs", jobs)
    digests = [[result.digest for result in load(Path(out)).results] for out in ("a", "b")]
    assert digests[0] == digests[1]
    assert len(set(digests[0])) == 4


def test_provenance_tells_where_the_numbers_come_from(harness: Harness, small: str) -> None:
    harness("run", small)
    told = load(Path("runs/latest")).provenance
    assert told.blas_threads == 1
    assert told.seeds == [0]
    assert told.backend == "numpy"
    assert len(told.configs["small"]) == len(told.data["small"]) == 64
    if (ROOT / ".git").exists():
        assert len(told.commit or "") == 40
        assert told.dirty in (True, False)


# --- the other verbs -----------------------------------------------------------------------


def test_list_names_every_milestone(harness: Harness) -> None:
    code, out, _ = harness("list")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == list(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_show_draws_the_model(harness: Harness, name: str) -> None:
    code, out, _ = harness("show", name)
    config = yaml.safe_load((ROOT / "configs" / f"{name}.yaml").read_text(encoding="utf-8"))
    assert code == 0
    assert out.startswith(f"{config['title']} ({config['year']})")
    assert all(label in out for label in config["layers"])
    assert f"{len(config['expectations']['tensors'])} tensors" in out
    assert f"target: accuracy {config['targets']['accuracy']:g}" in out
    assert "always the same answer" in out


def test_show_of_a_file_with_changes(harness: Harness, small: str) -> None:
    code, out, _ = harness("show", small, "--set", "layers.hidden.out_features=4")
    assert code == 0
    assert "hidden  Linear  (N, 4)  weight 4x2, bias 4" in out
    assert "4 tensors, 17 weights" in out
    assert "on record: " in harness("show", "xor")[1]
    assert "not calibrated" in harness("show", "xor", "--set", "training.lr=0.4")[1]


def test_validate_says_what_is_valid(harness: Harness, small: str) -> None:
    assert harness("validate", small) == (0, "small: valid, 4 tensors\n", "")
    code, out, _ = harness("validate")
    assert code == 0
    assert [line.split(":")[0] for line in out.splitlines()] == list(NAMES)


def test_validate_refuses_without_training(harness: Harness, tmp_path: Path) -> None:
    bad = small_file(tmp_path, ("in_features: 4,", "in_features: 5,"))
    code, out, err = harness("validate", bad.name)
    assert (code, out) == (2, "")
    assert "error: small.yaml:16:11: layers.output: Linear does not fit its input (N, 4)" in err


@pytest.mark.parametrize("name", NAMES)
def test_schema_fits_the_shipped_configs(harness: Harness, name: str) -> None:
    code, out, _ = harness("schema")
    assert code == 0
    schema = json.loads(out)
    jsonschema.Draft202012Validator.check_schema(schema)
    config = yaml.safe_load((ROOT / "configs" / f"{name}.yaml").read_text(encoding="utf-8"))
    jsonschema.validate(config, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(config | {"epochs": 3}, schema)


@pytest.mark.parametrize("verb", ["--versoin", "--al"])
def test_unknown_option_is_one_sentence(harness: Harness, verb: str) -> None:
    code, out, err = harness(verb)
    assert (code, out) == (2, "")
    assert err.startswith("error: No such ")


def test_misspelt_verb_is_told_the_right_one(harness: Harness) -> None:
    code, _, complaint = harness("comapre", "main")
    assert code == 2
    assert "there is no verb 'comapre'. Did you mean 'compare'?" in complaint


def test_command_alone_shows_its_help(harness: Harness) -> None:
    code, told, complaint = harness()
    assert (code, complaint) == (0, "")
    assert "compare" in told


def test_help_lists_verbs_and_exit_codes(harness: Harness) -> None:
    code, out, _ = harness("--help")
    assert code == 0
    verbs = cli.cli.list_commands(Context(cli.cli))
    assert {"compare", "history", "report", "run"} <= {*verbs}
    assert all(f"\n  {verb} " in out for verb in verbs)
    words = " ".join(out.split())
    for part in ("0 all pass", "1 a check failed", "2 usage", "3 no verdict", "130 interrupted"):
        assert part in words


def test_python_dash_m_is_the_same_command(tmp_path: Path, small: str) -> None:
    script = shutil.which("harness", path=str(Path(sys.executable).parent))
    module = [sys.executable, "-m", "harness"]
    for command in [module, [script]] if script else [module]:  # it may not be installed
        done = subprocess.run(
            [*command, "run", small, "--format", "markdown", "--out", "x"],
            cwd=tmp_path, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("## 1 of 1 milestones pass")
    done = subprocess.run(
        [sys.executable, "-m", "harness", "run", "cnnn"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("error: unknown milestone 'cnnn'. Did you mean 'cnn'?")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_terminals_without_unicode_are_no_crash(
    encoding: str, tmp_path: Path, small: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    for arguments in (["run", small], ["list"], ["show", "transformer"]):
        done = subprocess.run(
            [sys.executable, "-m", "harness", *arguments],
            cwd=tmp_path, capture_output=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_that_cannot_be_printed_is_a_sentence(tmp_path: Path, small: str) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "harness", "run", small],
            cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60,
        )  # fmt: skip
    assert done.returncode == 2
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert load(tmp_path / "runs" / "latest").status == "pass"


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="needs /dev/zero")
def test_file_without_an_end_is_refused(tmp_path: Path) -> None:
    script = "import resource; resource.setrlimit(resource.RLIMIT_AS, (15 * 10**8,) * 2)\n"
    script += "import sys; sys.argv = ['harness', 'validate', '/dev/zero']\n"
    script += "from harness.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: /dev/zero: ")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
