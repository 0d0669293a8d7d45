"""Faults of the record, and those that come late or with many examples, do what they say."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from harness import config_files
from harness.faults import all_faults, planted
from harness.faults.late_or_large import EARLY
from harness.model import build
from harness.record import RunRecord
from harness.training import train

# So many steps go as they should.
FIRST = {"zg_forgotten_late": EARLY, "lr_decay_has_a_floor": 290}
LATE = [each for each in all_faults().values() if each.family == "late_or_large"]


@cache
def trained(milestone: str, fault: str | None = None) -> RunRecord:
    config = config_files.load(config_files.find(milestone))
    with planted(fault, "numpy") as ground:
        changed, dataset = ground.of(config)
        return train(changed, ground.backend, dataset, seed=0)


def test_squared_norms_are_the_squares() -> None:
    right, wrong = trained("xor"), trained("xor", "watch_norms_squared")
    np.testing.assert_allclose(wrong.gradient_norm, right.gradient_norm**2, rtol=1e-12)
    assert wrong.digest == right.digest


def test_shifted_movement_is_that_of_the_next_step() -> None:
    right, wrong = trained("xor"), trained("xor", "watch_movement_shifted")
    np.testing.assert_array_equal(wrong.movement[:-1], right.movement[1:])
    assert wrong.digest == right.digest


def test_digest_without_weights_is_another_for_the_same_run() -> None:
    right, wrong = trained("xor"), trained("xor", "digest_without_weights")
    np.testing.assert_array_equal(wrong.loss, right.loss)
    assert wrong.digest != right.digest


def test_crossed_labels_stand_for_each_other() -> None:
    config = config_files.load(config_files.find("transformer"))
    one, other = "attention.value.weight", "attention.out.weight"
    with planted(None, "numpy") as ground:
        right = build(config.layers, ground.backend, 0).parameters
    with planted("labels_crossed", "numpy") as ground:
        from harness import model  # where the fault replaced `build`

        wrong = model.build(config.layers, ground.backend, 0).parameters
    np.testing.assert_array_equal(wrong[one].data, right[other].data)
    np.testing.assert_array_equal(wrong[other].data, right[one].data)


@pytest.mark.parametrize("fault", LATE, ids=lambda each: each.name)
def test_fault_that_comes_late_changes_training_where_it_says(fault: object) -> None:
    name = fault.name  # type: ignore[attr-defined]
    right, wrong = trained("mlp"), trained("mlp", name)
    assert wrong.digest != right.digest
    first = FIRST.get(name, 0)
    np.testing.assert_array_equal(wrong.loss[:first], right.loss[:first])


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
