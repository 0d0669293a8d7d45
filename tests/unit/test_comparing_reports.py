"""A comparison as text, badge and annotations: what is said, in which order, of what."""

from __future__ import annotations

import json
import re

import pytest

from harness.comparison import CheckChange, Comparison, Divergence, Source
from harness.reports.comparing import FORMATS, renderer, text
from harness.reports.comparing.story import headline, seeds, sentence
from tests.comparisons import (
    ENGINE,
    EXAMPLES,
    HEAD,
    comparison_of,
    hostile,
    milestone,
    regressed,
    rounded,
    same,
)

ESCAPE = "\x1b["
LUCK = CheckChange(
    check="target_reached", change="newly failing", base="pass", head="fail",
    reason="accuracy 0.86, target 0.87", hint="Train longer.", place="a.py:3", seeds=[4],
)  # fmt: skip
UNLUCKY = milestone("cnn", "same", "the loss differs by rounding", checks=[LUCK])


def flowed(comparison: Comparison, **options: bool) -> str:
    """The text report as one line, however it was wrapped."""
    return " ".join(text.render(comparison, **options).split())


def badge(comparison: Comparison) -> dict[str, object]:
    found: dict[str, object] = json.loads(renderer("badge")(comparison))
    return found


def annotations(comparison: Comparison) -> list[tuple[str, str, str]]:
    """(level, properties, message) of each; fails for a line that is none."""
    found = []
    for line in renderer("github")(comparison).splitlines():
        match = re.fullmatch(r"::(error|warning|notice) (\S.*?)::(.*)", line)
        assert match, line
        found.append((match[1], match[2], match[3]))
    return found


# --- what all formats say --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("same", "5 of 5 milestones are the same, 4 of them to the bit"),
        ("regressed", "cnn: conv1.bias's gradient differs from step 0: 2.1e-2 against none"),
        ("engine", "cnn: conv1.bias's gradient differs from step 0: 2.1e-2 against none"),
        ("engine_alone", f"engine: ops_differentiate_right: {ENGINE.reason}"),
        ("faster", "mlp: needs 0.46x the steps: faster than can be believed"),
        ("not_comparable", "cnn: the config differs"),
        ("added_and_removed", "xor: on the base's side only"),
        ("does_not_start", EXAMPLES["does_not_start"].problem),
    ],
)
def test_headline_is_that_of_what_is_worst(name: str, expected: str) -> None:
    assert headline(EXAMPLES[name]) == expected


def test_nothing_compared_is_said() -> None:
    assert headline(comparison_of()) == "nothing was compared"
    assert sentence(comparison_of()) == "faster-conv (9d8e7f6) against main (1f0c9a4): no verdict"


SIDES = "faster-conv (9d8e7f6) against main (1f0c9a4), seeds 0 to 7"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("same", f"{SIDES}: no regression shown, 5 of 5 milestones same"),
        ("regressed", f"{SIDES}: cnn regressed"),
        ("engine", f"{SIDES}: the engine and cnn regressed"),
        ("engine_alone", f"{SIDES}: the engine regressed"),
        ("faster", f"{SIDES}: no regression shown, but mlp learns faster than can be believed"),
        ("improved", f"{SIDES}: no regression shown, 1 of 2 milestones same, mlp improved"),
        ("inconclusive",
         f"{SIDES}: no regression shown, but there is too little evidence on transformer"),
        ("not_comparable",
         "the working tree (9d8e7f6) with uncommitted changes against main (1f0c9a4), "
         "seeds 0 to 7: no verdict, cnn cannot be compared"),
        ("added_and_removed",
         f"{SIDES}: no regression shown, 1 of 3 milestones same, xor removed, lstm added"),
        ("does_not_start", "faster-conv (9d8e7f6) against main (1f0c9a4): no verdict"),
    ],
)  # fmt: skip
def test_sentence_says_what_was_compared_and_what_came_out(name: str, expected: str) -> None:
    assert sentence(EXAMPLES[name]) == expected


@pytest.mark.parametrize("name", EXAMPLES)
def test_sentence_and_exit_code_never_contradict(name: str) -> None:
    code, said = EXAMPLES[name].exit_code(), sentence(EXAMPLES[name])
    assert ("regressed" in said) == (code == 1)
    assert ("no verdict" in said) == (code == 3)
    assert ("no regression shown" in said) == (code == 0)


