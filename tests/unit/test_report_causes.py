"""One cause is told once: over milestones, of what was not run, and with the right command."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from harness.checks.base import Stage, Verdict
from harness.errors import JobCrashedError, JobNotRunError, JobTimeoutError
from harness.record import RunRecord
from harness.reports import text
from harness.reports.commands import run_again
from harness.reports.github import render as annotations
from harness.reports.markdown import render as markdown
from harness.reports.page import checks, table, verdict
from harness.reports.page.material import Material
from harness.reports.summary import failures, headline, lines
from harness.results import failed_engine_result, judged_result
from harness.scorecard import Result, Scorecard
from tests.examples import (
    NAMES,
    ROOT,
    bias_lost,
    healthy,
    judged,
    scorecard_of,
    small_config,
    without_verdict,
)

STOPPED = JobNotRunError("it was not run: interrupted")
DATA = Verdict(
    "data_are_as_recorded", "fail", "the data: 3 numbers differ", "Look there.",
    {"culprits": ["the data"], "place": "harness/datasets/digits.py:9"}, Stage.DATA,
)  # fmt: skip


def with_cause(cause: Verdict, record: RunRecord) -> Result:
    """The result of a record with one more verdict."""
    more = judged_result(small_config(name=record.milestone), record, [cause])
    own = judged(record)
    both = [*more.verdicts, *own.verdicts]
    return own.model_copy(update={"verdicts": both, "status": "fail"})


def interrupted() -> Scorecard:
    """One milestone done, one half done, one not begun."""
    return scorecard_of(
        judged(healthy(milestone="a")),
        *(judged(healthy(milestone="b", seed=seed)) for seed in range(2)),
        without_verdict(STOPPED, 2, "b"),
        *(without_verdict(STOPPED, seed, "c") for seed in range(3)),
    )


def flowed(report: str) -> str:
    return " ".join(report.split())


# --- one cause of many milestones ----------------------------------------------------------------


def test_cause_that_many_milestones_share_is_one_finding_with_their_names() -> None:
    card = scorecard_of(*(with_cause(DATA, healthy(milestone=name)) for name in "abc"))
    (found,) = failures(card)
    assert (found.where, found.milestones) == ("a, b, c, seed 0", ["a", "b", "c"])
    report = flowed(text.render(card))
    assert report.count("the data: 3 numbers differ") == 1
    assert "FAIL a, b, c, seed 0: the data: 3 numbers differ" in report
    assert annotations(card).count("::error ") == 1
    assert "title=a%2C b%2C c%3A data_are_as_recorded::" in annotations(card)
    (finding,) = verdict.section(Material(scorecard=card)).findings
    assert finding.title == "Small, Small, Small fail"
    assert finding.place == "harness/datasets/digits.py:9"


def test_consequences_are_those_of_all_that_share_the_cause() -> None:
    card = scorecard_of(
        with_cause(DATA, healthy(milestone="a")), with_cause(DATA, bias_lost(milestone="b"))
    )
    (found,) = failures(card)
    names = [each.check for each in found.consequences]
    assert names == ["gradients_arrive", "parameters_move", "loss_falls", "target_reached"]


@pytest.mark.parametrize(
    "other",
    [
        Verdict("data_are_as_recorded", "fail", "no", "", {"culprits": ["a recipe"]}),
        Verdict("batches_hold_all", "fail", "no", "", {"culprits": ["the data"]}),
    ],
)
def test_other_culprits_or_another_check_are_another_cause(other: Verdict) -> None:
    card = scorecard_of(
        with_cause(DATA, healthy(milestone="a")), with_cause(other, healthy(milestone="b"))
    )
    assert [each.where for each in failures(card)] == ["a, seed 0", "b, seed 0"]


def test_tensors_of_the_same_name_in_two_models_are_two_causes() -> None:
    card = scorecard_of(judged(bias_lost(milestone="a")), judged(bias_lost(milestone="b")))
    assert len(failures(card)) == 2


# --- what was not run ----------------------------------------------------------------------------


def test_what_was_interrupted_is_one_finding_and_no_error() -> None:
    card = interrupted()
    assert headline(card) == "1 of 3 milestones pass; interrupted"
    assert [(line.verdict, line.tone) for line in lines(card)] == [
        ("pass", "good"), ("pass 2/2, 1 not run", "open"), ("not run", "open"),
    ]  # fmt: skip
    assert lines(card)[2].seconds == "-"
    report = flowed(text.render(card, verbose=True))
    assert "NOT RUN b, c: it was not run: interrupted" in report
    assert "ERROR" not in report
    assert "::error" not in annotations(card)
    assert annotations(card).count("::warning ") == 1
    assert "To see it" not in markdown(card)


def test_page_shows_what_was_interrupted_as_open_and_without_a_command() -> None:
    material = Material(scorecard=interrupted())
    (finding,) = verdict.section(material).findings
    assert (finding.title, finding.tone, finding.reproduce) == ("Small, Small not run", "open", "")
    found = table.section(material)
    assert found
    assert [row.verdict_tone for row in found.rows] == ["good", "open", "open"]
    groups = checks.section(material)
    assert [group.is_open for group in groups] == [False, False, False]
    assert [(line.check, line.word) for line in groups[2].lines] == [("runs", "not run")]


def test_failure_beside_seeds_that_were_not_run_is_still_one() -> None:
    card = scorecard_of(judged(bias_lost()), without_verdict(STOPPED, 1))
    (line,) = lines(card)
    assert (line.verdict, line.tone) == ("FAIL 0/1, 1 not run", "bad")
    titles = [each.title for each in verdict.section(Material(scorecard=card)).findings]
    assert titles == ["Small fails on seed 0", "Small not run on seed 1"]


def test_engine_that_ran_out_of_time_could_not_be_checked() -> None:
    engine = failed_engine_result("numpy", JobTimeoutError("it was stopped after 5 s"))
    card = scorecard_of(judged(healthy(milestone="xor"))).model_copy(update={"engine": engine})
    (finding,) = verdict.section(Material(scorecard=card)).findings
    assert finding.title == "The engine could not be checked"
    assert finding.reproduce == "harness run xor --timeout 5"


# --- the command ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_shipped_milestone_is_run_by_its_name(name: str) -> None:
    assert run_again(name, "--seed", "3") == f"harness run {name} --seed 3"


@pytest.mark.parametrize("name", ["hostile_milestone", "a; rm x", "../xor", "x" * 5000, "\0"])
def test_milestone_of_a_file_is_run_by_a_file_of_its_name(name: str) -> None:
    command = run_again(name, changes=["title=it's"])
    words = ["harness", "run", f"{name}.yaml", "--set", "title=it's"]
    assert shlex.split(command) == words


def test_run_that_was_stopped_is_stopped_again_after_the_same_time() -> None:
    card = scorecard_of(without_verdict(JobTimeoutError("it was stopped after 0.5 s"), 2, "cnn"))
    expected = "harness run cnn --seed 2 --timeout 0.5"
    assert verdict.section(Material(scorecard=card)).findings[0].reproduce == expected
    assert f"To see it: `{expected}`" in markdown(card)


def test_command_explains_a_tensor_only_where_the_cause_speaks_of_it() -> None:
    def shown(cause: Verdict) -> tuple[str, str]:
        card = scorecard_of(with_cause(cause, bias_lost(milestone="cnn")))
        (finding,) = verdict.section(Material(scorecard=card)).findings
        return finding.tensors, finding.reproduce

    assert shown(DATA) == ("", "harness run cnn --seed 0")
    slope = Verdict("graph_is_whole", "fail", "Linear: slope of hidden.bias, not linked", "",
                    {"culprits": ["Linear"]}, Stage.GRAPH)  # fmt: skip
    explained = "harness run cnn --seed 0 --explain hidden.bias"
    assert shown(slope) == ("hidden.bias", explained)
    longer = Verdict("graph_is_whole", "fail", "Linear: slope of hidden.bias.x", "", {})
    assert shown(longer) == ("", "harness run cnn --seed 0")


# --- crashes -------------------------------------------------------------------------------------

TRACEBACK = """\
Traceback (most recent call last):
  File "{here}/harness/training.py", line 33, in train
    step()
  File "{here}/engine/ops.py", line 7, in softmax
    x
