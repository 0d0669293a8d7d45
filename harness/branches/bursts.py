"""Two workers that train in turn: how long a burst is, who goes first, what comes out.

Pure but for the bursts themselves, which are functions: steps -> seconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

Burst = Callable[[int], float]

# Long against the clock and a wake-up, short against what else the machine does: 60 pairs of
# 6 ms leave less to chance than 20 of 20 ms, in the same time.
BURST_SECONDS = 0.006
PAIRS = 60
# No burst is longer, whatever a worker says of its clock.
MOST_STEPS = 2**16


@dataclass(frozen=True)
class Ratio:
    """What one restart of both workers says of one milestone; seconds are medians a step."""

    log_ratio: float
    base_seconds: float
    head_seconds: float


def steps_a_burst(base: Burst, head: Burst, seconds: float = BURST_SECONDS) -> int:
    """How many steps make a burst of about `seconds`, the same number on both sides.

    Doubles the steps until a burst is long enough to extrapolate from, which also warms both
    workers up. At least one step, however slow it is, and no more than MOST_STEPS.
    """
    steps = 1
    while True:
        took = (base(steps) + head(steps)) / 2
        if took >= seconds / 2 or steps >= MOST_STEPS:
            return min(max(1, round(steps * seconds / took)), MOST_STEPS)
        steps *= 2


def compare_bursts(
    base: Burst,
    head: Burst,
    steps: int,
    pairs: int = PAIRS,
    go_on: Callable[[], bool] = lambda: True,
) -> Ratio | None:
    """The ratio of both sides over pairs of bursts: base, head, head, base, base, head, ...

    What drifts during four bursts cancels in their two pairs. None when `go_on` ends it.
    """
    base_seconds, head_seconds = [], []
    for pair in range(pairs):
        if not go_on():
            return None
        if pair % 2 == 0:
            base_seconds.append(base(steps) / steps)
            head_seconds.append(head(steps) / steps)
        else:
            head_seconds.append(head(steps) / steps)
            base_seconds.append(base(steps) / steps)
    logs = [math.log(h / b) for b, h in zip(base_seconds, head_seconds, strict=True)]
    return Ratio(median(logs), median(base_seconds), median(head_seconds))
