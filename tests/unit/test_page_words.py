"""What the page says: the culprit first, then every check, the nights, and the comparison."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.errors import JobCrashedError, ScorecardError
from harness.history.nights import History, Point
from harness.reports.kill_matrix import SCHEMA
from harness.reports.page import checks, kills, trend, verdict, words
from harness.reports.page.material import Material
from harness.scorecard import EngineResult, VerdictRow
from tests.comparisons import EXAMPLES, comparison_of, regressed
from tests.examples import bias_lost, healthy, judged, scorecard_of, without_verdict
from tests.pages import history_of, material_of, point


def test_culprit_has_its_tensor_and_the_command_that_shows_it() -> None:
    found = verdict.section(material_of(healthy(), bias_lost(seed=3)))
    assert (found.headline, found.tone) == ("0 of 1 milestones pass", "bad")
    (finding,) = found.findings
    assert finding.title == "Small fails on seed 3"
    assert finding.tensors == "hidden.bias"
    assert finding.reproduce == "harness run small.yaml --seed 3 --explain hidden.bias"
    assert finding.reason.startswith("hidden.bias received no gradient")


def test_line_of_code_comes_from_the_first_verdict_that_knows_one() -> None:
    result = judged(bias_lost())
    bad = [each for each in result.verdicts if each.status == "fail"]
    placed = bad[1].model_copy(update={"evidence": {"place": "ops/linear.py:12"}})
    card = scorecard_of(result.model_copy(update={"verdicts": [bad[0], placed]}))
    assert verdict.section(Material(scorecard=card)).findings[0].place == "ops/linear.py:12"


def test_changed_settings_are_in_the_command_and_safe_in_a_shell() -> None:
    card = scorecard_of(judged(bias_lost()))
    source = card.provenance.model_copy(update={"modified": ["training.lr=1; rm x"]})
    found = verdict.section(Material(scorecard=card.model_copy(update={"provenance": source})))
    assert found.findings[0].reproduce.endswith("--set 'training.lr=1; rm x'")


def test_milestone_that_uses_what_is_broken_follows_from_the_engine() -> None:
    broken = VerdictRow(
        check="ops_differentiate_right", status="fail", reason="tanh: got 0, expected 1",
        evidence={"culprits": ["Tanh"], "place": "ops/elementary.py:9"},
    )  # fmt: skip
    engine = EngineResult(backend="numpy", status="fail", verdicts=[broken])
    result = judged(bias_lost()).model_copy(update={"uses": ["Tanh"]})
    card = scorecard_of(result).model_copy(update={"engine": engine})
    (finding,) = verdict.section(Material(scorecard=card)).findings
    assert finding.title == "The engine fails its own checks"
    assert (finding.place, finding.tensors) == ("ops/elementary.py:9", "hidden.bias")
    assert finding.follows[0].startswith("small, seed 0: ")


def test_crash_is_no_verdict_and_no_failure() -> None:
    card = scorecard_of(without_verdict(JobCrashedError("division by zero")))
    found = verdict.section(Material(scorecard=card))
    assert (found.findings[0].title, found.tone) == ("Small has no verdict", "open")
    assert found.findings[0].reproduce == "harness run small.yaml --seed 0"


def test_culprit_says_since_when_and_what_the_base_had() -> None:
    nights = history_of([point("fail"), point(), point("fail"), None, point("fail")])
    compared = comparison_of(regressed("small"))
    (finding,) = verdict.section(
        material_of(bias_lost(), history=nights, comparison=compared)
    ).findings
    assert finding.since == (
        "Fails since night 0003 (2026-05-03, 0000003), 2 nights in a row; the last good one is "
        "night 0002 (2026-05-02, 0000002)."
    )
    assert finding.compared.startswith("Against main: conv1.bias's gradient differs from step 0")


def test_regression_alone_is_a_culprit_with_line_and_command() -> None:
    (finding,) = verdict.section(Material(comparison=EXAMPLES["regressed"])).findings
    assert finding.title == "CNN is worse than on main"
    assert finding.tensors == "conv1.bias, conv2.bias"
    assert finding.place == "harness/autograd/ops/convolution.py:102"
    assert finding.reproduce == "harness run cnn --seed 0 --explain conv1.bias"


def test_run_that_passes_and_is_worse_than_its_base_is_bad() -> None:
    found = verdict.section(material_of(healthy(), comparison=EXAMPLES["regressed"]))
    assert found.headline == "1 of 1 milestones pass, but against main cnn regressed"
    assert found.tone == "bad"


def test_history_alone_tells_what_failed_last_night() -> None:
    nights = history_of([point(), point("fail", cause="lost its bias")])
    found = verdict.section(Material(history=nights))
    assert found.headline == "Last night 0 of 1 milestone passed"
    assert [(each.title, each.reason) for each in found.findings] == [
        ("small fails", "lost its bias")
    ]


def test_check_says_on_how_many_seeds_it_fails_and_why() -> None:
    records = (healthy(), bias_lost(seed=1), bias_lost(seed=2))
    (group,) = checks.section(material_of(*records))
    first = group.lines[0]
    assert (first.check, first.word) == ("gradients_arrive", "FAIL on 2 of 3")
    assert first.reasons[0].endswith("(seeds 1, 2)")
    assert group.is_open
    assert [line.status for line in group.lines] == sorted(
        (line.status for line in group.lines), key=lambda status: status != "fail"
    )


def test_streak_ends_with_the_last_pass() -> None:
    figures = [
        trend.section(Material(history=history_of(points))).figures[0]  # type: ignore[union-attr]  # there are nights
        for points in ([point("fail"), point()], [point(), point("error")], [point(), None])
    ]
    assert [(each.word, each.is_failing) for each in figures] == [
        ("pass", False), ("ERROR", True), ("not run", False),
    ]  # fmt: skip


def test_files_that_could_not_be_read_are_named_at_most_ten() -> None:
    nights = history_of([point()])
    many = replace(nights, skipped=nights.skipped * 25)
    found = trend.section(Material(history=many))
    assert found
    assert found.skipped[0] == "0007.json: not JSON"
    assert found.skipped[10:] == ("and 15 more; `harness history --format json` lists all",)


@pytest.mark.parametrize(
    "data",
    [{}, {"figures": []}, {"figures": {"caught": {"part": 1}}}, {"passed": 1, "faults": [1]}],
)
def test_half_a_selftest_is_refused_with_a_sentence(data: dict[str, object]) -> None:
    with pytest.raises(ScorecardError, match=r"night\.json is not a whole selftest"):
        kills.read({"schema": SCHEMA, **data}, "night.json")


def test_long_words_are_cut_with_a_count() -> None:
    assert words.cut("a" * 1000, 700) == "a" * 700 + " … (300 more characters)"
    assert words.cut("short", 700) == "short"


def test_numbers_seeds_and_days_in_words() -> None:
    numbers = (0.123456, None, float("nan"), 14000.0, 1.4e13, 0.0)
    assert [words.number(each) for each in numbers] == [
        "0.123", words.NOTHING, words.NOTHING, "14,000", "1.4e+13", "0",
    ]  # fmt: skip
    assert words.seeds(range(200)) == "seeds 0, 1, 2, 3, 4, 5 and 194 more"
    assert words.day("2026-11-28T03:10:00+00:00") == "2026-11-28 03:10 UTC"
    assert words.day("yesterday") == "yesterday"


def engine_nights(*statuses: str | None) -> History:
    """Nights whose milestone passes, and what became of the engine."""
    made = history_of([point()] * len(statuses))
    nights = [
        replace(night, engine=status, status=status or "pass", engine_cause="tanh is wrong")
        for night, status in zip(made.nights, statuses, strict=True)
    ]
    return History(tuple(nights))


@pytest.mark.parametrize(
    ("status", "said"), [("fail", "failed its own checks"), ("error", "could not be checked")]
)
def test_night_on_which_only_the_engine_fails_is_red_and_says_so(status: str, said: str) -> None:
    nights = engine_nights("pass", status, status)
    material = Material(history=nights)
    found = verdict.section(material)
    assert found.headline == f"Last night 1 of 1 milestone passed, the engine {said}"
    assert found.tone == "bad"
    since = (
        "Fails since night 0002 (2026-05-02, 0000002), 2 nights in a row; the last good one is "
        "night 0001 (2026-05-01, 0000001)."
    )
    (finding,) = found.findings
    assert (finding.reason, finding.since) == ("tanh is wrong", since)
    shown = trend.section(material)
    assert shown
    assert shown.engine == f"The engine by itself: {since} tanh is wrong"


def test_engine_that_failed_once_and_passes_now_is_no_alarm() -> None:
    material = Material(history=engine_nights("fail", "pass"))
    assert verdict.section(material).findings == ()
    shown = trend.section(material)
    assert shown
    assert shown.engine.startswith("The engine did not pass its own checks in 1 night, last in")


def test_page_of_a_run_says_since_when_the_engine_fails() -> None:
    row = VerdictRow(check="ops_behave", status="fail", reason="tanh is wrong")
    engine = EngineResult(backend="numpy", status="fail", verdicts=[row])
    card = scorecard_of(judged(healthy())).model_copy(update={"engine": engine})
    material = Material(scorecard=card, history=engine_nights("pass", "fail"))
    (finding,) = verdict.section(material).findings
    assert finding.since.startswith("Fails since night 0002")


def test_fall_of_accuracy_is_told_before_all_else_that_changed() -> None:
    """Three levels of four quantities are eight changes, of which six are told."""
    points = [
        Point("pass", 5, 0.95 - 0.1 * level, 0.9, 0.5, 0.1 + level, 50 + 30.0 * level, 1.0 + level)
        for level in range(3)
        for _ in range(10)
    ]
    shown = trend.section(Material(history=history_of(points)))
    assert shown
    sentences = shown.figures[0].sentences
    assert len(sentences) == 6
    assert [each for each in sentences if each.startswith("Its accuracy")] == [
        "Its accuracy went from 0.95 to 0.85 in night 0011 (2026-05-11, 000000b).",
        "Its accuracy went from 0.85 to 0.75 in night 0021 (2026-05-21, 0000015).",
    ]
    assert sentences[0].startswith("Its accuracy went from 0.95")


def test_layers_are_not_called_tensors_and_checks_left_out_are_counted() -> None:
    row = regressed("small")
    newly = [row.checks[0].model_copy(update={"check": f"c{i}"}) for i in range(6)]
    assert row.divergence
    parted = row.divergence.model_copy(
        update={"phase": "forward", "tensor": "relu", "also": ["output"]}
    )
    changed = row.model_copy(update={"checks": newly, "divergence": parted})
    (finding,) = verdict.section(Material(comparison=comparison_of(changed))).findings
    assert (finding.tensors, finding.layers) == ("", "relu, output")
    assert len(finding.follows) == 5
    assert finding.follows[-1] == "and 2 more checks"


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
