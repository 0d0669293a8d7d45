"""The first sentence on a milestone: where two trainings part, or what else came out."""

from __future__ import annotations

from collections.abc import Sequence

from harness.comparison import Cell, CheckChange, Divergence, Verdict

# How a phase is said of a tensor, "{}" being its label.
_SUBJECTS = {
    "start": "{} starts otherwise",
    "batch": "the batch differs",
    "forward": "the output of {} differs",
    "gradient": "{}'s gradient differs",
    "update": "the step of {} differs",
    "evaluation": "the training is the same to the bit, but the {} differs",
    "unknown": "the trainings differ",
}
_OF_THE_WHOLE = {"forward": "the loss differs", "start": "the weights start otherwise"}


def parting(divergence: Divergence) -> str:
    """Such as "conv1.weight's gradient differs from step 0: 0.021 against 0.042"."""
    if divergence.level == "IDENTICAL":
        return f"identical to the bit on {_count(len(divergence.seeds), 'seed')}"
    phase = divergence.phase or "unknown"
    if phase == "gradient" and divergence.head is None:
        text = f"{divergence.tensor} receives no gradient"
    elif phase == "gradient" and divergence.base is None:
        text = f"{divergence.tensor} receives a gradient, which it did not"
    elif phase == "batch" and divergence.base is not None and divergence.head is not None:
        return f"the training takes {divergence.head:g} steps, not {divergence.base:g}"
    elif divergence.tensor:
        text = _SUBJECTS[phase].format(divergence.tensor)
    else:
        text = _OF_THE_WHOLE.get(phase, _SUBJECTS[phase])
    if divergence.level == "ROUNDING":
        text += " by rounding"
    text += _since(divergence)
    return text + _numbers(divergence)


def _since(divergence: Divergence) -> str:
    step, since = divergence.step, divergence.since
    if step is None or divergence.phase == "start":
        return ""
    if divergence.phase == "evaluation":
        return f" first after step {step}"
    if step == 0:
        return " from step 0"
    if since is not None and since == step - 1:
        return f" from step {step} (the first is 0)"
    return f" from a step after {since} and up to {step}" if since is not None else (
        f" at step {step} or before"
    )  # fmt: skip


def _numbers(divergence: Divergence) -> str:
    base, head = (number(value) for value in (divergence.base, divergence.head))
    if divergence.base is None and divergence.head is None:
        return ""
    if divergence.base is None or divergence.head is None:
        return f": {base} against {head}"
    if base != head:
        return f": {base} against {head}"
    if divergence.difference is None:
        return ""
    return f": of norm {base} on both, apart by {number(divergence.difference)} of that"


def number(value: float | None) -> str:
    """Three significant digits."""
    return "none" if value is None else f"{value:.3g}"


def headline(
    verdict: Verdict,
    divergence: Divergence | None,
    newly: Sequence[CheckChange],
    cells: Sequence[Cell],
    differences: Sequence[str],
) -> str:
    """What to know first of a milestone."""
    if differences:
        return "; ".join(differences)
    decided = [cell for cell in cells if cell.verdict in ("worse", "better")]
    if divergence and divergence.level == "CHANGED" and not divergence.unsteady:
        return "; ".join([parting(divergence), *map(effect, decided)])
    if verdict == "REGRESSED" and newly:
        return f"{newly[0].check} fails: {newly[0].reason}"
    if decided:
        return "; ".join(effect(cell) for cell in decided)
    unsure = [cell.quantity for cell in cells if cell.verdict == "inconclusive"]
    if unsure:
        return f"too little evidence on {', '.join(unsure)}"
    if divergence is None or divergence.level == "unknown":
        return "no difference seen"
    if divergence.unsteady:
        return f"no difference shown; other bits each time on {' and '.join(divergence.unsteady)}"
    return parting(divergence)


def effect(cell: Cell) -> str:
    """Such as "step time 1.12x (1.1 to 1.14)"."""
    words = {
        "learning speed": "steps needed",
        "final accuracy": "final accuracy",
        "reach": "seeds that reach the target",
        "step time": "step time",
        "peak memory": "peak memory",
    }
    unit = {"x": "x", "points": " points", "seeds": " seeds"}[cell.unit]
    sign = "" if cell.unit == "x" or cell.estimate is None or cell.estimate < 0.0 else "+"
    text = f"{words[cell.quantity]} {sign}{number(cell.estimate)}{unit}"
    if cell.low is None or cell.high is None or cell.low == cell.high:
        return text
    return f"{text} ({number(cell.low)} to {number(cell.high)})"


def _count(number_: int, word: str) -> str:
    return f"{number_} {word}{'' if number_ == 1 else 's'}"
