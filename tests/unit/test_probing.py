"""Probes are found by folder, stop none of the others, and their checks say when not run."""

from __future__ import annotations

import numpy as np
import pytest

from harness import checks, probes
from harness.checks import all_checks, chosen, judge, judge_engine, probes_for
from harness.checks.base import NOT_ASKED_FOR, NOT_PROBED, Check
from harness.checks.measured import SINGLE, judge_measurements
from harness.errors import UsageError
from harness.measurement import Measurement, NotMeasurableError, discrepancy
from harness.record import EngineRecord, Probed
from tests.examples import healthy, small_config

PROBED = [each for each in all_checks() if each.probe]


def row(subject: str = "softmax", error: float = 0.0, place: str = "") -> Measurement:
    return Measurement(subject, "value (3, 4)", 1.0 + error, 1.0, error, place)


def kind_of(each: Check) -> str:
    return "training" if each.of_training else each.scope


# --- probes ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", probes.KINDS)
def test_every_probe_has_a_check_and_every_check_finds_its_probe(kind: str) -> None:
    needed = {each.probe for each in PROBED if kind_of(each) == kind}
    assert needed == set(probes.available(kind))


def test_probes_of_a_kind_are_picked_in_their_order() -> None:
    names = ["whole_training", "slopes", "ops", "graph"]
    assert probes.among("milestone", names) == ["slopes", "graph"]
    assert probes.among("training", names) == ["whole_training"]


def test_probe_that_raises_stops_none_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing_here(subject: object) -> list[Measurement]:
        raise NotMeasurableError("no sequence is declared")

    def broken(subject: object) -> list[Measurement]:
        raise RuntimeError(f"cannot look at {subject}")

    measures = {"a": broken, "b": nothing_here, "c": lambda subject: [row()]}
    monkeypatch.setattr(
        probes, "import_module", lambda name: type(name, (), {"measure": measures[name[-1]]})
    )
    probed = probes.examine("milestone", ["a", "b", "c"], "it")
    assert probed.measured == {"c": [row()]}
    assert probed.unmeasurable == {"b": "no sequence is declared"}
    assert "RuntimeError: cannot look at it" in probed.crashed["a"]
    assert list(probed.seconds) == ["a", "b", "c"]


# --- checks that need a probe --------------------------------------------------------------


@pytest.mark.parametrize("each", PROBED, ids=lambda each: each.name)
def test_check_without_its_probe_is_skipped_never_passed(each: Check) -> None:
    record = EngineRecord("numpy") if each.scope == "engine" else None
    verdicts = judge_engine(record) if record else judge(small_config(), healthy())
    (verdict,) = (verdict for verdict in verdicts if verdict.check == each.name)
    assert (verdict.status, verdict.reason) == ("skip", NOT_PROBED)


@pytest.mark.parametrize("each", PROBED, ids=lambda each: each.name)
def test_crash_of_a_probe_is_an_error_of_its_check_with_the_traceback(each: Check) -> None:
    probe = each.probe or ""
    probed = Probed(crashed={probe: "Traceback ...\nValueError: no such thing"})
    record = healthy()
    record.probed = probed
    verdicts = (
        judge_engine(EngineRecord("numpy", probed))
        if each.scope == "engine"
        else judge(small_config(), record)
    )
    (verdict,) = (verdict for verdict in verdicts if verdict.check == each.name)
    assert verdict.status == "error"
    assert verdict.reason == f"the probe '{probe}' failed: ValueError: no such thing"
    assert verdict.evidence["traceback"] == probed.crashed[probe]


@pytest.mark.parametrize("each", PROBED, ids=lambda each: each.name)
def test_what_a_probe_cannot_measure_is_skipped_with_its_reason(each: Check) -> None:
    probed = Probed(unmeasurable={each.probe or "": "nothing to see"})
    record = healthy()
    record.probed = probed
    verdicts = (
        judge_engine(EngineRecord("numpy", probed))
        if each.scope == "engine"
        else judge(small_config(), record)
    )
    (verdict,) = (verdict for verdict in verdicts if verdict.check == each.name)
    assert (verdict.status, verdict.reason) == ("skip", "nothing to see")


