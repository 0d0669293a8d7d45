"""Every fault around the engine changes the numbers that it says it touches, and no others."""

from __future__ import annotations

import re
import sys
import zlib
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from itertools import islice
from typing import Any

import numpy as np
import pytest

from harness import config_files, training
from harness.config import LayerSpec, MilestoneConfig
from harness.faults import all_faults, families, planted
from harness.faults.base import NOT_EXPRESSIBLE, Fault
from harness.metrics import targets_for
from tests.examples import NAMES

FAMILIES = (
    "optimizers", "adam", "training_loop", "clipping", "configuration", "data", "batches",
    "determinism", "evaluation", "initialization", "registration", "dropout",
    "dropout_op", "harmless_training",
)  # fmt: skip
AROUND = [each for each in all_faults().values() if each.family in FAMILIES]
WRONG = [each for each in AROUND if not each.is_harmless]
HARMLESS = [each for each in AROUND if each.is_harmless]
# The batches and the steps that are looked at: two epochs of most, and enough to move.
BATCHES = 90
STEPS = {"perceptron": 20}

Numbers = dict[str, str]


def name_of(value: object) -> str:
    return value.name if isinstance(value, Fault) else str(value)


@cache
def milestone(name: str) -> MilestoneConfig:
    return config_files.load(config_files.find(name))


def numbers(config: MilestoneConfig, fault: str | None, seed: int = 0) -> Numbers:
    """All that a fault could touch: the batches, the engine's loss, a few steps of training.

    As text, in which NaN equals NaN and every digit counts.
    """
    with planted(fault, "numpy") as ground:
        changed, dataset = ground.of(config)
        model = training.build(changed.layers, ground.backend, seed)
        learner = training.Learner(changed, model)
        every, stream = training.batches(changed, dataset, seed), 0
        for i, (x, y) in enumerate(islice(every, BATCHES)):
            stream = zlib.crc32(y.tobytes(), zlib.crc32(x.tobytes(), stream))
            if i == 0:
                logits = model(ground.backend.tensor(x))
                targets = targets_for(changed.training.loss, logits.data, y)
                loss = learner._loss(logits, ground.backend.tensor(targets)).data
        count = BATCHES + sum(1 for _ in every)
        right, steps = training.batches, STEPS.get(config.name, 3)
        ground.patch(training, "batches", lambda *given: islice(right(*given), steps))
        record = training.train(changed, ground.backend, dataset, seed)
    observed = vars(record) | {"stream": stream, "batches": count, "engine_loss": loss}
    return {
        key: str(value.tolist()) if isinstance(value, np.ndarray) else str(value)
        for key, value in observed.items()
        if key not in ("seconds", "probed")
    }


@cache
def healthy(name: str) -> Numbers:
    return numbers(milestone(name), None)


def differing(got: Numbers, expected: Numbers) -> list[str]:
    assert got.keys() == expected.keys()
    return [key for key, value in expected.items() if got[key] != value]


# --- what a fault touches ----------------------------------------------------------------


@pytest.mark.parametrize("fault", WRONG, ids=name_of)
def test_fault_changes_the_milestones_that_it_declares_and_no_other(fault: Fault) -> None:
    touched = {
        name for name in NAMES if differing(numbers(milestone(name), fault.name), healthy(name))
    }
    assert touched == set(fault.milestones)


@pytest.mark.parametrize("fault", HARMLESS, ids=name_of)
def test_harmless_variant_trains_and_changes_no_other_milestone(fault: Fault) -> None:
    for name in NAMES:
        got = numbers(milestone(name), fault.name)
        assert not re.search("inf|nan", got["loss"])
        if name not in fault.milestones:
            assert differing(got, healthy(name)) == []


# --- what no milestone uses --------------------------------------------------------------


def variant(layers: Mapping[str, LayerSpec] | None = None, **settings: Any) -> MilestoneConfig:
    """The truth table of XOR with other layers or training settings, for a few epochs."""
    config = milestone("xor")
    changed = config.training.model_copy(update={"epochs": 5, **settings})
    update = {"training": changed, "layers": layers or config.layers}
    return config.model_copy(update=update)


