"""Reach: on how many seeds each side ends at its target or above, as counts of two groups."""

from __future__ import annotations

from harness.comparing.decisions import CONFIDENCE, Direction
from harness.comparing.samples import Samples
from harness.comparison import Cell, CellVerdict
from harness.statistics import fisher_exact, share_difference_bounds

# Half of the seeds more that miss their target must not go unseen.
PLANNED = 0.5


def reach_p_values(samples: Samples) -> dict[Direction, float]:
    """Against "no seeds more miss the target", and against "none fewer"."""
    base, head, n = samples.base_misses, samples.head_misses, samples.seeds
    return {"worse": fisher_exact(base, head, n), "better": fisher_exact(head, base, n)}


def reach_cell(samples: Samples, verdict: CellVerdict | None, alpha: float) -> Cell:
    """The cell; `alpha` is that of one test, for the smallest effect that it would show."""
    base, head, n = samples.base_misses, samples.head_misses, samples.seeds
    if n < 2 or samples.no_final:
        return Cell(quantity="reach", unit="seeds", verdict="not measured", samples=n,
                    note=samples.no_final)  # fmt: skip
    low, high = share_difference_bounds(base, head, n, CONFIDENCE)
    p = reach_p_values(samples)
    return Cell(
        quantity="reach",
        unit="seeds",
        verdict=verdict or ("same" if high < PLANNED else "inconclusive"),
        samples=n,
        estimate=float(base - head),
        low=-n * high,
        high=-n * low,
        confidence=2.0 * CONFIDENCE - 1.0,
        margin=0.0,
        detectable=_detectable(base, n, alpha),
        p_worse=p["worse"],
        p_better=p["better"],
        note=f"{n - base} of {n} seeds reach the target on the base, {n - head} on the head",
    )


def _detectable(base: int, n: int, alpha: float) -> float | None:
    """The fewest seeds more that must miss the target to be seen; None when all would not do."""
    seen = (more for more in range(1, n - base + 1) if fisher_exact(base, base + more, n) <= alpha)
    found = next(seen, None)
    return None if found is None else float(found)
