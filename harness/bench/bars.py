"""What the project asks of its own engine, held against what was measured."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from harness.bench.names import JAX
from harness.bench.ratios import exponent
from harness.bench.results import Bar, Bench, Curve, Measured
from harness.errors import ConfigError, Problem
from harness.yaml_source import read

# The curve whose backward times are held against its sizes.
_DEPTH = "depth"
# Layers by which workloads are of one kind: a milestone and its larger relatives.
_KINDS = ("Conv2d", "MultiHeadAttention")


class Asked(BaseModel):
    """The file of bars; every number is a ratio, "at most"."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    backend: str
    bases: list[str]
    bars: dict[str, float | dict[str, float]]

    def flat(self) -> dict[str, float]:
        """Each bar by its whole name: "steps.lenet", "flat"."""
        found: dict[str, float] = {}
        for name, bar in self.bars.items():
            if isinstance(bar, dict):
                found |= {f"{name}.{inner}": limit for inner, limit in bar.items()}
            else:
                found[name] = bar
        return found


def load_bars(file: Path) -> Asked:
    """The bars in a file; raises ConfigError when it holds none."""
    data: Any = read(file).data
    try:
        return Asked.model_validate(data)
    except ValidationError as error:
        problems = [
            Problem(str(file), 0, 0, ".".join(map(str, each["loc"])), each["msg"])
            for each in error.errors()
        ]
        raise ConfigError(problems) from error


def judged(bench: Bench, asked: Asked) -> list[Bar]:
    """Every bar, with what was measured of it; a bar with several figures takes the worst."""
    found = dict(figures(bench, asked))
    return [_bar(name, asked.backend, limit, found.get(name))
            for name, limit in asked.flat().items()]  # fmt: skip


def _bar(name: str, contender: str, limit: float, value: float | None) -> Bar:
    met = None if value is None else value <= limit
    return Bar(name=name, contender=contender, at_most=limit, value=value, met=met)


def figures(bench: Bench, asked: Asked) -> Iterator[tuple[str, float]]:
    """Everything that a bar may be about, by the bar's name."""
    ours = asked.backend
    for measured in bench.steps:
        one = measured.of(ours)
        if one and one.ratio and bench.base in asked.bases:
            yield f"steps.{measured.workload}", one.ratio.value
        if one and (other := measured.of(JAX)):
            ratio = median(a / b for a, b in zip(one.seconds, other.seconds, strict=True))
            yield f"{JAX}.{measured.workload}", ratio
    for cold in bench.cold:
        yield ("jobs" if cold.name == "jobs" else f"cold.{cold.name}"), cold.ratio.value
    if bench.watching:
        watched = sum(median(each.watched) for each in bench.watching)
        yield "watching", watched / sum(median(each.bare) for each in bench.watching)
    spreads = [flatness(group, ours) for group in kinds(bench.steps).values()]
    if known := [each for each in spreads if each is not None]:
        yield "flat", max(known)
    for curve in bench.growth:
        slope = backward_exponent(curve, ours) if curve.what == _DEPTH else None
        if slope is not None:
            yield _DEPTH, slope


def kinds(steps: list[Measured]) -> dict[str, list[Measured]]:
    """Workloads by the layer that makes them one kind, where there is more than one."""
    groups = {kind: [each for each in steps if kind in each.layers] for kind in _KINDS}
    return {kind: group for kind, group in groups.items() if len(group) > 1}


def seconds_a_flop(measured: Measured, contender: str) -> float | None:
    """The time of a step over its FLOPs."""
    timing = measured.of(contender)
    return median(timing.seconds) / measured.flops.total if timing else None


def flatness(group: list[Measured], contender: str) -> float | None:
    """How much dearer a FLOP is where it is dearest, against where it is cheapest."""
    found = [each for one in group if (each := seconds_a_flop(one, contender)) is not None]
    return max(found) / min(found) if len(found) > 1 else None


def rise(group: list[Measured], contender: str) -> float | None:
    """How much dearer a FLOP gets as the work grows, at most: 1 where it never does."""
    costs = [cost for each in sorted(group, key=lambda each: each.flops.total)
             if (cost := seconds_a_flop(each, contender)) is not None]  # fmt: skip
    grown = [later / costs[i] for i in range(len(costs)) for later in costs[i:]]
    return max(grown, default=None)


def backward_exponent(curve: Curve, contender: str) -> float | None:
    """How the seconds of the backward pass grow with the size: 1 is in proportion."""
    points = [
        (size, median(timing.parts.backward))
        for size, point in zip(curve.sizes, curve.points, strict=True)
        if (timing := point.of(contender)) and timing.parts
    ]
    return exponent(*zip(*points, strict=True)) if len(points) > 1 else None