def with_dropout() -> MilestoneConfig:
    layers = dict(milestone("xor").layers)
    output = layers.pop("output")
    return variant({**layers, "drop": LayerSpec(type="Dropout", p=0.3), "output": output})


def clipping(at: float) -> Callable[[], MilestoneConfig]:
    return lambda: variant(clip_grad_norm=at)


def decaying(optimizer: str, **settings: float) -> Callable[[], MilestoneConfig]:
    return lambda: variant(optimizer=optimizer, weight_decay=0.1, **settings)


# By family or by name: a config in which the broken part is used.
USERS: dict[str, Callable[[], MilestoneConfig]] = {
    "clipping": clipping(0.01),
    "clip_scales_up": clipping(10.0),
    "dropout": with_dropout,
    "dropout_op": with_dropout,
    "eval_in_training_mode": with_dropout,
    "eval_never_left": with_dropout,
    "batches": lambda: variant(batch_size=3),
    "optimizers": decaying("SGD", momentum=0.9),
    "adam": decaying("AdamW"),
    "adam_decay_decoupled": decaying("Adam"),
}


@pytest.mark.parametrize("fault", [each for each in WRONG if not each.milestones], ids=name_of)
def test_fault_that_no_milestone_meets_changes_one_that_uses_the_broken_part(fault: Fault) -> None:
    config = (USERS.get(fault.name) or USERS[fault.family])()
    assert differing(numbers(config, fault.name), numbers(config, None))


# --- what a fault leaves behind ----------------------------------------------------------


def held() -> dict[tuple[str, ...], int]:
    """What every name of every module and class of the harness stands for."""
    modules = {n: m for n, m in sys.modules.items() if n.split(".")[0] == "harness"}
    names = {(n, key): id(value) for n, m in modules.items() for key, value in vars(m).items()}
    classes = {value for m in modules.values() for value in vars(m).values() if type(value) is type}
    inside = {
        (each.__module__, each.__qualname__, key): id(value)
        for each in classes
        if each.__module__.startswith("harness")
        for key, value in vars(each).items()
        if not key.startswith(("__", "_abc"))
    }
    return names | inside


def test_no_fault_leaves_anything_behind() -> None:
    for name in ("eval_all_positions", None):  # loads what is loaded on use
        numbers(milestone("mlp"), name)
    before = held()
    for fault in AROUND:
        with planted(fault.name, "numpy") as ground:
            ground.of(milestone("mlp"))
        assert held() == before, fault.name
    assert differing(numbers(milestone("xor"), None), healthy("xor")) == []


# --- what only several runs can show -----------------------------------------------------


@pytest.mark.parametrize("fault", ["nondeterministic", "init_unseeded", "stream_is_shared"])
def test_two_runs_of_one_seed_differ(fault: str) -> None:
    config = milestone("mlp")
    assert differing(numbers(config, None), numbers(config, None)) == []
    if fault == "stream_is_shared":  # by one generator: the second model is not the first
        with planted(fault, "numpy") as ground:
            first, second = (training.build(config.layers, ground.backend, 0) for _ in range(2))
        weights = [model.parameters["hidden.weight"].data for model in (first, second)]
        assert not np.array_equal(*weights)
    else:
        assert differing(numbers(config, fault), numbers(config, fault))


def test_all_seeds_are_one_when_the_seed_is_lost() -> None:
    config = milestone("mlp")
    one, other = (numbers(config, "seed_same_all_runs", seed) for seed in (1, 2))
    assert differing(one, other) == ["seed"]
    assert len(differing(numbers(config, None, 1), numbers(config, None, 2))) > 5


def test_no_two_faults_have_one_name() -> None:
    modules = [import_module(f"harness.faults.{family}") for family in families()]
    faults = [each for m in modules for each in vars(m).values() if isinstance(each, Fault)]
    names = [fault.name for fault in faults]
    assert sorted(names) == sorted(all_faults())


def test_what_cannot_be_planted_says_why_and_is_not_planted() -> None:
    assert all(reason for reason in NOT_EXPRESSIBLE.values())
    names = {name.removeprefix("x_") for name in NOT_EXPRESSIBLE}
    assert not names & all_faults().keys()


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
