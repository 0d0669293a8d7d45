"""From what was observed to a result of the scorecard: a judged run, or one without a verdict."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from harness.checks.accuracy import steps_to
from harness.checks.base import Verdict
from harness.checks.crashes import raised_in
from harness.checks.loss import first_and_last
from harness.checks.tensors import tensor_verdicts
from harness.config import MilestoneConfig
from harness.errors import JobCrashedError, JobError, NotSupportedError
from harness.record import EngineRecord, RunRecord
from harness.scorecard import (
    Accuracy,
    CostRow,
    EngineResult,
    Loss,
    ParameterRow,
    Result,
    Status,
    Tensors,
    VerdictRow,
    overall,
)


def judged_result(
    config: MilestoneConfig, record: RunRecord, verdicts: Iterable[Verdict]
) -> Result:
    """The result of a run that ended: it passes only if every check does."""
    ordered = sorted(verdicts, key=lambda verdict: verdict.stage)
    tensors = tensor_verdicts(config, record)
    null = config.expectations.null_gradients
    first, last = first_and_last(record.loss) if record.steps else (None, None)
    return Result(
        **_identity(config, record.seed, record.backend),
        status=overall(verdict.status for verdict in ordered),
        verdicts=[_row(verdict) for verdict in ordered],
        parameters=[
            ParameterRow(
                label=tensor.label,
                shape=list(tensor.shape),
                verdict=tensor.verdict,
                reason=tensor.reason,
                gradient_norm=_finite(tensor.gradient_norm),
                movement=_finite(tensor.movement),
            )
            for tensor in tensors
        ],
        tensors=_tensors(config).model_copy(
            update={
                "with_gradient": sum(tensor.has_gradient for tensor in tensors),
                "moved": sum(not tensor.rest and tensor.label not in null for tensor in tensors),
            }
        ),
        accuracy=Accuracy(
            held_out=_finite(record.final_accuracy),
            target=config.targets.accuracy,
            steps_to_target=steps_to(record, config.targets.accuracy),
            majority=record.majority_accuracy,
            examples=record.held_out_examples,
        ),
        loss=Loss(
            first=first,
            last=last,
            held_out=_finite(record.final_loss),
            floor=config.targets.loss_floor,
        ),
        steps=record.steps,
        planned_steps=record.planned_steps,
        seconds=_rounded(record.seconds),
        digest=record.digest,
        layers=record.layers,
        dtype=record.dtype,
        cost=CostRow(**vars(record.cost)) if record.cost else None,
        uses=record.uses,
        probe_seconds=_rounded(record.probed.seconds),
    )


def engine_result(record: EngineRecord, verdicts: Iterable[Verdict]) -> EngineResult:
    """The result of a look at the engine itself."""
    ordered = sorted(verdicts, key=lambda verdict: verdict.stage)
    return EngineResult(
        backend=record.backend,
        status=overall(verdict.status for verdict in ordered),
        lacks=record.lacks,
        verdicts=[_row(verdict) for verdict in ordered],
        seconds=_rounded(record.probed.seconds),
    )


def failed_engine_result(backend: str, error: JobError) -> EngineResult:
    """The result of an engine that did not survive being looked at, with its cause."""
    return EngineResult(backend=backend, status="error", verdicts=[_no_verdict(error)])


def failed_result(config: MilestoneConfig, seed: int, backend: str, error: JobError) -> Result:
    """The result of a run without a verdict, or of one that the backend lacks the names for."""
    is_supported = not isinstance(error, NotSupportedError)
    lacks = list(error.lacks) if isinstance(error, NotSupportedError) else []
    return Result(
        **_identity(config, seed, backend),
        status="error" if is_supported else "unsupported",
        lacks=[_text(each) for each in lacks],
        verdicts=[_no_verdict(error)],
        tensors=_tensors(config),
        accuracy=Accuracy(target=config.targets.accuracy),
        loss=Loss(floor=config.targets.loss_floor),
    )


def _no_verdict(error: JobError) -> VerdictRow:
    evidence = {}
    if isinstance(error, JobCrashedError):
        place = raised_in(error.details).get("place")
        evidence = {
            "traceback": _text(error.details),
            **({"place": _text(str(place))} if place else {}),
        }
    status: Status = "fail" if isinstance(error, NotSupportedError) else "error"
    return VerdictRow(
        check="runs", status=status, reason=_text(error.message), hint=_text(error.hint),
        evidence={"kind": type(error).__name__, **evidence},
    )  # fmt: skip


def _rounded(seconds: Mapping[str, float]) -> dict[str, float]:
    return {name: round(spent, 6) for name, spent in seconds.items()}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _identity(config: MilestoneConfig, seed: int, backend: str) -> dict[str, Any]:
    return {
        "milestone": config.name,
        "title": config.title,
        "year": config.year,
        "seed": seed,
        "backend": backend,
    }


def _tensors(config: MilestoneConfig) -> Tensors:
    expected = config.expectations.count
    return Tensors(expected=expected, must_move=expected - len(config.expectations.null_gradients))


def _row(verdict: Verdict) -> VerdictRow:
    return VerdictRow(
        check=verdict.check,
        status=verdict.status,
        reason=_text(verdict.reason),
        hint=_text(verdict.hint),
        stage=verdict.stage.name.lower(),
        evidence={key: _plain(value) for key, value in verdict.evidence.items()},
    )


def _plain(value: object) -> object:
    """The nearest thing to `value` that JSON can hold: a check may keep what it likes."""
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(inner) for inner in value]
    if isinstance(value, int | float | bool | None):
        return value
    return _text(str(value))


def _text(text: str) -> str:
    """What UTF-8 can hold: an engine may say anything, half a character too."""
    return text.encode("utf-8", "replace").decode()
