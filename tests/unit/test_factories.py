"""How factories are called: by PyTorch's names, with a generator where they take one, and around
the layers that an engine has."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from harness.autograd import nn, optim
from harness.conformance.case import Engine
from harness.conformance.listing import find
from harness.conformance.looking import look
from harness.probes.engine.accumulation import layer_used_twice
from harness.probes.global_randomness import global_seed
from harness.probes.runs.optimizer_manners import manners
from harness.probes.trials.layers import untried
from tests.small_engines import NUMPY, measured, only, wrong

LAYERS = dict(NUMPY.namespace.layers)


def by_name(*, in_features: int, out_features: int, rng: Any = None) -> nn.Linear:
    return nn.Linear(in_features, out_features, rng=rng)


def of_any(in_features: int, out_features: int, **more: Any) -> nn.Linear:
    return nn.Linear(in_features, out_features, **more)


def without(*names: str) -> dict[str, Any]:
    return {name: layer for name, layer in LAYERS.items() if name not in names}


def test_layer_that_takes_its_arguments_by_name_only_is_right() -> None:
    engine = only(layers={"Linear": by_name})

    assert all(row.error < 1e-6 for row in layer_used_twice(engine))
    assert all(row.error < 1e-6 for row in manners(engine, "SGD", optim.SGD))


@pytest.mark.parametrize("probe", ["contract", "op_values", "op_gradients", "initial_weights"])
def test_layer_whose_generator_comes_as_any_argument_is_right(probe: str) -> None:
    rows = measured(probe, only(layers={"Linear": of_any}))

    assert rows
    assert wrong(rows) == []


@pytest.mark.parametrize("lacking", [("Tanh",), ("Linear",), ("Sigmoid",), ("Tanh", "Linear")])
@pytest.mark.parametrize("probe", ["op_values", "op_gradients", "op_manners"])
def test_container_is_not_accused_of_what_the_engine_lacks(
    probe: str, lacking: tuple[str, ...]
) -> None:
    assert wrong(measured(probe, only(layers=without(*lacking)))) == []


def test_container_that_is_not_tried_is_told_by_name() -> None:
    around = "around Linear and Tanh"

    assert untried(NUMPY) == []
    assert untried(only(layers=without("Tanh"))) == []
    assert untried(only(layers=without("Linear"))) == [
        f"layer Sequential {around}", f"layer Residual {around}",
    ]  # fmt: skip


def test_container_that_is_still_tried_around_others_is_seen_to_be_wrong() -> None:
    class Twice(nn.Sequential):
        def forward(self, x: Any) -> Any:
            return super().forward(super().forward(x))

    layers = {**without("Tanh", "Residual"), "Sequential": Twice}

    assert wrong(measured("op_values", only(layers=layers))) == ["Sequential"]


@pytest.mark.parametrize("name", ["Sequential", "Residual"])
def test_manners_of_a_container_without_what_is_in_it_are_not_supported(name: str) -> None:
    engine = Engine("mylib", only(layers=without("Tanh")))
    found = look(engine, find(f"L2/{name}/manners/modes"))

    assert (found.raised, found.refused) == ("", "backend 'numpy' offers no layer Tanh")


# --- random numbers of a layer that takes no generator --------------------------------------------


def same(in_features: int, out_features: int) -> nn.Linear:
    return nn.Linear(in_features, out_features, rng=np.random.default_rng(3))


def fresh(in_features: int, out_features: int) -> nn.Linear:
    return nn.Linear(in_features, out_features)


def global_(in_features: int, out_features: int) -> nn.Linear:
    seed = int(np.random.randint(1 << 30))
    return nn.Linear(in_features, out_features, rng=np.random.default_rng(seed))


DEAF = {
    "takes no rng, and starts the same for every seed: tensors": same,
    "takes no rng, and starts otherwise every time, for the same seed too: tensors": fresh,
    "takes no rng, and draws from numpy's global random state": global_,
}


@pytest.mark.parametrize("what", DEAF)
def test_random_numbers_that_no_seed_reaches_are_seen(what: str) -> None:
    with global_seed(1):
        rows = measured("initial_weights", only(layers={"Linear": DEAF[what]}))

    assert [row.what for row in rows if row.error] == [what]


def test_constants_need_no_generator() -> None:
    rows = measured("initial_weights", only(layers={"LayerNorm": nn.LayerNorm}))

    assert rows
    assert wrong(rows) == []


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