@pytest.mark.parametrize(
    ("each", "expected"),
    [
        ([[0, 1, 2]], ", seeds 0 to 2"),
        ([[3]], ", seed 3"),
        ([[0, 2, 5]], ", 3 seeds"),
        ([[0, 1], [0, 1, 2, 3]], ", 2 to 4 seeds a milestone"),
        ([[0, 1], [2, 3]], ", 2 seeds a milestone"),
        ([[], [0, 1]], ", seeds 0 to 1"),
        ([[]], ""),
        ([], ""),
    ],
)
def test_seeds_are_told_in_short(each: list[list[int]], expected: str) -> None:
    assert seeds([same().model_copy(update={"seeds": one}) for one in each]) == expected


def test_side_that_is_called_by_its_commit_is_not_told_twice() -> None:
    assert HEAD.commit is not None
    bare = Source(name=HEAD.commit[:10], kind="ref", commit=HEAD.commit)
    card = Source(name="runs/latest", kind="scorecard")
    said = sentence(comparison_of(same(), base=bare, head=card))
    assert said.startswith("runs/latest against 9d8e7f6a5b, seeds")


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("example", EXAMPLES)
def test_every_format_shows_every_milestone_and_ends_with_a_line(name: str, example: str) -> None:
    report = renderer(name)(EXAMPLES[example])
    assert all(each.milestone in report for each in EXAMPLES[example].milestones)
    assert report.endswith("\n")
    assert not report.endswith("\n\n")


@pytest.mark.parametrize("name", [*(name for name in FORMATS if name != "json"), "badge"])
def test_every_format_takes_hostile_words_and_hundreds_of_everything(name: str) -> None:
    report = renderer(name)(hostile())
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", report)


def test_json_is_the_comparison() -> None:
    for comparison in (EXAMPLES["regressed"], hostile(seeds=2, tensors=2)):
        got = json.loads(renderer("json")(comparison))
        assert got == json.loads(comparison.model_dump_json(by_alias=True))


# --- text ------------------------------------------------------------------------------------


def test_text_has_the_headline_first_and_the_verdict_last() -> None:
    lines = text.render(EXAMPLES["regressed"]).splitlines()
    assert lines[0] == "cnn: conv1.bias's gradient differs from step 0: 2.1e-2 against none"
    assert lines[2].split()[:4] == ["milestone", "verdict", "bits", "checks"]
    assert lines[3].split()[:3] == ["cnn", "REGRESSED", "CHANGED"]
    assert lines[-1] == f"{SIDES}: cnn regressed."


def test_text_of_a_finding_says_where_why_and_how_to_see_it() -> None:
    said = flowed(EXAMPLES["regressed"])
    parts = [
        "REGRESSED cnn: conv1.bias's gradient differs from step 0",
        "first divergence: from step 0, gradient of conv1.bias, seed 0: 0.0211 on the base, none "
        "on the head; also conv2.bias",
        "newly failing: graph_is_whole on seed 0: Conv2d: slope of conv1.bias",
        "(harness/autograd/ops/convolution.py:102). Is every input passed to",
        "fixed: loss_is_honest",
        "learning speed: 1.92x (1.61 to 2.29), worse; smallest effect this run could have seen: "
        "1.27x",
        "counted: ops per step 34 -> 36",
        "reproduce on the head: harness run cnn --seed 0 --explain conv1.bias",
        "note: Both sides ran on another processor",
    ]
    assert [said.index(part) for part in parts] == sorted(said.index(part) for part in parts)


def test_text_of_the_same_says_what_could_have_been_seen() -> None:
    said = flowed(comparison_of(same("xor"), same("mlp"), rounded("cnn")))
    assert (
        "same xor and mlp: identical to the bit on 8 seeds; could have seen 1.05x the time a step, "
        "1.05x the memory"
    ) in said
    assert (
        "same cnn: the loss differs by rounding from step 0: of norm 2.34 on both, apart by "
        "3.1e-07; could have seen 1.27x the steps to learn as much, 1.35 points of accuracy, "
        "5 seeds that reach the target, 1.05x the time a step, 1.05x the memory"
    ) in said


