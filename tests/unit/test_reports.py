"""What a person reads: verdict first, every failure with its cause and its consequences."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from harness.checks.base import Verdict
from harness.errors import JobCrashedError, JobKilledError, JobTimeoutError
from harness.record import RunRecord
from harness.reports import FORMATS, renderer, text
from harness.reports.summary import failures, headline, lines
from harness.results import judged_result
from harness.scorecard import Scorecard
from tests.examples import (
    bias_lost,
    healthy,
    judged,
    scorecard_of,
    small_config,
    with_gradient,
    with_movement,
    without_verdict,
)

TIMEOUT = JobTimeoutError("it was stopped after 1 s", "Does it loop?")
ESCAPE = "\x1b["

PASS = scorecard_of(judged(healthy()))
FAIL = scorecard_of(judged(healthy(milestone="good")), judged(bias_lost(milestone="bad")))
ERROR = scorecard_of(judged(healthy()), without_verdict(TIMEOUT, milestone="slow"))
SEEDS = scorecard_of(
    *(judged(healthy(seed=seed)) for seed in range(17)),
    *(judged(bias_lost(seed)) for seed in range(17, 19)),
    without_verdict(TIMEOUT, 19),
)


def with_bias_missing_but_learned() -> RunRecord:
    """As bias_lost, but all else is as it should be."""
    record = with_gradient(healthy(), "hidden.bias", np.nan, slice(None))
    return with_movement(record, "hidden.bias", 0.0, slice(None))


def rows(card: Scorecard, **options: bool) -> list[list[str]]:
    """The words of every line of the text report."""
    return [line.split() for line in text.render(card, **options).splitlines()]


def flowed(card: Scorecard, **options: bool) -> str:
    """The text report as one line, however it was wrapped."""
    return " ".join(word for row in rows(card, **options) for word in row)


# --- text ----------------------------------------------------------------------------------


def test_text_of_a_pass_is_a_table_and_a_sentence() -> None:
    head, row, *_, last = [line for line in rows(PASS) if line]
    assert head == [
        "milestone", "year", "verdict", "loss", "gradients", "moved", "accuracy", "(target)",
        "time",
    ]  # fmt: skip
    assert row == ["small", "1986", "pass", "0.7", "→", "0.116", "4/4", "4/4", "1.000", "(1)",
                   "0.54", "s"]  # fmt: skip
    assert last == ["1", "of", "1", "milestones", "pass."]
    assert "FAIL" not in flowed(PASS)


def test_text_of_a_failure_names_the_cause_and_lists_the_consequences() -> None:
    report = flowed(FAIL)
    assert ["bad", "1986", "FAIL", "0.7", "→", "0.7", "3/4", "3/4"] in [r[:8] for r in rows(FAIL)]
    assert ["good", "1986", "pass"] in [row[:3] for row in rows(FAIL)]
    cause = report.index("FAIL bad, seed 0: hidden.bias received no gradient in any of 20 steps")
    assert cause < report.index("therefore also: parameters_move, loss_falls, target_reached")
    assert "Is it passed to Function.__init__ of its op" in report
    assert report.endswith("1 of 2 milestones pass.")
    assert "FAIL good" not in report


def test_only_consequence_is_told_in_its_own_words() -> None:
    report = flowed(scorecard_of(judged(with_bias_missing_but_learned())))
    assert "therefore parameters_move: hidden.bias did not move in any of 20 steps" in report
    assert "therefore also" not in report


def test_line_to_blame_is_shown_below_a_cause_that_does_not_say_it() -> None:
    def shown(reason: str) -> str:
        verdict = Verdict("graph_is_whole", "fail", reason, "", {"place": "harness/cnn.py:31"})
        return flowed(scorecard_of(judged_result(small_config(), healthy(), [verdict])))

    assert "the graph is cut at harness/cnn.py:31" in shown("the graph is cut")
    assert shown("it is cut (harness/cnn.py:31)").count("harness/cnn.py:31") == 1


def test_verbose_text_shows_the_line_of_every_verdict() -> None:
    verdict = Verdict("graph_is_whole", "fail", "it is cut", "", {"place": "harness/cnn.py:31"})
    card = scorecard_of(judged_result(small_config(), healthy(), [verdict]))
    assert "FAIL graph_is_whole: it is cut (harness/cnn.py:31)" in flowed(card, verbose=True)


def test_text_of_an_error_says_what_happened() -> None:
    report = flowed(ERROR)
    assert ["slow", "1986", "ERROR", "-", "→", "-"] in [row[:6] for row in rows(ERROR)]
    assert "ERROR slow, seed 0: it was stopped after 1 s Does it loop?" in report
    assert report.endswith("1 of 2 milestones pass.")


def test_text_of_several_seeds_counts_them() -> None:
    (row,) = (row for row in rows(SEEDS) if row[:1] == ["small"])
    assert row[2:5] == ["FAIL", "17/20", "seeds"]
    twenty = scorecard_of(*(judged(healthy(seed=seed)) for seed in range(20)))
    (row,) = (row for row in rows(twenty) if row[:1] == ["small"])
    assert row[2:5] == ["pass", "20/20", "seeds"]


def test_verbose_text_shows_every_check_and_tensor() -> None:
    report = rows(FAIL, verbose=True)
    starts = [row[:2] for row in report]
    for check in ("gradients_arrive:", "parameters_move:", "loss_falls:", "target_reached:"):
        assert ["FAIL", check] in starts
        assert ["pass", check] in starts
    assert ["MISSING", "hidden.bias", "(4):", "gradient", "-,", "movement", "0"] in report
    assert ["OK", "hidden.weight", "(4x2):", "gradient", "0.5,", "movement", "0.05"] in report


@pytest.mark.parametrize("card", [PASS, FAIL, ERROR, SEEDS])
@pytest.mark.parametrize("verbose", [False, True])
def test_text_without_colour_has_no_codes_and_no_trailing_blanks(
    card: Scorecard, verbose: bool
) -> None:
    report = text.render(card, verbose=verbose)
    assert ESCAPE not in report
    assert report == "".join(line.rstrip() + "\n" for line in report.splitlines())
    assert max(map(len, report.splitlines())) <= 100


def test_colour_only_adds_codes() -> None:
    plain, coloured = text.render(FAIL), text.render(FAIL, colour=True)
    assert ESCAPE in coloured
    stripped = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    assert stripped.split() == plain.split()


def test_colour_in_the_environment_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether there is colour is an argument; rich looks at these by itself."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLORTERM", "truecolor")
    assert ESCAPE not in text.render(FAIL, colour=False)
    monkeypatch.setenv("NO_COLOR", "1")
    assert ESCAPE not in text.render(FAIL, colour=False)


def test_brackets_in_a_reason_are_no_markup() -> None:
    error = JobCrashedError("it raised KeyError: '[bold]x[/bold]' and [/] :smile:")
    assert "'[bold]x[/bold]' and [/] :smile:" in flowed(scorecard_of(without_verdict(error)))


def test_excerpt_of_a_config_keeps_its_lines_and_its_mark_in_place() -> None:
    told = "xor.yaml:5:11: layers.a: no such layer, and then some words that fill more than a line"
    excerpt = "    type:   Linaer  # a comment that is longer than what fits in forty columns"
    error = JobCrashedError(f"{told}\n{excerpt}\n            ^")
    shown = text.render(scorecard_of(without_verdict(error)), width=60).splitlines()
    at = next(i for i, line in enumerate(shown) if "type:" in line)
    assert shown[at] == f"     {excerpt}"
    assert shown[at + 1].index("^") == shown[at].index("Linaer")
    assert "some words that fill more than a line" in " ".join(" ".join(shown[:at]).split())


def test_many_causes_are_cut_short_with_a_word() -> None:
    cards = [
        without_verdict(JobTimeoutError(f"it was stopped after {i} s"), milestone=f"m{i}")
        for i in range(12)
    ]
    report = flowed(scorecard_of(*cards))
    assert report.count(", seed 0: it was stopped after ") == 8
    assert "... and 4 more; all are in the scorecard." in report


# --- what all formats share ------------------------------------------------------------------


def test_seeds_of_one_cause_stand_together_and_other_causes_alone() -> None:
    found = failures(SEEDS)
    assert [(failure.cause.check, failure.seeds) for failure in found] == [
        ("gradients_arrive", [17, 18]),
        ("runs", [19]),
    ]
    assert found[0].where == "small, seed 17 and 1 more"
    assert found[1].where == "small, seed 19"


def test_different_errors_are_different_causes() -> None:
    card = scorecard_of(
        without_verdict(TIMEOUT, 0),
        without_verdict(JobKilledError("its process was killed by SIGKILL"), 1),
        without_verdict(TIMEOUT, 2),
    )
    assert [failure.seeds for failure in failures(card)] == [[0, 2], [1]]


def test_line_of_several_seeds_tells_the_worst_and_the_range() -> None:
    (line,) = lines(SEEDS)
    assert (line.gradients, line.moved) == ("3/4", "3/4")
    assert line.accuracy == "0.500-1.000 (1)"
    assert not line.passed


def test_passed_milestones_are_counted_once_whatever_their_seeds() -> None:
    assert headline(SEEDS) == "0 of 1 milestones pass"
    assert headline(FAIL) == "1 of 2 milestones pass"


# --- other formats ---------------------------------------------------------------------------


def test_markdown_has_a_headline_the_failures_and_a_table() -> None:
    report = renderer("markdown")(FAIL)
    parts = report.split("\n\n")
    assert parts[0] == "## 1 of 2 milestones pass"
    assert parts[1].startswith("**bad, seed 0:** hidden.bias received no gradient in any of 20")
    assert "Therefore also: parameters_move, loss_falls, target_reached." in parts[1].replace(
        "\\", ""
    )
    table = [line.split(" | ") for line in parts[2].splitlines()]
    assert {len(row) for row in [table[0], *table[2:]]} == {8}
    assert [row[0] for row in table[2:]] == ["| good", "| bad"]
    assert [row[2] for row in table[2:]] == ["pass", "FAIL"]


def test_markdown_leaves_names_as_they_are() -> None:
    error = JobCrashedError("it raised E: a_b_c | *x* `y` <z>")
    report = renderer("markdown")(scorecard_of(without_verdict(error)))
    assert r"a\_b\_c \| \*x\* \`y\` \<z>" in report


@pytest.mark.parametrize("card", [PASS, FAIL, ERROR, SEEDS])
def test_json_report_is_the_scorecard(card: Scorecard) -> None:
    assert json.loads(renderer("json")(card)) == json.loads(card.model_dump_json(by_alias=True))


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_shows_every_milestone(name: str) -> None:
    report = renderer(name)(FAIL)
    assert "good" in report
    assert "bad" in report
    assert report.endswith("\n")
    assert not report.endswith("\n\n")


def test_changed_settings_are_shown() -> None:
    """Numbers that are not those of the milestone must not be mistaken for them."""
    card = PASS.model_copy(
        update={"provenance": PASS.provenance.model_copy(update={"modified": ["training.lr=0.5"]})}
    )
    assert "training.lr=0.5" in text.render(card)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
