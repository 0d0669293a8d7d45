"""A scorecard as JUnit XML: suites, cases, what a failure says, and the rules of the format."""

from __future__ import annotations

import math
import sys

import pytest

from harness.checks.base import NOT_PROBED, Stage, Verdict
from harness.errors import JobCrashedError, JobNotRunError, JobTimeoutError, UsageError
from harness.record import EngineRecord
from harness.reports.junit import render
from harness.results import engine_result, judged_result
from harness.scorecard import Result, Scorecard
from tests.comparisons import HOSTILE
from tests.examples import bias_lost, healthy, judged, scorecard_of, small_config, without_verdict
from tests.junit_rules import outcomes, sound

TIMEOUT = JobTimeoutError("it was stopped after 1 s", "Does it loop?")
CRASH = JobCrashedError("it raised KeyError: 'x'", "", "Traceback:\n  File a.py, line 3\nKeyError")
SKIP = Verdict("learning_in_band", "skip", "not calibrated", "", {}, Stage.BAND)


def result_of(*verdicts: Verdict) -> Result:
    return judged_result(small_config(), healthy(), verdicts)


def with_engine(card: Scorecard, verdict: Verdict) -> Scorecard:
    engine = engine_result(EngineRecord("numpy"), [verdict])
    timed = engine.model_copy(update={"seconds": {"op_values": 0.25}})
    return card.model_copy(update={"engine": timed})


def test_suite_is_a_milestone_and_case_a_check_and_seed() -> None:
    card = scorecard_of(
        judged(healthy()), judged(bias_lost(seed=3)), judged(healthy(milestone="b"))
    )
    root = sound(render(card))
    assert [suite.attrib["name"] for suite in root] == ["small", "b"]
    cases = [(c.attrib["classname"], c.attrib["name"]) for c in root[0].findall("testcase")]
    assert ("small.seed_0", "gradients_arrive") in cases
    assert ("small.seed_3", "gradients_arrive") in cases
    checks = {"gradients_arrive", "parameters_move", "loss_falls", "loss_stays_above_floor",
              "target_reached", "learning_in_band"}  # fmt: skip
    assert {name for _, name in cases} == {"runs", *checks}
    assert len(cases) == 2 * (1 + len(checks))


def test_failure_has_its_reason_place_and_hint() -> None:
    bad = Verdict("graph_is_whole", "fail", "it is cut", "Look there.", {"place": "x.py:3"})
    (failure,) = sound(render(scorecard_of(result_of(bad)))).iter("failure")
    assert failure.attrib == {"message": "it is cut", "type": "graph_is_whole"}
    assert failure.text == "it is cut\nat x.py:3\nLook there."


def test_check_that_was_not_made_is_skipped_with_its_reason() -> None:
    (skipped,) = sound(render(scorecard_of(result_of(SKIP)))).iter("skipped")
    assert skipped.attrib["message"] == "not calibrated"


def test_check_whose_probe_looks_at_another_seed_is_no_case() -> None:
    elsewhere = Verdict("graph_is_whole", "skip", NOT_PROBED)
    (suite,) = sound(render(scorecard_of(result_of(elsewhere))))
    assert outcomes(suite) == {"runs": "pass"}


def test_crash_is_an_error_with_its_traceback() -> None:
    root = sound(render(scorecard_of(without_verdict(CRASH))))
    assert outcomes(root[0]) == {"runs": "error"}
    (error,) = root.iter("error")
    assert error.attrib == {"message": "it raised KeyError: 'x'", "type": "JobCrashedError"}
    assert (error.text or "").endswith("Traceback:\n  File a.py, line 3\nKeyError")


def test_time_is_that_of_the_job() -> None:
    root = sound(render(scorecard_of(judged(healthy()))))
    cases = {c.attrib["name"]: float(c.attrib["time"]) for c in root[0].findall("testcase")}
    assert cases["runs"] == 0.54  # 0.01 building, 0.5 training, 0.02 watching, 0.01 evaluating
    assert {spent for name, spent in cases.items() if name != "runs"} == {0.0}
    assert float(root.attrib["time"]) == 0.54