def test_text_of_the_same_says_what_was_not_measured() -> None:
    blind = rounded("cnn").model_copy(update={"cells": []})
    assert "same cnn: the loss differs by rounding from step 0" in flowed(comparison_of(blind))
    assert "; nothing was measured" in flowed(comparison_of(blind))
    cells = [cell.model_copy(update={"verdict": "not measured"}) for cell in rounded().cells[3:]]
    half = rounded("cnn").model_copy(update={"cells": [*rounded().cells[:1], *cells]})
    assert (
        "could have seen 1.27x the steps to learn as much; could not see step time, peak memory"
    ) in flowed(comparison_of(half))


def test_check_that_fails_on_one_seed_is_told_though_the_milestone_is_the_same() -> None:
    said = flowed(comparison_of(UNLUCKY))
    assert "newly failing: target_reached on seed 4: accuracy 0.86, target 0.87" in said
    assert "(a.py:3). Train longer." in said


def test_only_the_first_cause_says_what_to_do() -> None:
    later = LUCK.model_copy(update={"check": "loss_falls", "hint": "Look again."})
    both = UNLUCKY.model_copy(update={"checks": [LUCK, later]})
    said = flowed(comparison_of(both))
    assert "Train longer." in said
    assert "newly failing: loss_falls on seed 4" in said
    assert "Look again." not in said


def test_cell_that_bits_settle_needs_no_smallest_effect_and_others_do() -> None:
    said = flowed(comparison_of(same("mlp")), verbose=True)
    assert "learning speed: 1x, same (bitwise identical on all 8 seeds)" in said
    blind = (
        rounded()
        .cells[2]
        .model_copy(update={"detectable": None, "low": -1.6, "high": 1.6, "note": "8 of 8 seeds"})
    )
    half = rounded("cnn").model_copy(update={"cells": [blind]})
    assert (
        "reach: 0 seeds (-1.6 to +1.6), same; smallest effect this run could have seen: unknown"
    ) in flowed(comparison_of(half), verbose=True)
    assert "could not see reach" in flowed(comparison_of(half))


def test_columns_that_say_nothing_are_left_out() -> None:
    head = text.render(EXAMPLES["unmeasured"]).splitlines()[2].split()
    assert head == ["milestone", "verdict", "bits"]


def test_verbose_text_has_every_cell() -> None:
    comparison = comparison_of(rounded("cnn"))
    quiet, verbose = flowed(comparison), flowed(comparison, verbose=True)
    assert "step time: 1x (0.991 to 1.01), same; smallest" not in quiet
    assert "step time: 1x (0.991 to 1.01), same; smallest" in verbose


def test_problem_is_told_beside_what_regressed() -> None:
    said = flowed(comparison_of(regressed(), problem="The base hangs."))
    assert said.startswith("cnn: conv1.bias's")
    assert "no verdict: The base hangs." in said


@pytest.mark.parametrize("name", [*EXAMPLES, "hostile"])
@pytest.mark.parametrize("width", [100, 160])
def test_text_fits_its_width_without_codes(name: str, width: int) -> None:
    report = text.render(EXAMPLES.get(name) or hostile(), width=width, verbose=True)
    assert ESCAPE not in report
    assert max(map(len, report.splitlines())) <= width
    assert report == "".join(f"{line.rstrip()}\n" for line in report.splitlines())


@pytest.mark.parametrize("name", ["same", "regressed", "faster", "inconclusive", "unmeasured"])
def test_text_fits_a_screen(name: str) -> None:
    assert len(text.render(EXAMPLES[name]).splitlines()) <= 40


def test_colour_only_adds_codes() -> None:
    plain = text.render(EXAMPLES["worst_of_all"])
    coloured = text.render(EXAMPLES["worst_of_all"], colour=True)
    assert ESCAPE in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured).split() == plain.split()