ValueError: no
"""


def test_crash_has_the_line_where_it_was_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    error = JobCrashedError("it raised ValueError: no", "", TRACEBACK.format(here=tmp_path))
    result = without_verdict(error)
    assert result.verdicts[0].evidence["place"] == "engine/ops.py:7"
    card = scorecard_of(result)
    assert verdict.section(Material(scorecard=card)).findings[0].place == "engine/ops.py:7"
    assert "file=engine/ops.py,line=7" in annotations(card)
    assert "at engine/ops.py:7" in flowed(text.render(card))


BROKEN = """\
def fail():
    raise ValueError("no")
"""
MAIN = """\
import broken
from harness.executors import IsolatedExecutor

if __name__ == "__main__":
    with IsolatedExecutor(1) as pool:
        print(pool.submit(broken.fail).exception())
"""


def test_crash_in_another_process_names_its_file_from_the_current_folder(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(BROKEN, encoding="utf-8")
    (tmp_path / "main.py").write_text(MAIN, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "main.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.stdout == "it raised ValueError: no (broken.py:2 in fail)\n", done.stderr


def test_crash_without_a_traceback_has_no_line() -> None:
    result = without_verdict(JobCrashedError("it raised ValueError: no"))
    assert "place" not in result.verdicts[0].evidence


# --- the table -----------------------------------------------------------------------------------


def test_only_a_long_name_is_cut_and_all_headings_stay() -> None:
    name = "a_milestone_with_a_name_that_goes_on_and_on_and_on_and_on_and_on"
    records = [bias_lost(milestone=name, seed=seed) for seed in range(12)]
    report = text.render(scorecard_of(*map(judged, records)), width=100)
    head, row = report.splitlines()[:2]
    assert head.split()[-5:] == ["gradients", "moved", "accuracy", "(target)", "time"]
    assert "FAIL 0/12 seeds" in row
    assert "a_milestone" in row.split()[0]
    assert max(map(len, report.splitlines()[:2])) <= 100


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
