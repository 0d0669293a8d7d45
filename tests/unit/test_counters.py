"""Counts of a step side by side."""

from __future__ import annotations

import pytest

from harness.comparing.counters import cost_of, counters, memory_cell
from harness.scorecard import CostRow
from tests.sides import side

BASE = CostRow(ops=6, nodes=4, by_op={"LinearBackward": 2, "TanhBackward": 1}, size_bytes=100,
               peak_bytes=1000)  # fmt: skip


def head(**fields: object) -> CostRow:
    return BASE.model_copy(update=fields)


def test_equal_counts_say_nothing() -> None:
    assert counters(BASE, BASE) == []


def test_every_count_that_differs_is_named() -> None:
    other = head(ops=7, nodes=5, by_op={"LinearBackward": 2, "ReshapeBackward": 1})
    assert [(each.name, each.base, each.head) for each in counters(BASE, other)] == [
        ("tensors made per step", 6, 7),
        ("graph nodes per step", 4, 5),
        ("ReshapeBackward per step", 0, 1),
        ("TanhBackward per step", 1, 0),
    ]


@pytest.mark.parametrize(
    ("peak", "verdict"), [(1000, "same"), (1050, "same"), (1051, "worse"), (940, "better")]
)
def test_memory_has_a_margin_of_five_per_cent(peak: int, verdict: str) -> None:
    cell = memory_cell(BASE, head(peak_bytes=peak))
    assert (cell.verdict, cell.estimate, cell.low) == (verdict, peak / 1000, peak / 1000)


def test_what_was_not_counted_is_not_compared() -> None:
    assert memory_cell(BASE, None).verdict == "not measured"
    assert memory_cell(head(peak_bytes=None), BASE).verdict == "not measured"
    assert counters(None, BASE) == []


def test_cost_is_that_of_the_first_seed_that_has_one() -> None:
    (result,) = side().results("small").values()
    rows = {0: result, 1: result.model_copy(update={"cost": BASE})}
    assert cost_of(rows) == BASE
    assert cost_of({0: result}) is None


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
