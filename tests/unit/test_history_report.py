"""The nights in a terminal and as JSON: verdicts, streaks, new levels, what was skipped."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from harness.history.nights import History, Night, Point, Skipped
from harness.history.trends import drifts, engine_streak, nights_of, streak
from harness.reports.history import render, to_json

PASSED = Point("pass", 1, 0.9, 0.9, 0.8, 0.3, 100.0, 0.5)
LOST = replace(PASSED, status="fail", cause="conv1.bias received no gradient", check="arrive")
LOW = replace(PASSED, status="fail", accuracy=0.5, lowest=0.5, cause="accuracy 0.5", check="target")
CRASHED = Point("error", 1, None, None, 0.8, None, None, None, "it crashed", "runs")


def night(number: int, **milestones: Point) -> Night:
    return Night(
        file=f"{number:04}-x.json",
        created=f"2026-11-{number:02}T03:10:00+00:00",
        commit=f"{number:07}" + "0" * 33,
        status="pass" if all(p.status == "pass" for p in milestones.values()) else "fail",
        milestones=milestones,
    )


def history(*points: Point | None) -> History:
    """A night for each, from 1 on, with one milestone; without it where there is None."""
    nights = [night(i, **({"a": p} if p else {})) for i, p in enumerate(points, 1)]
    return History(tuple(nights))


def marks(text: str, name: str = "a") -> str:
    (row,) = (line for line in text.splitlines() if line.startswith(f"{name} ") and "  " in line)
    return row.split()[-1]


# --- since when --------------------------------------------------------------------------------


def test_streak_starts_after_the_last_pass() -> None:
    found = streak(nights_of(history(LOST, PASSED, LOST, LOST), "a"))
    assert found is not None
    assert (found.first.number, found.nights, found.cause) == ("0003", 2, LOST.cause)
    assert found.good is not None
    assert found.good.number == "0002"


def test_nights_without_the_milestone_do_not_end_a_streak() -> None:
    found = streak(nights_of(history(PASSED, LOST, None, LOST), "a"))
    assert found is not None
    assert (found.first.number, found.nights) == ("0002", 2)


def test_streak_tells_first_and_last_cause_where_they_differ() -> None:
    found = streak(nights_of(history(PASSED, LOST, CRASHED), "a"))
    assert found is not None
    assert (found.cause, found.now) == (LOST.cause, "it crashed")


def test_same_check_with_other_numbers_is_the_same_cause() -> None:
    found = streak(nights_of(history(LOW, replace(LOW, cause="accuracy 0.6")), "a"))
    assert found is not None
    assert found.now == ""


def test_streak_of_the_engine_skips_nights_that_did_not_look_at_it() -> None:
    words = [("pass", ""), ("fail", "one"), (None, ""), ("error", "two")]
    nights = [
        replace(night(i, a=PASSED), engine=status, engine_check=check, engine_cause=f"{check}!")
        for i, (status, check) in enumerate(words, 1)
    ]
    found = engine_streak(nights)
    assert found is not None
    assert (found.first.number, found.nights) == ("0002", 2)
    assert (found.cause, found.now) == ("one!", "two!")
    assert found.good == nights[0]
    assert engine_streak(nights[:1]) is None


def test_failing_nights_are_no_new_level() -> None:
    slow = replace(LOST, seconds=0.75)
    told = drifts(nights_of(history(*[PASSED] * 10, *[slow] * 10), "a"))
    assert told == []
    passing = replace(PASSED, seconds=0.75)
    (only,) = drifts(nights_of(history(*[PASSED] * 10, *[LOST] * 3, *[passing] * 10), "a"))
    assert (only.quantity, only.night.number) == ("seconds", "0014")


@pytest.mark.parametrize("points", [(), (PASSED,), (LOST, PASSED)])
def test_milestone_that_passes_has_no_streak(points: tuple[Point, ...]) -> None:
    assert streak(nights_of(history(*points), "a")) is None


# --- the screen --------------------------------------------------------------------------------


def test_failing_milestone_is_told_with_night_commit_and_cause() -> None:
    text = render(history(PASSED, LOST, LOST))
    assert (
        "a fails since night 0002 (2026-11-02, 0000002), 2 nights in a row: conv1.bias received no"
        in text
    )
    assert "a          FAIL      0.900 (0.900)     0.8  █xx" in text
    assert "     the last good one is night 0001 (2026-11-01, 0000001)" in text.splitlines()


def test_one_night_is_a_history() -> None:
    text = render(history(PASSED))
    first = "1 night, 2026-11-01; the last is night 0001 (2026-11-01, 0000001)"
    assert text.splitlines()[0] == first
    assert marks(text) == "█"
    assert "fails" not in text


def test_marks_go_from_the_lowest_to_the_highest_with_the_target() -> None:
    points = [replace(PASSED, lowest=0.8 + 0.1 * i / 7) for i in range(8)]
    assert marks(render(history(*points))) == "▁▂▃▄▅▆▇█"
    above = [replace(PASSED, lowest=value) for value in (0.9, 1.0)]
    assert marks(render(history(*above))) == "▅█"  # half-way and all the way up from 0.8


def test_night_without_the_milestone_is_a_blank_in_its_place() -> None:
    found = History((night(1, a=PASSED), night(2), night(3, a=LOST), night(4, b=PASSED)))
    lines = render(found).splitlines()
    (row,) = (line for line in lines if line.startswith("a  "))
    assert row.endswith("0.8  █ x")
    (other,) = (line for line in lines if line.startswith("b  "))
    assert other.endswith("0.8     █")


def test_many_nights_share_a_mark_that_shows_the_lowest_and_what_mostly_fails() -> None:
    points = [PASSED] * 100  # in threes, 34 marks
    points[50] = replace(LOST, lowest=0.8)
    points[60:62] = [LOST, LOST]
    text = render(History(tuple(night(1 + i % 28, a=p) for i, p in enumerate(points))))
    assert marks(text) == "█" * 16 + "▁" + "█" * 3 + "x" + "█" * 13
    assert "a mark is up to 3 nights" in text


def test_milestone_that_was_removed_is_told_and_others_are_shown() -> None:
    found = History((night(1, a=PASSED, gone=PASSED), night(2, a=PASSED)))
    text = render(found)
    assert "gone was not run in the last night; its last is night 0001 (2026-11-01" in text
    assert "gone       not run" in text
    assert text.index("\na ") < text.index("\ngone ")


def test_nothing_measured_anywhere_is_shown() -> None:
    text = render(history(CRASHED, CRASHED))
    assert "a          ERROR              - (-)     0.8  xx" in text
    assert "fails since night 0001 (2026-11-01, 0000001), 2 nights in a row: it crashed" in text


def test_night_of_nothing_is_shown() -> None:
    assert render(history(None)).startswith("1 night, ")


def test_engine_is_told_with_its_cause() -> None:
    broken = replace(night(1, a=PASSED), engine="fail", engine_cause="tanh changes its input")
    text = render(History((replace(night(1, a=PASSED), engine="pass"), broken)))
    assert "engine: fail: tanh changes its input" in text
    since = "the engine fails since night 0001 (2026-11-01, 0000001): tanh changes its input"
    assert since in text
    assert text.index(since) < text.index("the last good one is night 0001")


def test_new_level_is_a_sentence_with_night_and_noise() -> None:
    slow = replace(PASSED, seconds=0.75)
    text = " ".join(render(history(*[PASSED] * 10, *[slow] * 10)).split())
    assert (
        "a: seconds of training went from 0.5 to 0.75 (+50.0%, nights before and after repeat each "
        "other exactly) with night 0011 (2026-11-11, 0000011)" in text
    )


def test_changes_of_more_nights_than_are_looked_at_say_so() -> None:
    slow = replace(PASSED, seconds=0.75)
    nights = [night(1 + i % 28, a=PASSED if i < 600 else slow) for i in range(1100)]
    assert "New levels in the last 1,000 nights of each" in render(History(tuple(nights)))


def test_nights_limit_what_is_drawn_but_not_since_when_it_fails() -> None:
    text = render(history(PASSED, *[LOST] * 9), nights=3)
    assert marks(text) == "xxx"
    assert "fails since night 0002" in text


@pytest.mark.parametrize(
    ("count", "more"), [(3, ""), (10, ""), (13, "  and 3 more; --format json lists all")]
)
def test_skipped_files_are_listed_up_to_ten(count: int, more: str) -> None:
    skipped = tuple(Skipped(f"{i}.json", "it is empty") for i in range(count))
    lines = render(replace(history(PASSED), skipped=skipped)).splitlines()
    assert f"Skipped {count} files that cannot be read:" in lines
    assert sum(line.endswith(".json: it is empty") for line in lines) == min(count, 10)
    assert lines[-1] == (more or f"  {count - 1}.json: it is empty")


def test_text_from_a_scorecard_gives_the_terminal_no_orders() -> None:
    evil = replace(LOST, cause="\x1b[2Jgone\nand [red]more[/red]")
    text = render(history(evil))
    assert "\x1b" not in text
    assert "gone and [red]more[/red]" in text
    assert "\x1b" not in render(history(evil), "a")
    named = replace(night(1), milestones={"\x1b[2Ja": LOST}, commit="\x1b[31m", file="\x1b[0m.json")
    assert "\x1b" not in render(History((named,)))
    assert "\x1b" not in render(History((named,)), "\x1b[2Ja")


def test_colour_only_where_it_is_wanted() -> None:
    assert "\x1b[" not in render(history(LOST))
    assert "\x1b[" in render(history(LOST), colour=True)


def test_nothing_is_wider_than_the_screen() -> None:
    text = render(history(*[PASSED] * 30, *[replace(LOST, cause="word " * 90)] * 9), width=100)
    assert max(map(len, text.splitlines())) <= 100


def test_milestone_is_listed_night_by_night() -> None:
    text = render(history(*[PASSED] * 30, None, LOW), "a")
    rows = [line.split() for line in text.splitlines() if line[:4].isdecimal()]
    assert len(rows) == 20
    assert " ".join(rows[0]) == "0012 2026-11-12 0000012 pass 0.900 (0.900) 100 0.3 0.5"
    assert rows[-1][:4] == ["0032", "2026-11-32", "0000032", "FAIL"]
    assert rows[-1][-2:] == ["accuracy", "0.5"]
    shown = render(history(*[PASSED] * 30), "a", nights=2)
    assert [line[:4] for line in shown.splitlines() if line[:4].isdecimal()] == ["0029", "0030"]


def test_night_from_a_changed_checkout_is_marked() -> None:
    dirty = replace(night(1, a=PASSED), dirty=True)
    text = render(History((dirty,)), "a")
    assert "0000001*" in text
    assert "*: files differed from the commit" in text


# --- JSON --------------------------------------------------------------------------------------


def test_json_has_nights_trends_and_what_was_skipped() -> None:
    slow = replace(PASSED, seconds=0.75)
    found = replace(
        history(*[PASSED] * 10, *[slow] * 10, LOST), skipped=(Skipped("x.json", "it is empty"),)
    )
    data = json.loads(to_json(found))
    assert list(data) == ["schema", "engine", "milestones", "nights", "skipped"]
    assert data["schema"] == "harness.history/1"
    assert data["milestones"]["a"] == {
        "failing": {"since": "0021-x.json", "nights": 1, "cause": LOST.cause, "now": "",
                    "good": "0020-x.json"},
        "changes": [
            {"quantity": "seconds", "night": "0011-x.json", "before": 0.5, "after": 0.75,
             "size": None},
        ],
    }  # fmt: skip
    assert len(data["nights"]) == 21
    assert data["nights"][0]["milestones"]["a"] == vars(PASSED)
    assert data["nights"][0]["commit"] == found.nights[0].commit
    assert data["skipped"] == [{"file": "x.json", "why": "it is empty"}]


def test_json_of_one_milestone_has_its_nights_alone() -> None:
    found = History((night(1, a=PASSED, b=PASSED), night(2, b=PASSED), night(3, a=PASSED)))
    data = json.loads(to_json(found, "a"))
    assert list(data["milestones"]) == ["a"]
    assert [list(each["milestones"]) for each in data["nights"]] == [["a"], ["a"]]
    assert len(json.loads(to_json(found, nights=2))["nights"]) == 2


def test_json_says_since_when_the_engine_fails() -> None:
    broken = replace(night(2, a=PASSED), engine="fail", engine_cause="why", engine_check="c")
    data = json.loads(to_json(History((replace(night(1, a=PASSED), engine="pass"), broken))))
    assert data["engine"]["failing"] == {
        "since": "0002-x.json", "nights": 1, "cause": "why", "now": "", "good": "0001-x.json",
    }  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
