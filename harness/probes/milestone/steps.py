"""Every step of a few short trainings: zero, forward, backward, clip, schedule, move, once each.

The training is the harness's own. What it should do comes from the config and closed forms.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from harness.arguments import accepts
from harness.config import MilestoneConfig
from harness.measurement import Measurement
from harness.probes.models.specimen import Specimen
from harness.probes.runs.gradient_guesses import AGREES, gradient_errors
from harness.probes.runs.rows import LOOP, Bench, rows_of
from harness.probes.runs.short_run import ShortRun, changed, few_examples, shortened
from harness.probes.runs.twin import expected_gradients

# Settings that a row repeats, so that a check can hold them against the config that it has.
SETTINGS = ("lr", "momentum", "weight_decay", "eps", "clip_grad_norm", "epochs", "batch_size")
# As the milestone has it, for so many epochs of two batches; then otherwise.
OWN_EPOCHS, OTHER_EPOCHS = 3, 2
# Norms to clip to, beside the smallest and the largest of the milestone's own steps. A norm is
# clear of one when it is so much above or below it.
BITES, LETS_PASS, CLEAR = 0.5, 1.5, 1.02
# A learning rate of its own tells whether the declared one is used, or the same one always.
OTHER_RATE = 0.7
# Options that change what a step does; only those that an optimizer takes are tried.
OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "SGD": {"momentum": 0.8, "weight_decay": 0.1},
    "Adam": {"betas": [0.8, 0.95], "eps": 1e-3, "weight_decay": 0.1},
    "AdamW": {"betas": [0.8, 0.95], "eps": 1e-3, "weight_decay": 0.1},
}


def measure(specimen: Specimen) -> Iterator[Measurement]:
    """Rows for the milestone's own settings, then for others unless the first are wrong."""
    yield from _settings(specimen.config)
    bench = Bench(specimen, few_examples(specimen))
    own = bench.train(shortened(specimen.config, bench.few, OWN_EPOCHS))
    expected = expected_gradients(specimen, own)
    rows = list(rows_of(bench, own, expected, ""))
    yield from rows
    if all(row.error <= AGREES for row in rows):
        agrees = bool((gradient_errors(own.steps, expected) <= AGREES).all())
        yield from _otherwise(bench, own, expected if agrees else expected[:0])


def _settings(config: MilestoneConfig) -> Iterator[Measurement]:
    """What is to be trained, as it came to be known here."""
    for name in SETTINGS:
        value = getattr(config.training, name)
        number = math.nan if value is None else float(value)
        yield Measurement(LOOP, f"declared {name}", number, number, 0.0)


def _otherwise(bench: Bench, own: ShortRun, gradients: np.ndarray) -> Iterator[Measurement]:
    """Rows for other settings: of the options, and of clipping until it had both kinds of steps."""
    norms = np.linalg.norm(own.steps.gradients.astype(np.float64), axis=1)
    low, high = float(norms.min(initial=math.inf)), float(norms.max(initial=0.0))
    if not 0.0 < low <= high < math.inf:
        return
    section = own.config.training
    other = {"epochs": OTHER_EPOCHS, "evaluate_every": len(norms), "lr": OTHER_RATE * section.lr}
    if section.lr_decay is None:  # below, a schedule has the last word
        run = bench.train(changed(own.config, **{**other, "epochs": 1}))
        yield from _rows(bench, run, own, gradients, f"with lr {other['lr']:.3g}: ")
    words, settings = _other_settings(bench, own.config)
    seen: set[str] = set()
    for norm, needed in (
        (math.sqrt(low * high), {"above", "below"}),
        (BITES * low, {"above"}),
        (LETS_PASS * high, {"below"}),
    ):
        if needed <= seen:
            continue
        run = bench.train(changed(own.config, clip_grad_norm=norm, **other, **settings))
        yield from _rows(bench, run, own, gradients, f"clipped to {norm:.3g}, {words}: ")
        found = np.linalg.norm(run.steps.gradients.astype(np.float64), axis=1)
        seen |= {"above"} if (found > CLEAR * norm).any() else set()
        seen |= {"below"} if (found * CLEAR < norm).any() else set()


def _rows(
    bench: Bench, run: ShortRun, own: ShortRun, gradients: np.ndarray, what: str
) -> Iterator[Measurement]:
    """The rows; where both begin with the same batch and weights, so must the gradients."""
    same = all(map(np.array_equal, run.batches[0], own.batches[0]))
    same &= np.array_equal(run.steps.values[0], own.steps.values[0])
    yield from rows_of(bench, run, gradients[: int(same)], what)


def _other_settings(bench: Bench, config: MilestoneConfig) -> tuple[str, dict[str, Any]]:
    """Another schedule and other options than the milestone's, in words and values."""
    section = config.training
    factory = bench.specimen.backend.namespace.optimizers[section.optimizer]
    options = OPTIONS.get(section.optimizer, {"weight_decay": 0.1})
    options = {key: value for key, value in options.items() if accepts(factory, key)}
    decay = None if section.lr_decay else "linear"
    words = ["with a linear decay" if decay else "with a constant learning rate", *options]
    text = " and ".join([", ".join(words[:-1]), words[-1]] if options else words)
    return text, {"lr_decay": decay, **options}
