"""Files of `harness conform`: values as source, the document, its text and its JUnit XML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.conformance import journal
from harness.conformance.case import Engine, Finding
from harness.conformance.document import Document, assemble, load, save
from harness.conformance.listing import find
from harness.conformance.outcomes import Result
from harness.conformance.reproducing import file_name
from harness.conformance.sources import arguments_source, array_source, source
from harness.errors import ScorecardError
from harness.json_files import to_json
from harness.reports.conformance import as_json, headline, junit, render
from tests.comparisons import HOSTILE
from tests.junit_rules import outcomes, sound
from tests.small_engines import NUMPY

PASS = Result(find("L1/softmax/value/(3, 5)-dim=-1"), "pass")
FAIL = Result(find("L1/neg/value/()"), "fail", "neg: got 1, expected 2", "See it.", 1.0, 2.0)
ERROR = Result(find("L2/Linear/start"), "error", "it raised KeyError: 'x'", details="Traceback")
OPEN = Result(find("L2/Tanh/value/(3, 4)"), "not supported", "backend 'b' offers no layer Tanh")
XFAIL = Result(find("L3/SGD/no options"), "xfail", "SGD: got 1", reason="half steps")
SURPRISE = Result(find("L4/xor"), "unexpected pass", "it passes, and was expected to fail: hard")


def evaluated(text: str) -> Any:
    return eval(text, {"np": np, "nan": np.nan, "inf": np.inf})


def document_of(*results: Result, files: dict[str, Path] | None = None) -> Document:
    return assemble(Engine("numpy", NUMPY), results, files or {}, "", Path("out"))


# --- source ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "array",
    [
        np.array([[0.1, 1e-300], [1.0 / 3.0, 1e22]]),
        np.array([np.nan, np.inf, -np.inf, -0.0]),
        np.array(2.5),
        np.zeros((0, 4)),
        np.arange(24.0).reshape(2, 3, 4) / 7.0,
        np.array([1.1, 2.2], dtype=np.float32),
        np.array([[True, False]]),
        np.array([3, 250], dtype=np.uint8),
    ],
    ids=str,
)
def test_array_comes_back_to_the_last_bit(array: np.ndarray) -> None:
    again = evaluated(array_source(array))
    assert (again.dtype, again.shape) == (array.dtype, array.shape)
    assert again.tobytes() == array.tobytes()


@pytest.mark.parametrize(
    "value",
    [
        3,
        -1.5,
        "mean",
        None,
        True,
        (1,),
        (),
        ("Linear", {"bias": False}),
        (slice(None, None, -1), slice(4, 0, -2)),
        (..., None, -1),
        [0, 0, 1],
    ],
    ids=str,
)
def test_argument_comes_back(value: object) -> None:
    assert evaluated(source(value)) == value


def test_index_with_an_array_comes_back() -> None:
    first, second = evaluated(source((slice(None), np.array([[0, 2]]))))
    assert first == slice(None)
    assert second.tolist() == [[0, 2]]


def test_generator_is_made_anew_by_every_call() -> None:
    text = arguments_source({"p": 0.5, "rng": lambda: np.random.default_rng(7)})
    assert text == ", p=0.5, rng=np.random.default_rng(7)"


def test_name_of_a_file_has_nothing_that_a_shell_minds() -> None:
    assert file_name("L1/softmax/value/(3, 5)-dim=-1") == "L1.softmax.value._3_5_-dim=-1.py"


# --- the journal ----------------------------------------------------------------------------------


def test_journal_tells_what_was_found_and_what_was_begun(tmp_path: Path) -> None:
    notes = journal.Writing(tmp_path / "notes")
    notes.begins("a")
    notes.found("a", Finding(failed="no"))
    notes.begins("b")
    notes.close()
    read = journal.read(tmp_path / "notes")
    assert read.findings == {"a": Finding(failed="no")}
    assert read.unfinished == "b"


def test_journal_that_is_cut_off_keeps_what_is_whole(tmp_path: Path) -> None:
    notes = journal.Writing(tmp_path / "notes")
    notes.begins("a")
    notes.found("a", Finding())
    notes.begins("b")
    notes.found("b", Finding(failed="no"))
    notes.close()
    whole = (tmp_path / "notes").read_bytes()
    (tmp_path / "notes").write_bytes(whole[:-5])
    read = journal.read(tmp_path / "notes")
    assert (list(read.findings), read.unfinished) == (["a"], "b")


def test_journal_of_a_process_that_never_began_is_empty(tmp_path: Path) -> None:
    assert journal.read(tmp_path / "none") == journal.Notes({}, None)


# --- the document ---------------------------------------------------------------------------------


def test_document_comes_back(tmp_path: Path) -> None:
    made = document_of(PASS, FAIL, ERROR, OPEN, XFAIL, SURPRISE)
    assert load(save(made, tmp_path)) == made
    assert '"schema": "harness.conformance/1"' in to_json(made)
    assert as_json(made) == to_json(made)


def test_what_is_no_document_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"schema": "harness.conformance/1"}', encoding="utf-8")
    with pytest.raises(ScorecardError, match=r"a\.json is not a document of harness.conformance/1"):
        load(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("results", "status", "code"),
    [
        ((PASS,), "pass", 0),
        ((PASS, OPEN), "pass", 0),
        ((XFAIL,), "pass", 0),
        ((PASS, FAIL), "fail", 1),
        ((PASS, ERROR), "fail", 1),
        ((PASS, SURPRISE), "fail", 1),
        ((OPEN,), "nothing judged", 3),
    ],
)
def test_status_and_exit_code(results: tuple[Result, ...], status: str, code: int) -> None:
    made = document_of(*results)
    assert (made.status, made.exit_code) == (status, code)


def test_not_supported_stays_in_the_denominator() -> None:
    assert headline(document_of(PASS, OPEN)) == (
        f"numpy {NUMPY.version}: 1 of 2 cases pass; 1 not supported."
    )


def test_every_case_is_counted_once_in_its_level() -> None:
    rows = {row.level: row for row in document_of(PASS, FAIL, ERROR, OPEN, XFAIL, SURPRISE).levels}
    assert {level: row.cases for level, row in rows.items()} == {"L1": 2, "L2": 2, "L3": 1, "L4": 1}
    assert rows["L2"].counts == {"pass": 0, "fail": 0, "error": 1, "not supported": 1, "xfail": 0,
                                 "unexpected pass": 0}  # fmt: skip


# --- text and XML ---------------------------------------------------------------------------------


def test_text_names_each_failure_with_its_file() -> None:
    file = Path("out/failures") / file_name(FAIL.case.id)
    made = document_of(PASS, FAIL, ERROR, OPEN, files={FAIL.case.id: file})
    text = render(made, Path("out"))
    assert "FAIL  L1/neg/value/()\n    neg: got 1, expected 2\n    See it.\n" in text
    assert f"    reproduce: python out/failures/{file_name(FAIL.case.id)}\n" in text
    assert "ERROR  L2/Linear/start\n    it raised KeyError: 'x'\n" in text
    assert "not supported: 1 of Tanh\n" in text
    assert text.endswith("1 of 4 cases pass; 2 failed, 1 not supported.\n")


def test_text_shows_one_failure_of_a_name_and_counts_the_others() -> None:
    second = Result(find("L1/neg/value/(3, 4)"), "fail", "neg: again")
    text = render(document_of(FAIL, second, ERROR), Path("out"))
    assert "neg: again" not in text
    assert "... and 1 more (-v); in all 2 of neg, 1 of Linear." in text
    assert "neg: again" in render(document_of(FAIL, second, ERROR), Path("out"), verbose=True)


def test_xml_keeps_the_rules_and_has_a_suite_for_each_level() -> None:
    root = sound(junit(document_of(PASS, FAIL, ERROR, OPEN, XFAIL, SURPRISE)))
    found = {case: what for suite in root for case, what in outcomes(suite).items()}
    assert found == {
        PASS.case.id: "pass",
        FAIL.case.id: "failure",
        ERROR.case.id: "error",
        OPEN.case.id: "skipped",
        XFAIL.case.id: "skipped",
        SURPRISE.case.id: "failure",
    }
    assert [suite.attrib["name"][:2] for suite in root] == ["L1", "L2", "L3", "L4"]
    assert 'message="half steps"' in junit(document_of(XFAIL))


def test_xml_keeps_the_rules_whatever_an_engine_says() -> None:
    case = find("L1/neg/value/()")
    sound(junit(document_of(Result(case, "error", HOSTILE, HOSTILE, details=HOSTILE))))


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