# --- badge -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "message", "colour"),
    [
        ("same", "same", "brightgreen"),
        ("regressed", "cnn regressed", "red"),
        ("engine_alone", "engine regressed", "red"),
        ("faster", "mlp CHANGED-FASTER", "orange"),
        ("improved", "mlp improved", "brightgreen"),
        ("inconclusive", "transformer inconclusive", "yellow"),
        ("not_comparable", "no verdict", "lightgrey"),
        ("does_not_start", "no verdict", "lightgrey"),
        ("added_and_removed", "xor removed", "yellowgreen"),
    ],
)
def test_badge_is_what_is_worst(name: str, message: str, colour: str) -> None:
    assert badge(EXAMPLES[name]) == {
        "schemaVersion": 1, "label": "vs main", "message": message, "color": colour,
    }  # fmt: skip


# --- annotations -----------------------------------------------------------------------------


def test_newly_failing_check_is_an_error_at_its_line() -> None:
    (level, properties, message), (last, _, summary) = annotations(EXAMPLES["regressed"])
    assert (level, last) == ("error", "notice")
    assert properties == (
        "file=harness/autograd/ops/convolution.py,line=102,title=cnn%3A graph_is_whole"
    )
    assert message.split("%0A")[-3:] == [
        "Newly failing, too: gradients_arrive.",
        "cnn: conv1.bias's gradient differs from step 0: 2.1e-2 against none",
        "Reproduce: harness run cnn --seed 0 --explain conv1.bias",
    ]
    assert summary.startswith(f"{SIDES}: cnn regressed: cnn REGRESSED, perceptron same")


def test_regression_without_a_line_is_an_error_without_a_file() -> None:
    bare = regressed().model_copy(update={"checks": []})
    (level, properties, message), _ = annotations(comparison_of(bare))
    assert (level, properties) == ("error", "title=cnn%3A REGRESSED")
    assert "learning speed: 1.92x (1.61 to 2.29), worse" in message


def test_engine_is_an_error_before_all_milestones() -> None:
    (level, properties, _), *_ = annotations(EXAMPLES["engine"])
    assert level == "error"
    assert properties.endswith("convolution.py,line=60,title=engine%3A ops_differentiate_right")


@pytest.mark.parametrize("name", ["faster", "inconclusive", "not_comparable"])
def test_what_needs_a_look_is_a_warning(name: str) -> None:
    assert [level for level, _, _ in annotations(EXAMPLES[name])] == ["warning", "notice"]


@pytest.mark.parametrize("name", ["same", "improved", "added_and_removed"])
def test_what_is_well_is_a_notice(name: str) -> None:
    assert [level for level, _, _ in annotations(EXAMPLES[name])] == ["notice"]


def test_failure_that_may_be_luck_is_a_warning() -> None:
    assert [level for level, _, _ in annotations(comparison_of(UNLUCKY))] == ["warning", "notice"]


def test_problem_is_an_error() -> None:
    (level, properties, message), _ = annotations(EXAMPLES["does_not_start"])
    assert (level, properties) == ("error", "title=harness compare%3A no verdict")
    assert message == EXAMPLES["does_not_start"].problem


def test_many_errors_of_one_milestone_are_cut() -> None:
    many = [LUCK.model_copy(update={"check": f"check{i}"}) for i in range(30)]
    comparison = comparison_of(regressed().model_copy(update={"checks": many}))
    assert [level for level, _, _ in annotations(comparison)] == ["error"] * 10 + ["notice"]


def test_words_of_a_branch_start_no_command() -> None:
    for line in renderer("github")(hostile(seeds=2, tensors=2)).splitlines():
        assert re.match(r"::(error|warning|notice) ", line)


def test_change_without_an_effect_is_told_before_what_is_the_same() -> None:
    parted = Divergence(level="CHANGED", seeds=[0], seed=0, step=0, phase="start", tensor="a.bias")
    changed = milestone("cnn", "same", "a.bias starts otherwise: 1 against 0", divergence=parted)
    told = comparison_of(same(), changed)
    assert headline(told) == "cnn: a.bias starts otherwise: 1 against 0; no effect of that is shown"


def test_head_that_is_judged_by_less_is_said_to_be() -> None:
    told = comparison_of(same()).model_copy(update={"weaker": ["mlp: odd is no longer made"]})
    assert "but the head is judged by less (mlp: odd is no longer made)" in sentence(told)
    assert "judged by less" in flowed(told)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