# --- choosing ------------------------------------------------------------------------------


def test_checks_outside_the_choice_are_listed_as_not_asked_for() -> None:
    verdicts = judge(small_config(), healthy(), names=chosen(["loss_falls", "target_reached"]))
    assert {v.check for v in verdicts if v.status == "pass"} == {"loss_falls", "target_reached"}
    assert {v.reason for v in verdicts if v.status == "skip"} == {NOT_ASKED_FOR}
    assert len(verdicts) == sum(each.scope == "milestone" for each in all_checks())


def test_skip_takes_away_from_all_or_from_those_asked_for() -> None:
    everything = {each.name for each in all_checks()}
    assert chosen() == everything
    assert chosen(skip=["loss_falls"]) == everything - {"loss_falls"}
    assert chosen(["loss_falls", "target_reached"], ["loss_falls"]) == {"target_reached"}


@pytest.mark.parametrize("arguments", [(["los_falls"], []), ([], ["los_falls"])])
def test_unknown_check_is_refused_with_a_suggestion(arguments: tuple[list[str], ...]) -> None:
    with pytest.raises(UsageError, match=r"unknown check .* Did you mean") as caught:
        chosen(*arguments)
    assert "'loss_falls'" in str(caught.value)
    assert "gradients_arrive" in caught.value.hint


def test_only_the_probes_of_the_chosen_checks_are_needed() -> None:
    assert probes_for("milestone", frozenset({"gradients_agree", "loss_falls"})) == ("slopes",)
    assert probes_for("engine", frozenset({"gradients_agree"})) == ()
    both = [*probes.available("milestone"), *probes.available("training")]
    assert sorted(probes_for("milestone", None)) == sorted(both)
    assert probes_for("milestone", frozenset({"training_follows_the_rule"})) == ("whole_training",)


def test_two_checks_never_share_a_name() -> None:
    names = [each.name for each in checks.all_checks()]
    assert len(set(names)) == len(names)


# --- judging measurements ------------------------------------------------------------------


def test_measurements_within_the_tolerance_pass() -> None:
    passed, reason, _, evidence = judge_measurements(
        [row(error=1e-5), row("relu")], SINGLE, "all is well", "a hint"
    )
    assert (passed, reason) == (True, "all is well")
    assert evidence == {"measurements": 2, "tolerance": SINGLE}


@pytest.mark.parametrize("error", [1e-3, float("inf"), float("nan")])
def test_measurement_beyond_it_fails_with_subject_numbers_and_place(error: float) -> None:
    rows = [row("relu"), row(error=error, place="ops/softmax.py:33"), row("linear", 1.0)]
    passed, reason, hint, evidence = judge_measurements(rows, SINGLE, "all is well", "a hint")
    assert not passed
    assert reason.startswith("softmax: value (3, 4): got ")
    assert reason.endswith("expected 1 (ops/softmax.py:33); also linear")
    assert (evidence["culprits"], evidence["place"]) == (["softmax", "linear"], "ops/softmax.py:33")
    assert hint == "a hint"


def test_no_measurement_at_all_is_no_pass() -> None:
    passed, reason, _, _ = judge_measurements([], SINGLE, "all is well", "a hint")
    assert (passed, reason) == (False, "nothing was measured")


def test_discrepancy_is_relative_and_infinite_for_what_cannot_be_compared() -> None:
    one = np.array([3.0, 4.0])
    assert discrepancy(one, one) == 0.0
    assert discrepancy(one * 1.1, one) == pytest.approx(0.1)
    assert discrepancy(one[:1], one) == float("inf")
    assert discrepancy(np.array([np.nan, 4.0]), one) == float("inf")
    assert discrepancy(one, np.zeros(2)) == float("inf")
    assert discrepancy(np.zeros(2), np.zeros(2)) == 0.0
    assert discrepancy(one * 1e-9, np.zeros(2), floor=1.0) == pytest.approx(5e-9)
    assert discrepancy(np.zeros(0), np.zeros(0)) == 0.0


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
