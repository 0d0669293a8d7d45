"""The errors that users meet: they survive pickling, know their exit code, and suggest."""

from __future__ import annotations

import inspect
import pickle

import pytest

from harness import errors
from harness.errors import (
    ConfigError,
    HarnessError,
    JobCrashedError,
    JobError,
    JobTimeoutError,
    NotSupportedError,
    Problem,
    did_you_mean,
)

CLASSES = [
    value
    for value in vars(errors).values()
    if inspect.isclass(value) and issubclass(value, HarnessError)
]
PROBLEM = Problem("a.yaml", 3, 5, "training.lr", "must be greater than 0, got -1", "  lr: -1")


def example_of(kind: type[HarnessError]) -> HarnessError:
    if kind is ConfigError:
        return ConfigError([PROBLEM], "a hint")
    if kind is JobCrashedError:
        return JobCrashedError("a message", "a hint", "a traceback")
    return kind("a message", "a hint")


@pytest.mark.parametrize("kind", CLASSES)
def test_error_survives_pickling(kind: type[HarnessError]) -> None:
    error = example_of(kind)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)


@pytest.mark.parametrize("kind", CLASSES)
def test_error_knows_its_exit_code(kind: type[HarnessError]) -> None:
    without_verdict = issubclass(kind, JobError) and kind is not NotSupportedError
    assert kind.exit_code == (1 if kind is NotSupportedError else 3 if without_verdict else 2)


@pytest.mark.parametrize("kind", CLASSES)
def test_error_says_what_to_do(kind: type[HarnessError]) -> None:
    assert example_of(kind).hint == "a hint"
    assert str(example_of(JobTimeoutError)) == "a message"


def test_docstring_draws_the_tree() -> None:
    """Every class on a line of its own, below its parent, with its exit code."""
    lines = (errors.__doc__ or "").splitlines()
    drawn = {line.strip("│├└─ ").split(" ")[0]: line for line in lines if "Error" in line}
    assert drawn.keys() == {kind.__name__ for kind in CLASSES}
    for kind in CLASSES[1:]:
        line, parent = drawn[kind.__name__], drawn[kind.__base__.__name__]  # type: ignore[union-attr]
        depth = len(kind.__mro__) - len(HarnessError.__mro__)
        assert line.index(kind.__name__) == 4 * depth
        assert lines.index(parent) < lines.index(line)
        assert f" {kind.exit_code}  " in line


def test_problem_shows_place_subject_line_and_caret() -> None:
    assert str(PROBLEM) == (
        "a.yaml:3:5: training.lr: must be greater than 0, got -1\n      lr: -1\n        ^"
    )
    assert str(Problem("a.yaml", 0, 0, "", "is empty")) == "a.yaml: is empty"
    assert str(Problem("a.yaml", 1, 1, "", "no", "")) == "a.yaml:1:1: no"


def test_config_error_lists_every_problem() -> None:
    other = Problem("b.yaml", 0, 0, "", "is empty")
    assert str(ConfigError([PROBLEM, other])) == f"{PROBLEM}\n{other}"


@pytest.mark.parametrize(
    ("word", "suggestion"),
    [
        ("cnnn", " Did you mean 'cnn'?"),
        ("CNN", " Did you mean 'cnn'?"),
        ("conv2D", " Did you mean 'Conv2d'?"),
        ("transfomer", " Did you mean 'transformer'?"),
        ("zebra", ""),
        ("", ""),
    ],
)
def test_suggestion_is_the_closest_name_in_its_own_spelling(word: str, suggestion: str) -> None:
    assert did_you_mean(word, ["cnn", "Conv2d", "transformer", "xor"]) == suggestion


def test_nothing_known_suggests_nothing() -> None:
    assert did_you_mean("cnn", []) == ""


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
