"""A comparison as a comment: what a stranger learns from it, its size, and that it does no harm."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt

from harness.comparison import Comparison
from harness.reports.comparing.markdown import MARKER, render
from harness.reports.escapes import MARKDOWN_BYTES
from tests.comparisons import (
    EXAMPLES,
    TREE,
    comparison_of,
    hostile,
    inconclusive,
    regressed,
    same,
)

# What a comment is made of; whatever else appears comes out of a name or a reason.
TAGS = {"h2", "h3", "p", "strong", "em", "code", "pre", "ul", "li", "table", "thead", "tbody",
        "tr", "th", "td", "details", "summary", "br"}  # fmt: skip


def html(text: str) -> str:
    return MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(text)


class Tags(HTMLParser):
    """All tags with their attributes, and the text outside of code."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.prose = ""
        self._code = 0
        self.feed(html(text))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add(tag)
        self.attributes += attrs
        self._code += tag == "code"

    def handle_endtag(self, tag: str) -> None:
        self._code -= tag == "code"

    def handle_data(self, data: str) -> None:
        if not self._code:
            self.prose += data


def rows(comparison: Comparison) -> list[list[str]]:
    """The cells of the first table."""
    table = html(render(comparison)).partition("<table>")[2].partition("</table>")[0]
    lines = [re.findall(r"<t[hd]>(.*?)</t[hd]>", line, re.DOTALL) for line in table.split("<tr>")]
    return [[unescape(cell) for cell in line] for line in lines if line]


def test_first_line_is_the_mark_by_which_a_workflow_finds_it() -> None:
    assert all(render(each).startswith("<!-- harness-compare -->\n") for each in EXAMPLES.values())
    assert MARKER == "<!-- harness-compare -->"


def test_red_night_tells_a_stranger_what_where_since_when_and_how_to_see_it() -> None:
    text = render(EXAMPLES["regressed"])
    parts = [
        "## cnn regressed",
        "**cnn: conv1.bias's gradient differs from step 0: 2.1e-2 against none**",
        "faster-conv (9d8e7f6) against main (1f0c9a4), seeds 0 to 7.",
        "What came in since 1f0c9a4: `git log --oneline 1f0c9a4..9d8e7f6`",
        "### REGRESSED: cnn (CNN, 1998)",
        "gradient of conv1.bias, seed 0: 0.0211 on the base, none on the head",
        "expected -14.9 at `harness/autograd/ops/convolution.py:102`. Is every input",
        "To see it, on faster-conv (9d8e7f6):",
        "```\nharness run cnn --seed 0 --explain conv1.bias\n```",
        "What the words mean",
    ]
    assert [text.index(part) for part in parts] == sorted(text.index(part) for part in parts)


def test_table_has_a_row_a_milestone_worst_first() -> None:
    head, first, *others = rows(EXAMPLES["regressed"])
    assert head == ["milestone", "verdict", "bits", "checks", "steps to learn as much",
                    "final accuracy", "time a step", "memory"]  # fmt: skip
    assert first == ["cnn", "REGRESSED", "CHANGED step 0 gradient conv1.bias", "2 fail, 1 fixed",
                     "1.92x (1.61 to 2.29)", "-0.2 points", "1x", "1.25x"]  # fmt: skip
    assert [row[:3] for row in others] == [
        ["perceptron", "same", "IDENTICAL"],
        ["xor", "same", "IDENTICAL"],
        ["mlp", "same", "IDENTICAL"],
        ["transformer", "same", "ROUNDING"],
    ]


def test_uncommitted_changes_are_shown_by_a_diff() -> None:
    text = render(comparison_of(regressed(), head=TREE))
    assert "What changed since 1f0c9a4: `git diff 1f0c9a4`" in text
    assert "git log" not in text


def test_green_night_names_no_suspects() -> None:
    text = render(EXAMPLES["same"])
    assert "What came in since" not in text
    assert "could have seen 1.27x the steps to learn as much" in text


def test_broken_engine_says_how_to_see_it_though_no_milestone_differs() -> None:
    text = render(EXAMPLES["engine_alone"])
    assert "### The engine by itself" in text
    assert "at `harness/autograd/ops/convolution.py:60`. Compare apply()" in text
    assert "```\nharness run mlp\n```" in text


def test_every_measurement_is_in_the_folded_table() -> None:
    text = render(comparison_of(same("mlp"), inconclusive()))
    assert "All measurements (10)" in text
    assert (
        "| transformer | step time | 1.06x (0.98 to 1.15), inconclusive; smallest effect this run "
        "could have seen: 1.05x (base 312 us a step, head 313 us) |"
    ) in text


@pytest.mark.parametrize("name", [*EXAMPLES, "hostile"])
def test_comment_is_made_of_its_own_markup_only(name: str) -> None:
    tags = Tags(render(EXAMPLES.get(name) or hostile(seeds=3, tensors=3)))
    assert tags.found <= TAGS
    assert tags.attributes == []
    assert not re.search(r"@\w|#\d|\w://", tags.prose)


@pytest.mark.parametrize(("seeds", "tensors"), [(200, 300), (1, 1)])
def test_comment_fits_and_says_what_is_left_out(seeds: int, tensors: int) -> None:
    text = render(hostile(seeds, tensors))
    assert len(text.encode()) <= MARKDOWN_BYTES == 60_000
    assert text.startswith(f"{MARKER}\n## ")
    last = text.splitlines()[-1]
    assert re.fullmatch(r"_\d+ more sections did not fit here: all is in comparison\.json_", last)


def test_hundreds_of_milestones_keep_the_worst() -> None:
    many = [same(f"net{i}") for i in range(300)]
    text = render(comparison_of(*many, regressed()))
    assert len(text.encode()) <= MARKDOWN_BYTES
    assert text.index("| cnn | REGRESSED |") < text.index("| net0 | same |")
    assert "and 261 more" in text
    assert "### REGRESSED: cnn (CNN, 1998)" in text


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
