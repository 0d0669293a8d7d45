"""What is counted and not sampled: ops, nodes and bytes of a step, and the most memory it held."""

from __future__ import annotations

from collections.abc import Mapping

from harness.comparison import Cell, CellVerdict, Counter
from harness.scorecard import CostRow, Result

# A peak that moves by less than this is not worth a word.
MARGIN = 1.05
_NOT_COUNTED = (
    "not counted: no first seed came to its end, the scorecard is older, or its engine cannot tell"
)


def cost_of(results: Mapping[int, Result]) -> CostRow | None:
    """The cost of a step: that of the first seed that has one, as all seeds cost the same."""
    return next((results[s].cost for s in sorted(results) if results[s].cost is not None), None)


def counters(base: CostRow | None, head: CostRow | None) -> list[Counter]:
    """All counts that differ; nothing where one side did not count."""
    if base is None or head is None:
        return []
    named = {
        "tensors made per step": (base.ops, head.ops),
        "graph nodes per step": (base.nodes, head.nodes),
        "bytes of tensors per step": (base.size_bytes, head.size_bytes),
        **{
            f"{op} per step": (base.by_op.get(op, 0), head.by_op.get(op, 0))
            for op in sorted({*base.by_op, *head.by_op})
        },
    }
    return [Counter(name=name, base=a, head=b) for name, (a, b) in named.items() if a != b]


def memory_cell(base: CostRow | None, head: CostRow | None) -> Cell:
    """The most memory that a few steps held at once, head / base: the same at every count."""
    one, other = (cost.peak_bytes if cost else None for cost in (base, head))
    if not one or not other:
        return Cell(quantity="peak memory", unit="x", verdict="not measured", note=_NOT_COUNTED)
    ratio = other / one
    verdict: CellVerdict = "same"
    if ratio > MARGIN:
        verdict = "worse"
    elif ratio < 1.0 / MARGIN:
        verdict = "better"
    return Cell(
        quantity="peak memory", unit="x", verdict=verdict, samples=1, estimate=ratio, low=ratio,
        high=ratio, margin=MARGIN - 1.0, detectable=MARGIN - 1.0,
        note=f"{one} against {other} bytes, counted",
    )  # fmt: skip
