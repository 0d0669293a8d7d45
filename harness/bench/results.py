"""What a bench found, as it is written to JSON: every chunk's time, and what follows from them."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from harness.json_files import fitted, read_json, write_model
from harness.provenance import Provenance

SCHEMA = "harness.bench/1"
FILE_NAME = "bench.json"

# Why a contender has no time: it offers not all layers, it computes something else, its worker
# or its engine failed.
Failure = Literal["", "unsupported", "losses", "died"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Ratio(_Frozen):
    """The median of paired ratios and its 95 % interval."""

    value: float
    low: float
    high: float
    pairs: int


class PartSeconds(_Frozen):
    """Seconds a step by part, one number a chunk; forward includes the loss."""

    forward: list[float]
    backward: list[float]
    optimizer: list[float]


class Timing(_Frozen):
    """One contender on one workload; all seconds are those of one step, a chunk each."""

    contender: str
    way: str = Field(default="", description="the variant of the optimizer that was fastest")
    steps: int = Field(default=0, description="steps in a chunk")
    seconds: list[float] = []
    parts: PartSeconds | None = None
    losses: list[float] = Field(default=[], description="of the first steps")
    ratio: Ratio | None = Field(default=None, description="to the base; None for the base")
    problem: str = Field(default="", description="why there is no time")
    failed: Failure = ""

    @property
    def microseconds(self) -> float:
        """The median of all chunks, a step."""
        return median(self.seconds) * 1e6


class Flops(_Frozen):
    """Floating-point operations of one step."""

    forward: int
    backward: int
    optimizer: int

    @property
    def total(self) -> int:
        """Of the whole step."""
        return self.forward + self.backward + self.optimizer


class Measured(_Frozen):
    """All contenders on one workload."""

    workload: str
    layers: list[str] = Field(description="the types of its layers")
    flops: Flops
    parameters: int
    timings: list[Timing]

    def of(self, contender: str) -> Timing | None:
        """The timing of one contender, when there are times."""
        return next((each for each in self.timings
                     if each.contender == contender and each.seconds), None)  # fmt: skip


class Curve(_Frozen):
    """The same training while one size of it grows."""

    what: str
    sizes: list[int]
    points: list[Measured]


class Process(_Frozen):
    """A whole process, started several times."""

    command: str
    seconds: list[float]
    peak_bytes: list[int] = Field(description="of the largest process of its tree")


class Cold(_Frozen):
    """Two kinds of processes that were started in turn; `ratio` is of seconds, or of bytes."""

    name: str
    quantity: Literal["seconds", "bytes"]
    process: Process
    base: Process
    ratio: Ratio


class Watching(_Frozen):
    """Trainings with every step watched, and bare ones, in turn; seconds of all steps."""

    workload: str
    watched: list[float]
    bare: list[float]
    ratio: Ratio


class Bar(_Frozen):
    """What the project asks, and whether it is so; `met` is None where it was not measured."""

    name: str
    contender: str = Field(description="of whom it is asked")
    at_most: float
    value: float | None
    met: bool | None


class Machine(_Frozen):
    """What else may explain the numbers."""

    processors: int
    pinned: list[int] = Field(description="the processors that workers were kept on, by restart")
    threads: int
    load_before: float | None
    load_after: float | None
    versions: dict[str, str]


class Bench(_Frozen):
    """The whole result."""

    schema_: str = Field(default=SCHEMA, alias="schema", serialization_alias="schema")
    base: str
    contenders: list[str]
    provenance: Provenance
    machine: Machine
    steps: list[Measured] = []
    growth: list[Curve] = []
    cold: list[Cold] = []
    watching: list[Watching] = []
    bars: list[Bar] = []
    notes: list[str] = []

    @property
    def problems(self) -> list[Timing]:
        """What could not be timed."""
        measured = [*self.steps, *(point for curve in self.growth for point in curve.points)]
        return [timing for each in measured for timing in each.timings if timing.failed]


def save(bench: Bench, folder: Path) -> Path:
    """Write `bench.json` into `folder`, whole or not at all."""
    return write_model(bench, folder / FILE_NAME)


def from_json(file: Path) -> Bench:
    """The result in a file; raises ScorecardError when it holds none."""
    return fitted(Bench, read_json(file), file, f"a {SCHEMA} result")
