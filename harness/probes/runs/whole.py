"""`WholeTraining`: the real training of a milestone, and all that it did to every tensor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from harness import training
from harness.oracles.optimizers import CLIP_EPS, RULES
from harness.probes.models.specimen import Specimen
from harness.probes.runs.blocks import blocks, reach
from harness.probes.runs.declared import declared_rates, declared_readings
from harness.probes.runs.short_run import Batch, ShortRun, Watched, run_of
from harness.probes.runs.stepping import Recorder
from harness.record import RunRecord


@dataclass(frozen=True)
class WholeTraining:
    """A training from beginning to end: what it reported, and what it was seen to do."""

    specimen: Specimen
    record: RunRecord
    kept: Watched

    @cached_property
    def recorder(self) -> Recorder:
        """Gradients and values of every step; raises when training did not look at them all."""
        return self.kept.recorded(self.record)

    @cached_property
    def rates(self) -> list[float]:
        """The declared learning rate of every step that is to be taken."""
        return declared_rates(self.specimen.config, self.specimen.dataset)

    @property
    def count(self) -> int:
        """How many of the steps that were taken were to be taken."""
        return min(self.recorder.count, len(self.rates))

    def batches(self) -> Iterator[Batch]:
        """Those that it should have seen."""
        specimen = self.specimen
        return training.batches(specimen.config, specimen.dataset, specimen.seed)

    def run(self) -> ShortRun:
        """All of it at once, as short trainings are looked at."""
        steps = self.recorder.steps(self.rates)
        batches = list(self.batches())
        return run_of(self.specimen.config, self.record, batches, steps, self.kept.moved)

    def reach(self) -> int:
        """How many steps at least follow one right reading of the config."""
        config, recorder = self.specimen.config, self.recorder
        if config.training.optimizer not in RULES:
            return 0
        norm, longest = config.training.clip_grad_norm, 0
        for eps in CLIP_EPS if norm is not None else CLIP_EPS[:1]:
            for rule, rates in declared_readings(config, self.rates):
                parts = blocks(recorder, rates[: self.count])
                longest = max(longest, reach(parts, rule(), norm, eps))
                if longest == self.count:
                    return longest
        return longest
