"""What reports say of the engine itself, of what it spoils, of checks not run, and of time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.checks.base import NOT_ASKED_FOR, NOT_PROBED, Verdict
from harness.errors import JobTimeoutError
from harness.record import EngineRecord, Probed
from harness.reports import markdown, profile, text
from harness.reports.summary import engine_line, failures, headline, not_run
from harness.results import engine_result, failed_engine_result
from harness.scorecard import EngineResult, Scorecard, overall
from tests.examples import bias_lost, healthy, judged, scorecard_of

BROKEN = Verdict(
    "ops_compute_right",
    "fail",
    "softmax: value (3, 4): got 0.3, expected 0.25 (ops/softmax.py:33)",
    "Compare the forward half with its formula.",
    {"culprits": ["softmax"], "place": "ops/softmax.py:33"},
)
FINE = Verdict("gradients_add_up", "pass", "4 gradients add up")


def engine(*verdicts: Verdict) -> EngineResult:
    record = EngineRecord("numpy", Probed(seconds={"op_values": 0.02, "accumulation": 0.01}))
    return engine_result(record, verdicts)


def card(found: EngineResult | None, *uses: list[str]) -> Scorecard:
    """Sick milestones made of what `uses` lists, one each, on an engine."""
    results = [
        judged(replace(bias_lost(milestone=f"m{i}"), uses=used)) for i, used in enumerate(uses)
    ]
    whole = scorecard_of(*results, judged(healthy(milestone="good")))
    status = overall([whole.status, *([found.status] if found else [])])
    return whole.model_copy(update={"engine": found, "status": status})


def flowed(report: str) -> str:
    return " ".join(report.split())


def test_names_that_the_harness_does_not_know_are_told_apart_from_those_that_lack() -> None:
    lacks = ["layer Conv2d", "unknown layer Swish", "unknown op expp (Did you mean 'exp'?)"]
    record = EngineRecord("mylib", Probed(), lacks)
    told = not_run(card(engine_result(record, [FINE])))

    assert told[-2:] == [
        "checks of the engine on layer Conv2d (mylib does not offer them)",
        "checks of values on layer Swish; op expp (Did you mean 'exp'?) "
        "(the harness knows no formula of them)",
    ]


def test_engine_that_passes_is_one_line() -> None:
    good = card(engine(FINE, replace(FINE, status="skip")))
    assert engine_line(good) == "engine numpy: 1 of 1 checks pass (0.03 s)"
    assert engine_line(good) in flowed(text.render(good))
    assert engine_line(card(None)) == ""
    assert headline(good) == "1 of 1 milestones pass"


def test_broken_op_is_the_cause_of_the_milestones_that_use_it_and_of_no_others() -> None:
    found = failures(card(engine(BROKEN, FINE), ["Softmax", "softmax"], ["Linear", "linear"]))
    assert [failure.where for failure in found] == ["engine", "m1, seed 0"]
    assert found[0].cause.check == "ops_compute_right"
    assert found[0].consequences == []
    assert [spoiled.where for spoiled in found[0].spoils] == ["m0, seed 0"]


def test_broken_backward_pass_spoils_every_milestone() -> None:
    tape = replace(BROKEN, evidence={"culprits": ["backward pass"]})
    (found,) = failures(card(engine(tape), ["Linear"], []))
    assert [spoiled.milestone for spoiled in found.spoils] == ["m0", "m1"]


def test_text_names_the_engine_first_and_what_it_spoils() -> None:
    report = flowed(text.render(card(engine(BROKEN), ["softmax"])))
    cause = report.index("FAIL engine: softmax: value (3, 4): got 0.3, expected 0.25")
    spoiled = report.index("therefore m0, seed 0: gradients_arrive: hidden.bias received no")
    assert cause < spoiled
    assert "1 of 2 milestones pass, the engine fails its own checks." in report


def test_markdown_names_the_engine_and_what_it_spoils() -> None:
    report = markdown.render(card(engine(BROKEN), ["softmax"]))
    assert "**engine:** softmax: value (3, 4): got 0.3" in report
    assert "Therefore m0, seed 0: hidden.bias received no gradient" in report
    assert "engine numpy: 0 of 1 checks pass" in report


def test_failing_engine_fails_a_scorecard_whose_milestones_pass() -> None:
    whole = card(engine(BROKEN))
    assert [result.status for result in whole.results] == ["pass"]
    assert (whole.status, whole.exit_code) == ("fail", 1)


def test_engine_that_hangs_is_an_error_with_its_cause() -> None:
    died = failed_engine_result("numpy", JobTimeoutError("it was stopped after 1 s", "Loops?"))
    report = flowed(text.render(card(died)))
    assert "ERROR engine: it was stopped after 1 s Loops?" in report
    assert "the engine could not be checked." in report


def test_skipped_checks_are_listed_with_their_reason_once() -> None:
    stale = replace(FINE, check="learning_in_band", status="skip", reason="no calibration")
    left_out = replace(FINE, check="loss_falls", status="skip", reason=NOT_ASKED_FOR)
    other_seed = replace(FINE, check="slopes", status="skip", reason=NOT_PROBED)
    whole = card(engine(stale, left_out, other_seed, FINE))
    of_the_engine = [sentence for sentence in not_run(whole) if " on good" not in sentence]
    assert of_the_engine == ["learning_in_band on engine (no calibration)",
                             "loss_falls (not asked for)"]  # fmt: skip
    for report in (text.render(whole), markdown.render(whole).replace("\\", "")):
        assert "ot run: loss_falls (not asked for)" in flowed(report)


@pytest.mark.parametrize(
    ("statuses", "status"),
    [
        (["pass", "skip"], "pass"),
        (["skip"], "error"),
        ([], "error"),
        (["skip", "fail", "error"], "fail"),
    ],
)
def test_skipped_is_neither_passed_nor_failed(statuses: list[str], status: str) -> None:
    assert overall(statuses) == status


def test_profile_shows_phases_probes_and_their_sum() -> None:
    record = healthy()
    record.probed = Probed(seconds={"slopes": 0.05})
    record.seconds["probing"] = 0.05
    whole = scorecard_of(judged(record)).model_copy(update={"engine": engine(FINE)})
    lines = [line.split() for line in profile.render(whole).splitlines()]
    assert ["small", "50.0", "10.0", "500.0", "20.0", "10.0"] in lines
    assert ["op_values", "20.0"] in lines
    assert ["slopes", "50.0"] in lines
    assert " ".join(lines[-1]) == (
        "probes 80 ms, of it 30 ms on the engine itself; training one seed of each 540 ms"
    )


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
