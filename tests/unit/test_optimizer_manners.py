"""What optimizers owe their surroundings: velocities, dtypes, and learning rates that change."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.autograd import optim
from harness.backends import load
from harness.faults.ground import Ground
from harness.measurement import Measurement
from harness.probes.engine import optimizer_rules
from tests.specimens import culprits, swapped, wrong


def of_optimizer(kind: type[optim.Optimizer], name: str) -> list[Measurement]:
    """The rows of an engine that offers no other."""
    backend = Ground(load("numpy")).backend
    backend.namespace = replace(backend.namespace, optimizers={name: kind})
    return list(optimizer_rules.measure(backend))


class Forgetful(optim.SGD):
    """zero_grad forgets the velocity, too."""

    def zero_grad(self) -> None:
        super().zero_grad()
        for group in self._groups:
            for moment in group.moments:
                moment[...] = 0.0


def test_zero_grad_that_forgets_more_than_gradients_is_seen() -> None:
    (row,) = wrong(of_optimizer(Forgetful, "SGD"))
    assert (row.subject, row.what) == ("SGD", "change in three steps with zero_grad before each")


class Recast(optim.SGD):
    """A step leaves numbers of another type where they were of this one."""

    was, becomes = np.float32, np.float64

    def step(self) -> None:
        super().step()
        for parameter in self.parameters:
            if parameter.dtype == self.was:
                parameter.data = parameter.data.astype(self.becomes)


class Narrowing(Recast):
    """Numbers as far apart as float32 tells."""

    was, becomes = np.float64, np.float32


@pytest.mark.parametrize("kind", [Recast, Narrowing])
@pytest.mark.parametrize("name", ["SGD", "Unheard"])
def test_dtype_that_a_step_changes_is_seen(kind: type[optim.Optimizer], name: str) -> None:
    found = [row.what for row in wrong(of_optimizer(kind, name))]

    assert f"dtypes beside others, such as {np.dtype(kind.was)} that became " in "".join(found)
    in_rules = [what for what in found if "no options" in what or "in float32" in what]
    assert bool(in_rules) == (name == "SGD")


class FirstDtype(optim.SGD):
    """Of tensors of two dtypes those of the first are moved."""

    def step(self) -> None:
        self._groups = self._groups[:1]
        super().step()


def test_tensors_of_a_second_dtype_that_stand_still_are_seen() -> None:
    (row,) = wrong(of_optimizer(FirstDtype, "SGD"))
    assert (row.subject, row.got) == ("SGD", 0.0)
    assert row.what == "change of tensors of float64 beside others in one optimizer"


class ConstantRate(optim.SGD):
    """The learning rate of the beginning is used for ever."""

    def step(self) -> None:
        self.first = getattr(self, "first", self.lr)
        self.lr = self.first
        super().step()


def test_learning_rate_that_never_changes_is_named_beside_the_optimizer() -> None:
    with swapped("optimizers", "SGD", ConstantRate) as backend:
        assert culprits(list(optimizer_rules.measure(backend))) == ["SGD", "learning rate"]


def test_learning_rate_is_named_too_when_no_optimizer_hears_of_a_change() -> None:
    backend = Ground(load("numpy")).backend
    backend.set_lr = lambda optimizer, lr: None  # type: ignore[method-assign]
    found = culprits(list(optimizer_rules.measure(backend)))
    assert found == ["SGD", "learning rate", "Adam", "AdamW"]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
