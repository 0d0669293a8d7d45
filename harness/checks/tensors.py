"""One verdict per tensor: what its gradients and its movement say over the whole run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from harness.config import MilestoneConfig
from harness.record import RunRecord

# A gradient this small beside the largest of the model is zero: well above the rounding of
# float32 (6e-8), well below any gradient of a healthy run.
NEGLIGIBLE = 1e-6
# A gradient may cross zero by chance at one step, and a converged one-number tensor may rest
# for a few; so many steps in a row are no chance.
STEPS_IN_A_ROW = 10
# A declared null above this is no rounding, even at a single step of a run that diverges.
CLEARLY_NOT_NULL = 100 * NEGLIGIBLE


@dataclass(frozen=True)
class TensorVerdict:
    """OK, NULL, MISSING, ZERO, NONFINITE, WRONG or FROZEN, and in how many steps it showed."""

    label: str
    shape: tuple[int, ...]
    verdict: str
    reason: str
    gradient_norm: float
    movement: float
    # The first step, from 1, at which the verdict shows; 0 when nothing is wrong.
    since: int
    # In how many steps it did not move; empty when it does, or need not as it is declared null.
    rest: str

    @property
    def has_gradient(self) -> bool:
        """Whether a gradient as expected arrived; NULL is as declared."""
        return self.verdict in ("OK", "NULL", "FROZEN")


def tensor_verdicts(config: MilestoneConfig, record: RunRecord) -> list[TensorVerdict]:
    """The verdict of every tensor, in the order of the model."""
    relative = _relative(record.gradient_norm)
    null = config.expectations.null_gradients
    verdicts = []
    for column, (label, shape) in enumerate(zip(record.labels, record.shapes, strict=True)):
        norms, moves = record.gradient_norm[:, column], record.movement[:, column]
        rest = "" if label in null else _rest(moves)
        verdict, reason, since = _verdict(norms, relative[:, column], rest, null.get(label))
        gradient, movement = _typical(norms), _typical(moves)
        verdicts.append(
            TensorVerdict(label, shape, verdict, reason, gradient, movement, since, rest)
        )
    return verdicts


def _relative(norms: np.ndarray) -> np.ndarray:
    """Each gradient as a share of the largest finite one of its step; 0 where all are 0."""
    finite = np.where(np.isfinite(norms), norms, 0.0)
    largest = finite.max(axis=1, keepdims=True, initial=0.0)
    zeros = np.zeros_like(finite)
    return np.asarray(np.divide(finite, largest, out=zeros, where=largest > 0))


def _typical(values: np.ndarray) -> float:
    """The median of what is finite; that of numpy would import much first, at every start."""
    finite = np.sort(values[np.isfinite(values)])
    if not finite.size:
        return float("nan")
    return float((finite[(finite.size - 1) // 2] + finite[finite.size // 2]) / 2.0)


def _verdict(
    norms: np.ndarray, relative: np.ndarray, rest: str, null_reason: str | None
) -> tuple[str, str, int]:
    """The verdict, its reason, and the first step at which it shows."""
    if len(norms) == 0:
        return "MISSING", "received no gradient: no step was taken", 1
    missing, bad = np.isnan(norms), np.isinf(norms)
    if missing.any():
        return (
            "MISSING",
            f"received no gradient in {_share(missing, 'any of')}",
            missing.argmax() + 1,
        )
    if bad.any():
        since = int(bad.argmax()) + 1
        return "NONFINITE", f"had NaN or infinity for a gradient, first at step {since}", since
    negligible = relative <= NEGLIGIBLE
    if null_reason is not None:
        return _null_verdict(relative, negligible, null_reason)
    start = _long_run(negligible)
    if start is not None:
        return (
            "ZERO",
            f"had a gradient of zero in {_share(negligible)}, first at step {start + 1}",
            start + 1,
        )
    if rest:
        return "FROZEN", f"{rest} although it has a gradient", 1
    return "OK", "gradient and movement at every step", 0


def _null_verdict(
    relative: np.ndarray, negligible: np.ndarray, reason: str
) -> tuple[str, str, int]:
    start = _long_run(~negligible)
    if start is None and relative.max() <= CLEARLY_NOT_NULL:
        return "NULL", f"zero by mathematics: {reason}", 0
    since = int((~negligible).argmax()) + 1
    return "WRONG", (
        f"has a gradient of {relative.max():.3g} of the largest in the model, "
        f"but is zero by mathematics: {reason}"
    ), since  # fmt: skip


def _rest(moves: np.ndarray) -> str:
    """Why it cannot be said to move; nothing when it does."""
    if len(moves) == 0:
        return "did not move: no step was taken"
    bad = ~np.isfinite(moves)
    if bad.any():
        return f"moved to NaN or infinity at step {bad.argmax() + 1}"
    at_rest = moves == 0.0
    return "" if _long_run(at_rest) is None else f"did not move in {_share(at_rest, 'any of')}"


def _share(flags: np.ndarray, whole: str = "all") -> str:
    """In how many steps; `whole` is the word for every one of them, "any of" after a "no"."""
    steps, count = len(flags), int(flags.sum())
    return f"{whole} {steps} steps" if count == steps else f"{count} of {steps} steps"


def _long_run(flags: np.ndarray) -> int | None:
    """Where the first run of STEPS_IN_A_ROW (or of all steps, if fewer) starts."""
    needed = min(STEPS_IN_A_ROW, len(flags))
    if needed == 0:
        return None
    windows = np.lib.stride_tricks.sliding_window_view(flags, needed).all(axis=1)
    return int(windows.argmax()) if windows.any() else None


def names(labels: Iterator[str] | list[str]) -> str:
    """The labels as a person would list them, at most four."""
    labels = list(labels)
    shown = ", ".join(labels[:4])
    return shown if len(labels) <= 4 else f"{shown} and {len(labels) - 4} more"
