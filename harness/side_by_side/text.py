"""Two engines side by side, in sentences for a terminal."""

from __future__ import annotations

from harness.comparison import Divergence
from harness.reports.comparing.wording import norm, number
from harness.side_by_side.told import MilestoneTold, SideBySide, Trained


def render(told: SideBySide) -> str:
    """A line for what was compared, then two for every milestone."""
    names = [f"{name} {v}" for name, v in zip(told.backends, told.versions, strict=True)]
    lines = [f"{names[0]} and {names[1]}, from the same weights on the same batches, "
             f"seed {told.seed}"]  # fmt: skip
    for each in told.milestones:
        lines.append(f"{each.milestone}: {_verdict(each, told.backends)}")
        if each.trained:
            lines.append(f"    {_ends(each)}")
    return "\n".join(lines) + "\n"


def _verdict(told: MilestoneTold, backends: list[str]) -> str:
    found = told.divergence
    if told.lacks:
        return told.problem
    if found is None:
        return f"no verdict: {told.problem}"
    if found.level == "unknown":
        return f"no verdict: {found.why}"
    if found.level == "IDENTICAL":
        return f"IDENTICAL: the same bits at every step, in {told.dtype}"
    if found.level == "ROUNDING":
        return f"ROUNDING: {_where(found)} and later, as far as it can be told, in {told.dtype}"
    first, second = backends if len(set(backends)) == 2 else ("the first", "the second")
    also = f"; also {', '.join(found.also[:4])}" if found.also else ""
    also += f" and {len(found.also) - 4} more" if len(found.also) > 4 else ""
    return (
        f"CHANGED {_where(found)}: {_what(found)}{norm(found.base)} with {first}, "
        f"{norm(found.head)} with {second}, in {told.dtype}{also}"
    )


def _what(found: Divergence) -> str:
    """What the two numbers are: norms, but for losses, and for how many steps there were."""
    if found.phase == "batch":
        return "steps "
    return "" if found.tensor.endswith("loss") else "norm "


def _where(found: Divergence) -> str:
    """Such as "at step 3, gradient of conv1.bias (0.5 of the norm apart)"; steps from 0."""
    step = "" if found.step is None else f"at step {found.step}, "
    tensor = f" of {found.tensor}" if found.tensor else ""
    apart = f" ({number(found.difference)} of the norm apart)" if found.difference else ""
    apart = " (equal numbers in other bits)" if found.difference == 0.0 else apart
    return f"{step}{found.phase}{tensor}{apart}"


def _ends(told: MilestoneTold) -> str:
    first, second = told.trained
    both = (
        f"loss {_pair(first.last_loss, second.last_loss)}, accuracy "
        f"{_pair(first.held_out_accuracy, second.held_out_accuracy)} after {_steps(first, second)}"
    )
    if not told.loss_apart:
        return both
    return f"{both}; losses at most {told.loss_apart:.1e} apart, at step {told.loss_apart_at}"


def _steps(first: Trained, second: Trained) -> str:
    if first.steps == second.steps:
        return f"{first.steps} steps"
    return f"{first.steps} and {second.steps} steps"


def _pair(first: float | None, second: float | None) -> str:
    return f"{_number(first)} and {_number(second)}"


def _number(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.4g}"
