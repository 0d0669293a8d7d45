"""A scorecard as Markdown beyond its table: lines to blame, commands, hostile words, its size."""

from __future__ import annotations

import re
import shlex

import pytest
from markdown_it import MarkdownIt

from harness.checks.base import Verdict
from harness.record import EngineRecord
from harness.reports.escapes import MARKDOWN_BYTES
from harness.reports.markdown import render
from harness.results import engine_result, judged_result
from harness.scorecard import Result, Scorecard
from tests.comparisons import HOSTILE
from tests.examples import bias_lost, healthy, judged, scorecard_of, small_config


def failing(verdict: Verdict, seed: int = 0, name: str = "small") -> Result:
    return judged_result(small_config(name=name), healthy(seed=seed, milestone=name), [verdict])


def modified(card: Scorecard, *changes: str) -> Scorecard:
    provenance = card.provenance.model_copy(update={"modified": list(changes)})
    return card.model_copy(update={"provenance": provenance})


CUT = Verdict("graph_is_whole", "fail", "the graph is cut", "Look there.", {"place": "a/x.py:3"})


def test_failure_has_its_line_and_the_command_that_shows_it() -> None:
    text = render(scorecard_of(failing(CUT)))
    assert "**small, seed 0:** the graph is cut at `a/x.py:3`  \nLook there.  \n" in text
    assert "To see it: `harness run small.yaml`" in text


def test_command_names_the_seed_and_what_was_changed() -> None:
    card = modified(scorecard_of(failing(CUT, seed=7, name="cnn")), "title=it's", "a.lr=0.5")
    text = render(card)
    (line,) = (each for each in text.splitlines() if each.startswith("To see it: "))
    command = line.removeprefix("To see it: ").strip("`")
    words = ["harness", "run", "cnn", "--seed", "7", "--set", "title=it's", "--set", "a.lr=0.5"]
    assert shlex.split(command) == words
    assert "Modified: title=it's, a.lr=0.5" in text


def test_broken_engine_is_shown_by_what_it_spoils() -> None:
    spoiled = judged(bias_lost(milestone="bad")).model_copy(update={"uses": ["softmax"]})
    broken = Verdict("ops_compute_right", "fail", "softmax: wrong", "", {"culprits": ["softmax"]})
    engine = engine_result(EngineRecord("numpy"), [broken])
    with_it = scorecard_of(spoiled).model_copy(update={"engine": engine})
    assert "To see it: `harness run bad.yaml`" in render(with_it)
    alone = scorecard_of(judged(healthy())).model_copy(update={"engine": engine})
    assert "To see it" not in render(alone)


def test_last_line_says_where_the_numbers_are_from() -> None:
    card = scorecard_of(judged(healthy()))
    known = card.provenance.model_copy(update={"commit": "a1b2c3d4e5f6a7b8", "dirty": True})
    last = render(card.model_copy(update={"provenance": known})).splitlines()[-1]
    assert last.startswith(
        "commit a1b2c3d4e5f6 with uncommitted changes, Python 3.12.0, numpy 2.0.0, a processor, "
    )
    assert render(card).splitlines()[-1].startswith("no commit, Python 3.12.0")


def test_hostile_words_stay_words() -> None:
    bad = Verdict(HOSTILE, "fail", HOSTILE, HOSTILE, {"place": HOSTILE})
    more = Verdict("other", "fail", HOSTILE)
    result = judged_result(small_config(), healthy(), [bad, more])
    card = scorecard_of(result.model_copy(update={"milestone": HOSTILE}))
    text = render(modified(card, HOSTILE))
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    tags = {tag for tag in re.findall(r"</?([a-z0-9]+)", html) if tag}
    assert tags == {"h2", "p", "strong", "br", "code", "table", "thead", "tbody", "tr", "th", "td"}
    prose = re.sub(r"<code>.*?</code>", "", html)
    assert not re.search(r"@\w|#\d|<a|<script", prose)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", text)


def test_hundreds_of_failures_fit_and_the_table_stays() -> None:
    many = [
        failing(Verdict("c", "fail", "r " * 400, "h " * 400), name=f"net{i}") for i in range(100)
    ]
    text = render(scorecard_of(*many))
    assert len(text.encode()) <= MARKDOWN_BYTES
    assert "| net99 | 1986 | FAIL |" in text
    assert re.search(r"_\d+ more sections did not fit here: all is in scorecard\.json_\n$", text)


def test_two_hundred_seeds_of_one_cause_are_one_failure() -> None:
    card = scorecard_of(*(judged(bias_lost(seed)) for seed in range(200)))
    text = render(card)
    assert text.count("received no gradient") == 1
    assert "**small, seed 0 and 199 more:**" in text


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
