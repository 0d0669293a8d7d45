"""What a layer does to many examples at once is what it does to few, in the type that trains."""

from __future__ import annotations

import numpy as np
import pytest

from harness import config_files, datasets
from harness.autograd import Tensor, nn
from harness.backends import load
from harness.backends.base import Backend
from harness.checks.whole_batches import whole_batches_agree
from harness.faults.ground import Ground
from harness.measurement import Measurement, NotMeasurableError
from harness.probes.milestone import whole_batches
from harness.probes.models.specimen import Specimen
from harness.record import RunRecord
from tests.examples import NAMES, healthy, small_config

TOLERANCE = 2e-5


def measured(milestone: str, backend: Backend, seed: int = 0) -> list[Measurement]:
    found = config_files.load(config_files.find(milestone))
    return list(whole_batches.measure(Specimen(found, backend, datasets.load(found), seed)))


def judged(rows: list[Measurement]) -> tuple[str, list[str]]:
    record: RunRecord = healthy()
    record.probed.measured["whole_batches"] = rows
    verdict = whole_batches_agree(small_config(), record)
    culprits = verdict.evidence.get("culprits", [])
    assert isinstance(culprits, list)
    return verdict.status, culprits


def with_layer(name: str, layer: type) -> Backend:
    ground = Ground(load("numpy"))
    ground.swap("layers", name, layer)
    return ground.backend


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", NAMES)
def test_right_engine_is_far_within_the_tolerance(name: str, seed: int) -> None:
    rows = measured(name, load("numpy"), seed)
    assert rows
    assert max(row.error for row in rows) < TOLERANCE / 5
    assert judged(rows)[0] == "pass"


class HalfOfMany(nn.Linear):
    """Computes with half precision as soon as there is much to compute."""

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        if len(x) > 20:
            y.data = y.data.astype(np.float16).astype(y.data.dtype)
        return y


class ForgetsTheLast(nn.Linear):
    """Adds no bias to the last of many rows."""

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        if len(x) > 20 and self.bias is not None:
            y.data = y.data.copy()
            y.data[-1] -= self.bias.data
        return y


class OldMask(nn.ReLU):
    """Goes back by the mask of the first batch of that shape."""

    def __init__(self) -> None:
        self.masks: dict[tuple[int, ...], np.ndarray] = {}

    def forward(self, x: Tensor) -> Tensor:
        mask = self.masks.setdefault(x.shape, x.data > 0)
        y = super().forward(x)
        if y._grad_fn is not None and len(x) > 20:
            y._grad_fn.apply = lambda g: (g * mask,)  # type: ignore[method-assign]
        return y


@pytest.mark.parametrize(
    ("name", "layer"), [("Linear", HalfOfMany), ("Linear", ForgetsTheLast), ("ReLU", OldMask)]
)
def test_layer_that_is_another_for_many_examples_is_named(name: str, layer: type) -> None:
    status, culprits = judged(measured("mlp", with_layer(name, layer)))
    assert (status, culprits) == ("fail", [name])


def test_model_that_draws_is_not_measured() -> None:
    found = config_files.load(config_files.find("mlp"))
    layers = dict(found.layers)
    label = next(label for label, spec in layers.items() if spec.type == "ReLU")
    layers[label] = layers[label].model_copy(update={"type": "Dropout"})
    found = found.model_copy(update={"layers": layers})
    with pytest.raises(NotMeasurableError, match="draw at random"):
        list(whole_batches.measure(Specimen(found, load("numpy"), datasets.load(found), 0)))


def test_check_passes_on_rounding_and_fails_beyond_it() -> None:
    right = Measurement("Linear", "output of hidden on a whole batch", 1.0, 1.0, 1e-6)
    assert judged([right]) == ("pass", [])
    off = Measurement("ReLU", "output of relu on a whole batch", 1.0, 1.001, 1e-3)
    assert judged([right, off]) == ("fail", ["ReLU"])


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
