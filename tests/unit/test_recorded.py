"""What a record says of a training: right ones pass, whatever is told wrongly is seen."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from harness import datasets, training
from harness.backends import load
from harness.checks.honesty import evaluation_is_honest, loss_is_honest, record_is_honest
from harness.checks.measured import SINGLE
from harness.datasets.base import Dataset
from harness.measurement import Measurement
from harness.probes.models.specimen import Specimen
from harness.probes.runs.recorded import (
    RECORD,
    WATCH,
    measure_digests,
    measure_record,
    measure_watch,
)
from harness.probes.runs.witnessed import witnessed
from harness.record import RunRecord
from harness.watches.gradients import GradientWatch
from tests.examples import healthy, small_config

CONFIG = small_config()
DATA = datasets.load(CONFIG)


def specimen() -> Specimen:
    return Specimen(CONFIG, load("numpy"), DATA, 0)


def of_record(change: Callable[[RunRecord], RunRecord] = lambda record: record) -> list[str]:
    """What is wrong with the record of a short training that was changed afterwards."""
    run = witnessed(specimen(), evaluate_every=1)
    return wrong(list(measure_record(replace(run, record=change(run.record)))))


def of_watch() -> list[str]:
    return wrong(list(measure_watch(load("numpy"), np.random.default_rng(0))))


def of_digests() -> list[str]:
    return wrong(list(measure_digests(specimen())))


def wrong(rows: list[Measurement]) -> list[str]:
    return [row.what for row in rows if not row.error <= SINGLE]


@pytest.mark.parametrize("look", [of_record, of_watch, of_digests])
def test_right_record_passes(look: Callable[[], list[str]]) -> None:
    assert look() == []


CHANGES: dict[str, tuple[dict[str, Callable[[Any], Any]], str]] = {
    "squared norms": ({"initial_norm": np.square}, "norms before the first step"),
    "another tensor's norms": ({"initial_norm": lambda norms: norms[::-1]},
                               "norms before the first step"),
    "gradients of the step before": ({"gradient_norm": lambda norms: np.roll(norms, 1, axis=0)},
                                     "gradient norms of a short training"),
    "one movement a little off": ({"movement": lambda moves: moves * [1, 1, 1, 1.001]},
                                  "movements of a short training"),
    "movement lost": ({"movement": lambda moves: moves[1:]},
                      "movements of a short training, of shape"),
    "one step more": ({"planned_steps": lambda steps: steps + 1}, "planned steps"),
    "fewer held out": ({"held_out_examples": lambda count: count - 1}, "held-out examples"),
    "larger batches": ({"batch_size": lambda size: size + 1}, "size of a batch"),
    "the rarest answer": ({"majority_accuracy": lambda share: 1.0 - share},
                          "accuracy of always the same answer"),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_record_that_tells_something_else_is_seen(name: str) -> None:
    changes, what = CHANGES[name]

    def changed(record: RunRecord) -> RunRecord:
        return replace(record, **{key: way(getattr(record, key)) for key, way in changes.items()})

    (seen,) = of_record(changed)
    assert seen.startswith(what)


# --- the watch by itself ------------------------------------------------------------------

_SUM_UP, _FINISH = GradientWatch._sum_up, GradientWatch.finish


def _later_blocks_fade(self: GradientWatch) -> None:
    is_first = not self._moves
    _SUM_UP(self)
    if not is_first:
        self._moves[-1] = 0.9 * self._moves[-1]


def _blocks_start_afresh(self: GradientWatch) -> None:
    first = self._values[0].copy()
    _SUM_UP(self)
    self._values[0] = first


def _missing_counts_as_zero(self: GradientWatch) -> tuple[np.ndarray, np.ndarray]:
    norms, moves = _FINISH(self)
    return np.nan_to_num(norms, posinf=np.inf), moves


def _infinite_counts_as_missing(self: GradientWatch) -> tuple[np.ndarray, np.ndarray]:
    norms, moves = _FINISH(self)
    return np.where(np.isinf(norms), np.nan, norms), moves


def _last_steps_lost(self: GradientWatch) -> tuple[np.ndarray, np.ndarray]:
    norms, moves = _FINISH(self)
    return norms[:128], moves[:128]


@pytest.mark.parametrize(
    ("name", "broken", "part"),
    [
        ("_sum_up", _later_blocks_fade, "movements"),
        ("_sum_up", _blocks_start_afresh, "movements"),
        ("finish", _missing_counts_as_zero, "gradient norms"),
        ("finish", _infinite_counts_as_missing, "gradient norms"),
        ("finish", _last_steps_lost, "gradient norms"),
    ],
)
def test_watch_that_goes_wrong_after_many_steps_is_seen(
    name: str, broken: Callable[..., Any], part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(GradientWatch, name, broken)
    assert of_watch()[0].startswith(part)


# --- digests ------------------------------------------------------------------------------


def _of_losses(loss: np.ndarray, arrays: list[np.ndarray]) -> str:
    return hashlib.sha256(loss.tobytes()).hexdigest()


def _of_weights(loss: np.ndarray, arrays: list[np.ndarray]) -> str:
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()


@pytest.mark.parametrize(("digest", "blind"), [(_of_losses, "weights"), (_of_weights, "losses")])
def test_digest_of_only_one_of_both_is_seen(
    digest: Callable[..., str], blind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "_digest", digest)
    assert of_digests() == [f"trainings of other {blind} that have the same digest"]


def test_first_answer_is_not_the_most_frequent_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def of_the_first(self: Dataset) -> float:
        return float((self.held_out_y == self.held_out_y.flat[0]).mean())

    monkeypatch.setattr(Dataset, "majority_accuracy", property(of_the_first))
    assert of_digests() == ["accuracy of always the same answer"]


# --- the check ----------------------------------------------------------------------------


@pytest.mark.parametrize("subject", [WATCH, RECORD])
def test_check_judges_rows_about_records_alone(subject: str) -> None:
    record = healthy()
    good = [Measurement(each, "x", 1.0, 1.0, 0.0) for each in (RECORD, "the loss log", "accuracy")]
    record.probed.measured["honesty"] = [*good, Measurement(subject, "y", 1.0, 2.0, 0.5)]
    failed = record_is_honest(CONFIG, record)
    assert failed.status == "fail"
    assert failed.evidence["culprits"] == [subject]
    for check in (loss_is_honest, evaluation_is_honest):
        assert check(CONFIG, record).status == "pass"


def test_check_passes_on_an_honest_record() -> None:
    record = healthy()
    record.probed.measured["honesty"] = [Measurement(RECORD, "x", 1.0, 1.0, 0.0)]
    assert record_is_honest(CONFIG, record).status == "pass"


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
