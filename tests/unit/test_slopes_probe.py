"""Finite differences of whole models: silent on a right engine, loud on a wrong one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness import config, datasets
from harness.autograd import Tensor, nn
from harness.autograd.ops.matmul import LinearBackward
from harness.backends import load
from harness.backends.base import Backend
from harness.checks.measured import WIDE
from harness.checks.slopes import gradients_agree
from harness.faults import planted
from harness.faults.ground import Ground
from harness.measurement import Measurement
from harness.probes.milestone import slopes
from harness.probes.specimen import Specimen
from tests.examples import NAMES, healthy, small_config


def measured(milestone: str, backend: Backend, seed: int = 0) -> list[Measurement]:
    found = config.load(config.find(milestone))
    return list(slopes.measure(Specimen(found, backend, datasets.load(found), seed)))


def wrong(rows: list[Measurement]) -> list[str]:
    return sorted({row.subject for row in rows if not row.error <= WIDE})


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", NAMES)
def test_right_engine_agrees_far_within_the_tolerance(name: str, seed: int) -> None:
    rows = measured(name, load("numpy"), seed)
    assert max(row.error for row in rows) < WIDE / 4
    labels = config.load(config.find(name)).expectations.labels
    assert [row.subject for row in rows] == [*labels, *labels]  # training, then evaluation


@pytest.mark.parametrize("factor", [2.0, 0.5, -1.0, 1.001, 0.0])
def test_wrong_factor_on_one_tensor_is_seen_on_that_tensor(factor: float) -> None:
    right, ground = LinearBackward.apply, Ground(load("numpy"))

    def apply(self: LinearBackward, g: np.ndarray) -> tuple[np.ndarray | None, ...]:
        grad_x, grad_weight, grad_bias = right(self, g)
        assert grad_bias is not None
        return grad_x, grad_weight, factor * grad_bias

    ground.patch(LinearBackward, "apply", apply)
    try:
        rows = measured("mlp", ground.backend)
    finally:
        ground.restore()
    assert wrong(rows) == ["hidden.bias", "output.bias"]


def test_planted_factor_of_the_loss_is_seen_on_every_tensor() -> None:
    with planted("ce_grad_factor2", "numpy") as ground:
        rows = measured("cnn", ground.backend)
    assert wrong(rows) == sorted({row.subject for row in rows})
    assert {round(row.got / row.expected, 4) for row in rows} == {2.0}


class DetachedLinear(nn.Linear):
    """The product does not know its weight."""

    def forward(self, x: Tensor) -> Tensor:
        return x @ Tensor(self.weight.data.T) + self.bias


def test_gradient_that_never_arrives_is_said_to_be_missing() -> None:
    ground = Ground(load("numpy"))
    ground.swap("layers", "Linear", DetachedLinear)
    rows = [row for row in measured("xor", ground.backend) if row.subject == "output.weight"]
    assert [row.what for row in rows] == ["no gradient in training", "no gradient in evaluation"]
    assert all(row.error == 1.0 for row in rows)


class Noisy(nn.Dropout):
    """A dropout whose backward pass draws other masks."""

    def forward(self, x: Tensor) -> Tensor:
        kept, other = super().forward(x), super().forward(x)
        return Tensor(kept.data - other.data) + other if self.training else x


@pytest.mark.parametrize(("layer", "seen"), [(nn.Dropout, False), (Noisy, True)])
def test_dropout_is_replayed_mask_by_mask(layer: type[nn.Dropout], seen: bool) -> None:
    xor = config.load(config.find("xor"))
    layers = dict(xor.layers)
    layers["tanh"] = layers["tanh"].model_copy(update={"type": "Dropout"})
    xor = xor.model_copy(update={"layers": layers})
    ground = Ground(load("numpy"))
    ground.swap("layers", "Dropout", layer)
    specimen = Specimen(xor, ground.backend, datasets.load(xor), 0)
    found = [row for row in slopes.measure(specimen) if not row.error <= WIDE]
    assert bool(found) == seen
    assert all("training" in row.what for row in found)


def test_check_passes_on_agreeing_slopes_and_names_those_that_do_not() -> None:
    right = Measurement("hidden.weight", "slope in training", 0.5, 0.5, 0.0)
    off = replace(right, subject="hidden.bias", got=1.0, error=0.5)
    record = healthy()
    record.probed.measured["slopes"] = [right]
    passed = gradients_agree(small_config(), record)
    assert (passed.status, passed.reason) == ("pass", "1 slopes agree with finite differences")
    record.probed.measured["slopes"] = [right, off]
    failed = gradients_agree(small_config(), record)
    assert failed.status == "fail"
    assert failed.reason == "hidden.bias: slope in training: got 1, expected 0.5"
    assert failed.evidence["culprits"] == ["hidden.bias"]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
