"""What a config declares of every step: its options, its learning rates, and the right readings.

All is read from the fields themselves: what training makes of them is under test.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from harness.arguments import as_tuples
from harness.config import MilestoneConfig
from harness.datasets.base import Dataset
from harness.oracles.optimizers import RULES, linear_decay
from harness.probes.runs.stepping import Reading

_OPTIONS = ("momentum", "nesterov", "weight_decay", "betas", "eps")


def declared_options(config: MilestoneConfig) -> dict[str, object]:
    """The optimizer's options but for the learning rate; none that is left to its default."""
    given = {name: getattr(config.training, name) for name in _OPTIONS}
    return {name: as_tuples(value) for name, value in given.items() if value is not None}


def declared_rates(config: MilestoneConfig, dataset: Dataset) -> list[float]:
    """The learning rate of every step that is to be taken."""
    section = config.training
    planned = section.epochs * -(-len(dataset.train_x) // section.batch_size)
    is_linear = section.lr_decay == "linear"
    return linear_decay(section.lr, planned) if is_linear else [section.lr] * planned


def declared_readings(config: MilestoneConfig, rates: list[float]) -> Iterator[Reading]:
    """Every right reading of the optimizer with its options and learning rates."""
    section = config.training
    schedules = [rates]
    if section.lr_decay is not None:
        schedules.append([0.0, *rates[1:]])  # what warms up may start at nothing
    for schedule in schedules:
        for rule in RULES[section.optimizer]:
            yield partial(rule, **declared_options(config)), schedule
