"""Faults are planted for one job and leave nothing behind."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from harness import backends, config_files, datasets, metrics
from harness.autograd import nn, ops
from harness.backends import load
from harness.checks import all_checks
from harness.errors import UsageError
from harness.faults import all_faults, families, find, planted
from harness.faults.base import Fault, fault
from harness.faults.ground import Ground
from tests.examples import NAMES


def test_swap_changes_this_jobs_namespace_only() -> None:
    ground = Ground(load("numpy"))
    ground.swap("layers", "ReLU", nn.Tanh)
    assert ground.backend.namespace.layers["ReLU"] is nn.Tanh
    assert load("numpy").namespace.layers["ReLU"] is nn.ReLU
    assert ground.backend.namespace.layers["Linear"] is nn.Linear


def test_patch_is_taken_out_last_first() -> None:
    thing = SimpleNamespace(a=1)
    ground = Ground(load("numpy"))
    ground.patch(thing, "a", 2)
    ground.patch(thing, "a", 3)
    ground.patch(thing, "new", 4)
    assert (thing.a, thing.new) == (3, 4)
    ground.restore()
    assert vars(thing) == {"a": 1}


def test_patch_of_an_inherited_attribute_leaves_the_parent_alone() -> None:
    ground = Ground(load("numpy"))
    ground.patch(nn.Sequential, "train", lambda self, mode=True: self)
    assert "train" in vars(nn.Sequential)
    ground.restore()
    assert "train" not in vars(nn.Sequential)


def test_replace_reaches_every_module_and_the_namespace() -> None:
    ground, before = Ground(load("numpy")), ops.softmax

    def other(x: object, dim: int = -1) -> object:
        return x

    ground.replace(before, other)
    assert ops.softmax is other
    assert ops.softmax is ground.backend.namespace.ops["softmax"]
    ground.restore()
    assert ops.softmax is before
    assert backends.load("numpy").namespace.ops["softmax"] is before


def test_ground_gives_the_changed_config_and_data() -> None:
    xor = config_files.load(config_files.find("xor"))
    ground = Ground(load("numpy"))
    assert ground.of(xor) == (xor, datasets.load(xor))
    ground.change_data(lambda dataset: replace(dataset, train_y=1 - dataset.train_y))
    ground.change_config(lambda given: given.model_copy(update={"title": "Other"}))
    changed, dataset = ground.of(xor)
    assert changed.title == "Other"
    np.testing.assert_array_equal(dataset.train_y, 1 - datasets.load(xor).train_y)


def test_planted_fault_is_out_again_even_after_a_crash() -> None:
    before = {name: value for name, value in vars(metrics).items() if callable(value)}
    with pytest.raises(ZeroDivisionError), planted(next(iter(all_faults())), "numpy"):
        raise ZeroDivisionError
    assert {name: value for name, value in vars(metrics).items() if callable(value)} == before


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("conv_bias_unlinked", True),  # an op
        ("resid_detached", True),  # a layer in the namespace
        ("adam_no_bias_corr", True),  # an optimizer
        ("zg_forgotten_late", False),  # the training loop
        ("watch_norms_squared", False),  # a watch
        ("config_nesterov_lost", False),  # the config
    ],
)
def test_ground_knows_whether_the_engine_is_another(name: str, expected: bool) -> None:
    with planted(name, "numpy") as ground:
        assert ground.reaches_engine is expected


def test_what_is_none_of_the_harness_counts_as_the_engine() -> None:
    ground = Ground(load("numpy"))
    ground.patch(metrics, "LOSSES", metrics.LOSSES)
    assert not ground.reaches_engine
    ground.patch(
        np.random, "default_rng", lambda seed=None: np.random.Generator(np.random.PCG64(0))
    )
    assert ground.reaches_engine
    ground.restore()


def test_what_is_planted_by_other_means_counts_as_the_engine() -> None:
    assert Ground(load("numpy")).reaches_engine


def test_unknown_fault_is_refused_with_a_suggestion() -> None:
    with pytest.raises(UsageError, match=r"unknown fault .* Did you mean") as caught:
        find("ce_grad_factor3")
    assert "'ce_grad_factor2'" in str(caught.value)


@pytest.mark.parametrize("each", all_faults().values(), ids=lambda each: each.name)
def test_fault_says_what_it_does_whom_it_touches_and_who_must_see_it(each: Fault) -> None:
    assert each.description
    assert each.family in families()
    assert set(each.milestones) <= set(NAMES)
    assert set(each.seen_by) <= {check.name for check in all_checks()}
    if each.is_harmless:
        assert not each.seen_by
    else:
        assert each.component
        assert bool(each.seen_by) != bool(each.survives)


def test_decorated_function_is_a_fault_named_like_it() -> None:
    @fault("a", component=("softmax",), seen_by=("ops_compute_right",))
    def softmax_upside_down(ground: Ground) -> None:
        """Softmax of
        the negative."""

    assert softmax_upside_down.name == "softmax_upside_down"
    assert softmax_upside_down.description == "Softmax of the negative."
    assert softmax_upside_down.milestones == ("a",)
    assert softmax_upside_down.family == "test_ground"


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
