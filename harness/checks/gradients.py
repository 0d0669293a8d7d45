"""Does every parameter receive a gradient?"""

from __future__ import annotations

from harness.checks.base import Judgement, Stage, check
from harness.checks.tensors import TensorVerdict, names, tensor_verdicts
from harness.config import MilestoneConfig
from harness.record import RunRecord

_HINTS = {
    "MISSING": "Is it passed to Function.__init__ of its op, and is no tensor on the way to the "
    "loss rebuilt from .data?",
    "NONFINITE": "Look for a log or a division of zero, an overflowing exp, or a learning rate "
    "that is too high.",
    "ZERO": "From the first step on: is an apply() returning zeros? Later: did all behind it die "
    "of a learning rate that is too high?",
    "WRONG": "The op that should cancel it does not.",
}
_COUNT_HINT = "Is every Parameter an attribute of its layer, and is expectations.tensors right?"


@check(Stage.GRADIENT)
def gradients_arrive(config: MilestoneConfig, record: RunRecord) -> Judgement:
    """Every declared tensor receives a finite gradient above 1e-6 of the model's largest.

    One missing or non-finite gradient fails; ten zero steps in a row do. Tensors declared
    null must receive one below that, but for single steps.
    """
    declared = config.expectations.count
    tensors = tensor_verdicts(config, record)
    bad = sorted((t for t in tensors if not t.has_gradient), key=lambda tensor: tensor.since)
    absent = [label for label in config.expectations.labels if label not in record.labels]
    good = len(tensors) - len(bad)
    evidence = {
        "expected": declared,
        "got": good,
        "tensors": [*absent, *(tensor.label for tensor in bad)],
    }
    if record.steps == 0:
        return False, "no step was taken", "Is there any training data?", evidence
    if absent or len(tensors) != declared:
        return False, _wrong_count(len(tensors), declared, absent), _COUNT_HINT, evidence
    if bad:
        reason = f"{_sentence(tensors, bad)} ({good} of {declared} parameters have their gradient)"
        return False, reason, _HINTS[bad[0].verdict], evidence
    return True, f"{good} of {declared} parameters receive a gradient at every step", "", evidence


def _wrong_count(got: int, declared: int, absent: list[str]) -> str:
    count = f"the model has {got} parameters, the config declares {declared}"
    return f"{names(absent)} not among the model's parameters: {count}" if absent else count


def _sentence(tensors: list[TensorVerdict], bad: list[TensorVerdict]) -> str:
    """The tensors with the first reason, then those with others."""
    same = [tensor.label for tensor in bad if tensor.reason == bad[0].reason]
    others = [f"{t.label} ({t.verdict})" for t in bad if t.reason != bad[0].reason]
    text = f"{names(same)} {bad[0].reason}"
    cut = _cut([tensor.label for tensor in tensors], same)
    text += f": the graph is cut {cut}" if cut and bad[0].verdict == "MISSING" else ""
    return f"{text}; also {names(others)}" if others else text


def _cut(labels: list[str], missing: list[str]) -> str:
    """Where the graph is cut, when all tensors of several layers up to one are missing."""
    count = len(missing)
    last = _layer(labels[count - 1])
    if missing == labels:
        return f"after {last}"
    if missing != labels[:count] or len({_layer(label) for label in missing}) < 2:
        return ""
    return f"between {last} and {_layer(labels[count])}" if _layer(labels[count]) != last else ""


def _layer(label: str) -> str:
    return label.split(".")[0]