def test_engine_is_a_suite_of_its_own_before_the_others() -> None:
    bad = Verdict("ops_compute_right", "fail", "softmax: wrong")
    root = sound(render(with_engine(scorecard_of(judged(healthy())), bad)))
    assert [suite.attrib["name"] for suite in root] == ["engine", "small"]
    assert outcomes(root[0]) == {"runs": "pass", "ops_compute_right": "failure"}
    assert float(root[0].attrib["time"]) == 0.25


def test_commit_and_machine_are_properties_where_they_are_known() -> None:
    card = scorecard_of(judged(healthy()))
    known = card.provenance.model_copy(update={"commit": "f" * 40, "dirty": True})
    root = sound(render(card.model_copy(update={"provenance": known})))
    found = {each.attrib["name"]: each.attrib["value"] for each in root[0].iter("property")}
    assert found == {
        "commit": "f" * 40, "uncommitted changes": "yes", "backend": "numpy", "python": "3.12.0",
        "numpy": "2.0.0", "cpu": "a processor",
    }  # fmt: skip
    bare = sound(render(card))
    assert "commit" not in {each.attrib["name"] for each in bare.iter("property")}


@pytest.mark.parametrize("seconds", [math.nan, math.inf, 1e-7, 12345.6789])
def test_odd_times_are_decimals(seconds: float) -> None:
    result = judged(healthy()).model_copy(update={"seconds": {"training": seconds}})
    sound(render(scorecard_of(result)))


def test_hostile_words_keep_the_rules() -> None:
    bad = Verdict(HOSTILE, "fail", HOSTILE * 200, HOSTILE, {"place": HOSTILE, "kind": HOSTILE})
    odd = Verdict("x", "error", "", "", {"place": 3, "kind": None, "traceback": ["no text"]})
    half = Verdict("half", "fail", "half \ud800 of a pair ]]> \ufffe")
    root = sound(render(scorecard_of(result_of(bad, odd, half))))
    assert sorted(outcomes(root[0]).values()) == ["error", "failure", "failure", "pass"]
    (text,) = (each.text for each in root.iter("failure") if each.attrib["type"] == "half")
    assert text == "half ? of a pair ]]> "  # a result holds no half character


def test_same_check_twice_gives_two_cases() -> None:
    root = sound(render(scorecard_of(result_of(SKIP, SKIP))))
    assert list(outcomes(root[0])) == ["runs", "learning_in_band", "learning_in_band (2)"]


def test_two_hundred_seeds_are_two_hundred_groups() -> None:
    result = judged(healthy())
    card = scorecard_of(*(result.model_copy(update={"seed": seed}) for seed in range(200)))
    (suite,) = sound(render(card))
    assert len({case.attrib["classname"] for case in suite.findall("testcase")}) == 200


def test_nothing_is_a_document_too() -> None:
    assert list(sound(render(scorecard_of()))) == []
    (suite,) = sound(render(scorecard_of(without_verdict(TIMEOUT))))
    assert outcomes(suite) == {"runs": "error"}


def test_missing_package_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "junitparser", None)
    with pytest.raises(UsageError, match="junitparser, which is not installed") as caught:
        render(scorecard_of(judged(healthy())))
    assert caught.value.hint == "Install it with: pip install 'milestone-harness[junit]'"
    assert caught.value.exit_code == 2


def test_job_that_never_started_is_skipped_with_its_reason() -> None:
    stopped = without_verdict(JobNotRunError("it was not run: interrupted"))
    root = sound(render(scorecard_of(stopped)))
    assert outcomes(root[0])["runs"] == "skipped"
    (skipped,) = root.iter("skipped")
    assert skipped.attrib["message"] == "it was not run: interrupted"
    assert root.attrib["errors"] == "0"


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
