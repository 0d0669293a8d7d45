"""What was observed, as plain numbers: `RunRecord` of a training, `EngineRecord` of an engine.

Training, watches and probes fill them, checks judge them. They need no engine to be read.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from harness.measurement import Measurement


@dataclass
class Probed:
    """What became of each probe that was asked for, by name: exactly one of the three."""

    measured: dict[str, list[Measurement]] = field(default_factory=dict)
    # Why there was nothing to measure.
    unmeasurable: dict[str, str] = field(default_factory=dict)
    # The traceback of a probe that raised.
    crashed: dict[str, str] = field(default_factory=dict)
    # Wall-clock seconds of each.
    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, other: Probed) -> None:
        """What became of other probes, too."""
        self.measured |= other.measured
        self.unmeasurable |= other.unmeasurable
        self.crashed |= other.crashed
        self.seconds |= other.seconds


@dataclass
class EngineRecord:
    """What the probes saw of an engine itself, apart from any milestone."""

    backend: str
    probed: Probed = field(default_factory=Probed)
    # what the probes know and the engine does not offer: "layer Conv2d", "function trace"
    lacks: list[str] = field(default_factory=list)


@dataclass
class Checkpoints:
    """Fingerprints of what a training held at some of its steps, which count from 0 here.

    Of each array there is a checksum (CRC-32), equal for equal bits, its norm, and a sketch, whose
    distance from another is about that of the arrays. Shapes: k steps, t tensors in the order of
    the labels, w numbers a sketch. What is not there, such as a gradient that did not arrive, has
    the checksum 0, and NaN for its norm and in its sketch.
    """

    # (k,)
    steps: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    # before the first step: (t,), (t,), (t, w)
    start_crc: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint64))
    start_norm: np.ndarray = field(default_factory=lambda: np.zeros(0))
    start_sketch: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    # inputs and targets of the step's batch: (k,)
    batch_crc: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint64))
    # what each of l layers made of it, the last of them for the loss: (k, l), (k, l), (k, l, w)
    output_crc: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.uint64))
    output_norm: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    output_sketch: np.ndarray = field(default_factory=lambda: np.zeros((0, 0, 0)))
    # (k, t), (k, t), (k, t, w)
    gradient_crc: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.uint64))
    gradient_norm: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    gradient_sketch: np.ndarray = field(default_factory=lambda: np.zeros((0, 0, 0)))
    # the parameters after the step: (k, t), (k, t), (k, t, w)
    value_crc: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.uint64))
    value_norm: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    value_sketch: np.ndarray = field(default_factory=lambda: np.zeros((0, 0, 0)))


@dataclass(frozen=True)
class Cost:
    """What one training step takes, counted: the same on every machine.

    `ops` are the tensors that the forward pass and the loss make, `nodes` those of them with a
    history, `by_op` counts these by backward function. `size_bytes` is the memory of all those
    tensors, `peak_bytes` the most that a few steps held at once; None where it cannot be told.
    """

    ops: int
    nodes: int
    by_op: dict[str, int]
    size_bytes: int
    peak_bytes: int | None = None


@dataclass
class RunRecord:
    """One training run of one milestone on one seed.

    Per-step arrays have one row per step; per-tensor columns follow `labels`.
    """

    milestone: str
    seed: int
    backend: str
    labels: list[str] = field(default_factory=list)
    shapes: list[tuple[int, ...]] = field(default_factory=list)
    # labels of the outermost layers, in order
    layers: list[str] = field(default_factory=list)
    # (tensors,) Euclidean norms before the first step
    initial_norm: np.ndarray = field(default_factory=lambda: np.zeros(0))

    # (steps,) computed by the harness from the logits, in float64
    loss: np.ndarray = field(default_factory=lambda: np.zeros(0))
    # (steps, tensors) Euclidean norms; NaN where no gradient arrived
    gradient_norm: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    # (steps, tensors) Euclidean norm of the change that the step made
    movement: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    # (evaluations,) step after which some held-out examples were looked at, and the results
    evaluated_at: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    accuracy: np.ndarray = field(default_factory=lambda: np.zeros(0))
    held_out_loss: np.ndarray = field(default_factory=lambda: np.zeros(0))
    # on all held-out examples after the last step; NaN before that
    final_accuracy: float = math.nan
    final_loss: float = math.nan

    planned_steps: int = 0
    batch_size: int = 0
    held_out_examples: int = 0
    # how many targets one example has: the places of a sequence, else 1
    targets_per_example: int = 1
    majority_accuracy: float = 0.0
    # type of the parameters' numbers, such as "float32"
    dtype: str = ""
    checkpoints: Checkpoints = field(default_factory=Checkpoints)
    # what a step takes; None where it was not counted or the engine cannot tell
    cost: Cost | None = None
    # sha256 over the final parameters and the loss of every step: equal runs have equal digests
    digest: str = ""
    data_digest: str = ""
    # layer types, loss, optimizer and ops that the model is made of
    uses: list[str] = field(default_factory=list)
    # what the probes saw of the model before the first step, and of its training after the last
    probed: Probed = field(default_factory=Probed)
    # wall-clock seconds by phase: probing, building, training, watching, evaluating
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """How many steps were taken; fewer than planned when the loss stopped being finite."""
        return len(self.loss)
