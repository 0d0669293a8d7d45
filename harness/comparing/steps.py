"""Two trainings from one seed, step by step: the first place where their bits part.

From fingerprints of single steps where both were kept, else from the norms of every step.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from harness.comparing.looks import Trajectory, by_checkpoints
from harness.comparing.pairs import LEAST_SCALE, Parting, to_name, tolerance_of
from harness.comparison import Level, Phase

# Rounding does not grow as far from one checkpoint to the next; a change that leaves all norms
# as they are, such as one of signs, does.
_MOST_GROWTH = 0.01


def first_parting(base: Trajectory, head: Trajectory) -> Parting | None:
    """Where two trainings first differ, by more than rounding if they do so at the same step.

    None where everything that was kept of both is equal.
    """
    if base.labels != head.labels:
        odd = sorted(set(base.labels) ^ set(head.labels)) or list(head.labels)
        return Parting("CHANGED", "start", 0, None, odd[0], tuple(odd[1:]))
    found = by_checkpoints(base, head)
    if found is None and (end := _last_equal(base, head)) is not None:
        return _by_norms(base, head, end) or _recorded_otherwise(base, head)
    earlier = _by_norms(base, head, -1 if not found or found.since is None else found.since)
    if earlier is None or (found and (found.step or 0) <= (earlier.step or 0)):
        return _with_true_steps(found, base, head)
    if found and earlier.level == "ROUNDING" and (found.difference or 0.0) > _MOST_GROWTH:
        return found  # rounding does not grow as fast: norms do not tell a turn or a change of sign
    return earlier


def _last_equal(base: Trajectory, head: Trajectory) -> int | None:
    """The last step that both kept, of two trainings whose fingerprints are all equal."""
    one, other = base.checkpoints, head.checkpoints
    if one is None or other is None:
        return None
    both = np.intersect1d(one.steps, other.steps)
    return int(both[-1]) if both.size else None


def _recorded_otherwise(base: Trajectory, head: Trajectory) -> Parting | None:
    """Where the record of equal trainings differs, by more than it may through rounding."""
    found = _by_norms(base, head, -1)
    if found is None or found.level != "CHANGED":
        return None
    what = {"forward": "recorded loss", "gradient": "recorded gradient norm of ",
            "update": "recorded movement of "}.get(found.phase, "record")  # fmt: skip
    return replace(found, phase="evaluation", since=None, tensor=f"{what}{found.tensor}", also=())


def _with_true_steps(found: Parting | None, base: Trajectory, head: Trajectory) -> Parting | None:
    """A step's own length instead of an estimate, where the look before was one step ago."""
    if found is None or found.phase != "update" or found.step is None:
        return found
    moves = [t.movement for t in (base, head) if t.movement is not None]
    is_next = found.step == 0 or found.since == found.step - 1
    if len(moves) < 2 or not is_next or any(found.step >= len(each) for each in moves):
        return found
    column = base.labels.index(found.tensor)
    a, b = (float(each[found.step, column]) for each in moves)
    return replace(found, base=a, head=b)


def _by_norms(base: Trajectory, head: Trajectory, after: int) -> Parting | None:
    """The first step later than `after` whose loss, gradient norms or movements differ."""
    pairs = [(base.loss, head.loss), (base.gradient_norm, head.gradient_norm),
             (base.movement, head.movement)]  # fmt: skip
    kept = [(a, b) for a, b in pairs if a is not None and b is not None]
    if len(kept) < len(pairs):
        return None
    steps = min(len(array) for pair in kept for array in pair)
    firsts = [_first_difference(a[after + 1 : steps], b[after + 1 : steps]) for a, b in kept]
    known = [first for first in firsts if first is not None]
    if not known:
        ends = len(kept[0][0]), len(kept[0][1])  # one of them trains on
        return None if ends[0] == ends[1] else Parting("CHANGED", "batch", steps, steps - 1, "", (),
                                                       *map(float, ends))  # fmt: skip
    step = after + 1 + min(known)
    chosen = firsts.index(min(known))
    phase: Phase = ("forward", "gradient", "update")[chosen]
    a, b = (np.atleast_1d(array[step]) for array in kept[chosen])
    return _of_norms(base, phase, a, b, step, None if after < 0 else after)


def _first_difference(a: np.ndarray, b: np.ndarray) -> int | None:
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    odd = np.flatnonzero(~(same.all(axis=1) if same.ndim > 1 else same))
    return int(odd[0]) if odd.size else None


def _of_norms(
    base: Trajectory, phase: Phase, a: np.ndarray, b: np.ndarray, step: int, since: int | None
) -> Parting:
    """What two rows of norms say; for the loss there is one number."""
    labels = ("",) if phase == "forward" else base.labels
    distance = np.nan_to_num(np.abs(a - b), nan=np.inf, posinf=np.inf)
    both = np.nan_to_num(np.maximum(np.abs(a), np.abs(b)), posinf=0.0)
    share = distance / np.maximum(both, np.finfo(float).tiny)
    odd = np.flatnonzero((a != b) & ~(np.isnan(a) & np.isnan(b)))
    allowed = tolerance_of(base.dtype) * np.maximum(both, LEAST_SCALE * both.max())
    changed = odd[~(distance[odd] <= allowed[odd])]
    shown = changed if changed.size else odd
    k = int(shown[to_name(phase, [labels[each] for each in shown], share[shown])])
    also = tuple(labels[each] for each in shown if each != k)
    level: Level = "CHANGED" if changed.size else "ROUNDING"
    return Parting(level, phase, step, since, labels[k], also, float(a[k]), float(b[k]),
                   float(share[k]))  # fmt: skip
