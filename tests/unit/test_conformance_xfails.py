"""Expected failures: the file, what is wrong with it and where, and how strict it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.conformance import xfails
from harness.conformance.case import Finding
from harness.conformance.listing import find
from harness.conformance.outcomes import Result, results
from harness.conformance.xfails import ExpectedFailure
from harness.errors import ConfigError, UsageError
from harness.measurement import Measurement

ID = "L1/max/gradient/tied (3, 4)-dim=None"
IDS = [ID, "L1/max/gradient/tied (4, 5)-dim=0", "L3/Adam/amsgrad=True"]
ENTRY = f'[[xfail]]\nid = "{ID}"\nreason = "ties"\n'
WRONG = Finding(((Measurement("max", "gradient", 1.0, 2.0, 0.5),),))


def read(folder: Path, text: str) -> tuple[ExpectedFailure, ...]:
    file = folder / "mine.xfails.toml"
    file.write_text(text, encoding="utf-8")
    return xfails.load("numpy", file, IDS)


def result_of(finding: Finding, *expected: ExpectedFailure) -> Result:
    case = find(ID)
    (result,) = results({ID: finding}, [case], expected)
    return result


def entry(id_: str = ID, strict: bool = True) -> ExpectedFailure:
    return ExpectedFailure(id_, "ties", "mine.xfails.toml:1", strict)


# --- what they do ---------------------------------------------------------------------------------


def test_expected_failure_is_one() -> None:
    result = result_of(WRONG, entry())
    assert (result.outcome, result.reason) == ("xfail", "ties")


def test_expected_error_is_one() -> None:
    assert result_of(Finding(raised="it raised KeyError"), entry()).outcome == "xfail"


def test_failure_that_nobody_expects_fails() -> None:
    assert result_of(WRONG, entry("L3/*")).outcome == "fail"


def test_unexpected_pass_is_told_with_the_line_to_take_out() -> None:
    result = result_of(Finding(((),)), entry())
    assert result.outcome == "unexpected pass"
    assert result.message == "it passes, and was expected to fail: ties"
    assert "mine.xfails.toml:1" in result.hint


def test_pass_is_a_pass_where_the_entry_is_not_strict() -> None:
    assert result_of(Finding(((),)), entry(strict=False)).outcome == "pass"
    assert result_of(WRONG, entry(strict=False)).outcome == "xfail"


def test_what_is_not_supported_stays_so() -> None:
    assert result_of(Finding(refused="no op max"), entry()).outcome == "not supported"


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        (ID, True),
        ("L1/max/*", True),
        ("*/tied (?, 4)-dim=None", True),
        ("L1/max/gradient/tied (3, 4)", False),
        ("L1/m[a]x/*", False),
        ("l1/max/*", False),
    ],
)
def test_stars_and_question_marks_are_wildcards_and_nothing_else_is(
    pattern: str, fits: bool
) -> None:
    assert entry(pattern).fits(ID) is fits


# --- the file -------------------------------------------------------------------------------------


def test_file_is_read(tmp_path: Path) -> None:
    text = ENTRY + '\n# and\n[[xfail]]\nid = "L3/*"\nreason = " no such option "\nstrict = false\n'
    first, second = read(tmp_path, text)
    assert (first.id, first.reason, first.strict) == (ID, "ties", True)
    assert (second.id, second.reason, second.strict) == ("L3/*", "no such option", False)
    assert first.place.endswith("mine.xfails.toml:1")
    assert second.place.endswith("mine.xfails.toml:6")


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("[[xfail]]\nid = \n", 2, "this is not TOML: Invalid value"),
        ('[[xfail]]\nid = "L3/*"\n', 1, "the entry has no reason"),
        ('[[xfail]]\nreason = "r"\n', 1, "the entry has no id"),
        ('\n[[xfail]]\nid = "L3/*"\nreason = "  "\n', 4, "reason is empty"),
        ('[[xfail]]\nid = 3\nreason = "r"\n', 2, "id is 3, expected a text"),
        (ENTRY + "strict = 1\n", 4, "strict is 1, expected true or false"),
        (ENTRY + 'reasn = "r"\n', 4, "unknown key 'reasn'. Did you mean 'reason'?"),
        (ENTRY.replace("xfail", "xfails"), 1, "unknown key 'xfails'. Did you mean 'xfail'?"),
        ('xfail = "L3/*"\n', 1, "xfail is no list of entries"),
        ('xfail = ["L3/*"]\n', 1, "xfail is no list of entries"),
        (
            ENTRY + '[[xfail]]\nid = "L3/Adam/amsgrad=Tru"\nreason = "r"\n',
            5,
            "id 'L3/Adam/amsgrad=Tru' is that of no case. Did you mean 'L3/Adam/amsgrad=True'?",
        ),
        (ENTRY + '[[xfail]]\nid = "L2/*"\nreason = "r"\n', 5, "id 'L2/*' is that of no case."),
    ],
)
def test_what_is_wrong_is_told_with_its_line(
    tmp_path: Path, text: str, line: int, message: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        read(tmp_path, text)
    (problem,) = raised.value.problems
    assert problem.message.startswith(message)
    assert problem.line == line
    assert f"mine.xfails.toml:{line}:" in str(raised.value)
    assert raised.value.exit_code == 2
    assert raised.value.hint


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        read(tmp_path, '[[xfail]]\nid = "nothing"\nreason = "r"\n[[xfail]]\nid = "L3/*"\n')
    assert [problem.line for problem in raised.value.problems] == [2, 4]


def test_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.toml cannot be read: No such file"):
        xfails.load("numpy", tmp_path / "none.toml", IDS)


def test_file_beside_an_engine_is_found(tmp_path: Path) -> None:
    engine = tmp_path / "mylib_backend.py"
    assert xfails.load(str(engine), None, IDS) == ()
    engine.with_suffix(".xfails.toml").write_text(ENTRY, encoding="utf-8")
    (found,) = xfails.load(str(engine), None, IDS)
    assert found.id == ID


def test_file_of_a_shipped_engine_stands_beside_it() -> None:
    file = xfails.file_beside("numpy")
    assert file is not None
    assert (file.name, file.parent.name) == ("numpy.xfails.toml", "backends")


def test_file_of_a_module_stands_beside_it() -> None:
    file = xfails.file_beside("tests.small_engines")
    assert file is not None
    assert (file.name, file.parent.name) == ("small_engines.xfails.toml", "tests")
    assert xfails.file_beside("no.such.module") is None


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
