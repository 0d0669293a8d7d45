"""Foreign text in terminals, XML and Markdown: it stays text."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from harness.reports.escapes import (
    code,
    code_block,
    fitted,
    listed,
    markdown,
    one_line,
    printable,
    table,
)
from tests.comparisons import HOSTILE

NO_WIDTH = "\u200b"


def html(text: str) -> str:
    """What a reader of GitHub's kind makes of Markdown; raw HTML is let through, to be seen."""
    return MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(text)


def shown(text: str) -> str:
    """The words of one paragraph of Markdown; fails for any markup in it."""
    match = re.fullmatch(r"<p>([^<>]*)</p>\n", html(text))
    assert match, html(text)
    plain = match[1]
    for entity, char in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&amp;", "&")):
        plain = plain.replace(entity, char)
    return plain


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x9b31mred", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]never closed", "never closed"),
        ("\x1bcreset", "reset"),
        ("bell\x07, null\x00, next\x85, delete\x7f", "bell, null, next, delete"),
        ("half \ud800 of a pair", "half  of a pair"),
        ("no \ufffe char", "no  char"),
        ("a\u202eb\u2066c", "abc"),
        ("tabs\tand\nlines stay, é too", "tabs\tand\nlines stay, é too"),
    ],
)
def test_printable_drops_what_a_terminal_obeys_or_xml_cannot_hold(text: str, plain: str) -> None:
    assert printable(text) == plain


def test_one_line_flattens_and_cuts() -> None:
    assert one_line(" a\r\nb\t\x0bc ") == "a b c"
    assert one_line("abcdef", 6) == "abcdef"
    assert one_line("abcdefg", 6) == "abcde…"


def test_many_words_are_counted() -> None:
    assert listed(["a", "b"], 2) == "a, b"
    assert listed(["a", "b", "c", "d"], 2) == "a, b and 2 more"


@pytest.mark.parametrize(
    "text",
    [
        "*b* **b** _i_ __i__ ~~gone~~",
        "`code` ``more``",
        "[text](http://x.org) ![image](x.png) [ref][1]",
        "<script>alert(1)</script> <!-- no --> <b>",
        "&lt; &#64; &amp;",
        "back\\slash \\* \\",
        "$x^2$ and $`y`$",
        "a | b",
        HOSTILE,
    ],
)
def test_markdown_shows_text_as_it_is(text: str) -> None:
    assert shown(f"So: {markdown(text)}").replace(NO_WIDTH, "") == f"So: {one_line(text)}"


@given(st.text(max_size=60))
def test_markdown_shows_any_text_as_it_is(text: str) -> None:
    flat = one_line(text)
    if NO_WIDTH not in flat:
        got = shown(f"So: {markdown(text)}.").replace(NO_WIDTH, "")
        assert got == f"So: {flat}."


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("by @someone", f"by @{NO_WIDTH}someone"),
        ("fixes #123", f"fixes #{NO_WIDTH}123"),
        ("owner/name#7", f"owner/name#{NO_WIDTH}7"),
        ("GH-12", f"GH-{NO_WIDTH}12"),
        ("see https://x.org/a", f"see https{NO_WIDTH}://x.org/a"),
        ("see www.x.org", f"see www{NO_WIDTH}.x.org"),
        ("a @ b, # c, 3 # 4", "a @ b, # c, 3 # 4"),
    ],
)
def test_mentions_issues_and_addresses_are_broken_up(text: str, broken: str) -> None:
    assert shown(markdown(text)) == broken


def test_markdown_in_a_table_stays_in_its_cell() -> None:
    text = table(["a", "b"], [[markdown(HOSTILE), markdown("x | y \\")]])
    (row,) = re.findall(r"<tbody>(.*)</tbody>", html(text), flags=re.DOTALL)
    assert row.count("<td>") == 2
    assert "x | y \\" in row


@pytest.mark.parametrize("text", ["a", "a`b", "``", "`a` ``b``", "a|b <b>", HOSTILE])
def test_code_is_shown_as_it_is(text: str) -> None:
    found = html(f"at {code(text)}.")
    assert found.count("<code>") == 1
    assert found.startswith("<p>at <code>")
    assert found.endswith("</code>.</p>\n")
    assert "<b>" not in found
    assert "<script>" not in found
    assert html(code_block(text)).startswith("<pre><code>")
    assert html(code_block(text)).count("<pre>") == 1


def test_no_code_is_nothing() -> None:
    assert code("\x07") == ""


def test_text_that_fits_is_whole() -> None:
    assert fitted(["a", "b"], "all is elsewhere", 200) == "a\n\nb\n"


def test_text_too_long_loses_its_end_and_says_so() -> None:
    blocks = ["first", "é" * 100, "last"]  # é is two bytes
    got = fitted(blocks, "all is elsewhere", 200)
    assert got == "first\n\n_2 more sections did not fit here: all is elsewhere_\n"
    assert fitted(blocks, "all is elsewhere", 290).startswith("first\n\néé")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
