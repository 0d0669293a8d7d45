"""The comparison as Markdown, for a comment on a pull request or the summary of a night.

Written for somebody who has never seen the project: what broke, since which commit, in which
tensor, and the command that shows it. The first line is a mark by which a workflow finds its own
comment again.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.comparison import Comparison, MilestoneComparison
from harness.reports.comparing.story import (
    Fact,
    all_of,
    capital,
    engine_command,
    engine_facts,
    facts,
    headline,
    is_quiet,
    ordered,
    short,
    side,
    sides,
    told,
    verdict,
    worths,
)
from harness.reports.comparing.wording import (
    bits,
    cell_of,
    cell_sentence,
    checks_in_short,
    effect,
    estimate,
)
from harness.reports.escapes import code, code_block, fitted, markdown, table

MARKER = "<!-- harness-compare -->"
# Rows of a table, and characters of one fact: enough for a reader, and a limit to the whole.
_ROWS = 40
_LONGEST_FACT = 600
_ONE_SIDED = ("added", "removed")
_QUANTITIES = {
    "learning speed": "steps to learn as much",
    "final accuracy": "final accuracy",
    "step time": "time a step",
    "peak memory": "memory",
}
_WORDS = """\
<details><summary>What the words mean</summary>

A *milestone* is a historical neural network, trained here from nothing on the project's own
engine. The *base* is what was known, the *head* what is judged; both train on the same seeds.

- **REGRESSED**: a check fails that did not, or it learns worse, is slower or takes more memory,
  beyond chance. **CHANGED-FASTER**: it learns better than the same config can; look why.
  **inconclusive**: too little evidence to tell. **same**: an effect of the size that is looked
  for is ruled out, and no smaller one is shown.
- **could have seen**: the smallest true effect that this many seeds or restarts show nine times
  in ten.
- **IDENTICAL**: the same numbers to the last bit. **ROUNDING**: equal but for rounding.
  **CHANGED**: other numbers, first at that step (from 0), in that phase and tensor.
- Factors are head / base, so more than 1x is worse; in brackets the interval for the true effect.
- `harness` is `.venv/bin/harness` in a checkout, once `make run` has set it up.

</details>"""


def render(comparison: Comparison) -> str:
    """The mark, the verdict, a table, every finding with its command; at most 60 kB."""
    return fitted(_blocks(comparison), "all is in comparison.json")


def _blocks(comparison: Comparison) -> Iterator[str]:
    """The most important first: the last ones go where there is no room."""
    yield f"{MARKER}\n## {markdown(capital(verdict(comparison)), 300)}"
    yield f"**{markdown(headline(comparison), 600)}**"
    yield _compared(comparison)
    if comparison.problem and comparison.problem != headline(comparison):
        yield f"No verdict: {markdown(comparison.problem)}"
    milestones = ordered(comparison)
    if milestones:
        yield _overview(milestones)
    head = side(comparison.head)
    if found := engine_facts(comparison):
        command = _command(engine_command(comparison), head)
        yield "\n".join(["### The engine by itself", *map(_item, found), *command])
    for each in milestones:
        if not is_quiet(each) and each.verdict not in _ONE_SIDED:
            yield _milestone(each, head)
    if others := [*_one_sided(milestones), *_same(comparison), *_notes(comparison)]:
        yield "\n".join(["### Besides", *others])
    yield _WORDS
    if any(each.cells for each in milestones):
        yield _measurements(milestones)


def _one_sided(milestones: list[MilestoneComparison]) -> Iterator[str]:
    for each in milestones:
        if each.verdict in _ONE_SIDED:
            yield f"- **{each.verdict}**, {markdown(told(each), _LONGEST_FACT)}"


def _same(comparison: Comparison) -> Iterator[str]:
    for text, names in worths(comparison).items():
        yield f"- **same**, {markdown(all_of(names), 300)}: {markdown(text, _LONGEST_FACT)}"


def _notes(comparison: Comparison) -> Iterator[str]:
    for note in comparison.notes[:_ROWS]:
        yield f"- **note:** {markdown(note, _LONGEST_FACT)}"


def _compared(comparison: Comparison) -> str:
    """The two sides, and the commits between them."""
    text = f"{markdown(sides(comparison), 400)}."
    base, head = short(comparison.base.commit), short(comparison.head.commit)
    if not base or not head or comparison.exit_code(strict=True) == 0:
        return text
    if comparison.head.dirty:
        text += f" What changed since {base}: {code(f'git diff {base}')}"
    elif base != head:
        text += f" What came in since {base}: {code(f'git log --oneline {base}..{head}')}"
    return text


def _overview(milestones: list[MilestoneComparison]) -> str:
    head = ["milestone", "verdict", "bits", "checks", *_QUANTITIES.values()]
    rows = [[markdown(cell, 60) for cell in _row(each)] for each in milestones[:_ROWS]]
    more = f"\n\nand {len(milestones) - _ROWS} more" if len(milestones) > _ROWS else ""
    return table(head, rows) + more


def _row(milestone: MilestoneComparison) -> list[str]:
    row = [milestone.milestone, milestone.verdict, bits(milestone.divergence)]
    row.append(checks_in_short(milestone))
    for quantity in _QUANTITIES:
        cell = cell_of(milestone, quantity)
        as_text = effect if quantity == "learning speed" else estimate
        row.append("-" if cell is None else as_text(cell))
    return row


def _milestone(milestone: MilestoneComparison, head: str) -> str:
    """One finding: its facts, and the command that shows it."""
    title = f"{milestone.milestone} ({milestone.title}, {milestone.year})"
    lines = [
        f"### {markdown(milestone.verdict)}: {markdown(title, 120)}",
        f"- {markdown(told(milestone), _LONGEST_FACT)}",
        *map(_item, facts(milestone)),
        *_command(milestone.reproduce, head),
    ]
    return "\n".join(lines)


def _command(command: str, head: str) -> list[str]:
    if not command:
        return []
    return ["", f"To see it, on {markdown(head, 120)}:", "", code_block(command)]


def _item(fact: Fact) -> str:
    place = f" at {code(fact.place)}" if fact.place and fact.place not in fact.text else ""
    hint = f". {markdown(fact.hint, _LONGEST_FACT)}" if fact.hint else ""
    return f"- **{fact.label}:** {markdown(fact.text, _LONGEST_FACT)}{place}{hint}"


def _measurements(milestones: list[MilestoneComparison]) -> str:
    """Every cell of every milestone, folded away."""
    rows = [
        [markdown(each.milestone, 60), cell.quantity, markdown(cell_sentence(cell), 300)]
        for each in milestones
        for cell in each.cells
    ]
    shown = table(["milestone", "quantity", "head against base"], rows[: 3 * _ROWS])
    summary = f"<details><summary>All measurements ({len(rows)})</summary>"
    return f"{summary}\n\n{shown}\n\n</details>"
