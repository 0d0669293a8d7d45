"""Does the head learn as fast and as well as the base? All milestones at once, seed by seed."""

from __future__ import annotations

from collections.abc import Mapping

from harness.comparing.decisions import (
    ALPHA_LEARNING,
    FINAL,
    SPEED,
    Direction,
    Quantity,
    alpha_at,
    cell,
    p_values,
    shown,
)
from harness.comparing.divergence import Stream
from harness.comparing.reach import reach_cell, reach_p_values
from harness.comparing.samples import Samples, samples_of
from harness.comparing.side import Side
from harness.comparison import Cell
from harness.on_record import Json
from harness.statistics import MeanDifference, mean_difference

_Cell = tuple[str, str]  # milestone, quantity

_NO_RECORD = "no fitting noise on record ('harness calibrate'): judged by these seeds alone"


def learning_cells(
    base: Side,
    head: Side,
    streams: Mapping[str, Stream],
    calibrations: Mapping[str, Json | None],
    look: int | None = None,
) -> dict[str, list[Cell]]:
    """Three cells for each milestone of `streams`: learning speed, final accuracy, reach.

    Holm's rule runs over all that is tested, of all milestones, in both directions. With `look`
    1, 2, ... alpha is spent by halves; None is the only look.
    """
    samples = {name: samples_of(base, head, name) for name in streams}
    noise = {
        name: _noise(base, name, stream, calibrations.get(name))
        for name, stream in streams.items()
        if stream != "identical"
    }
    found: dict[_Cell, MeanDifference | None] = {
        (name, quantity.name): _difference(quantity, samples[name], noise[name])
        for name in noise
        for quantity in (SPEED, FINAL)
    }
    tests = _tests({name: samples[name] for name in noise}, found)
    alpha = alpha_at(ALPHA_LEARNING, look)
    effects = dict(shown(tests, alpha))
    each = alpha / max(len(tests), 1)

    def cells_of(name: str) -> list[Cell]:
        sample = samples[name]
        remarks = [*sample.remarks, *([] if noise[name] else [_NO_RECORD])]
        measured = [
            cell(quantity, difference, effects.get((name, quantity.name)), each, "; ".join(remarks))
            if (difference := found[name, quantity.name])
            else _unmeasured(quantity, sample)
            for quantity in (SPEED, FINAL)
        ]
        return [*measured, reach_cell(sample, effects.get((name, "reach")), each)]

    return {
        name: cells_of(name) if name in noise else _identical(samples[name].seeds)
        for name in streams
    }


def _noise(base: Side, name: str, stream: Stream, calibration: Json | None) -> Mapping[str, float]:
    """The standard deviation on record of each quantity; none of a config that is another."""
    if calibration is None or "comparison" not in calibration:
        return {}
    if calibration["config"] != base.scorecard.provenance.configs.get(name):
        return {}
    return {quantity: sd[stream] for quantity, sd in calibration["comparison"]["noise"].items()}


def _difference(
    quantity: Quantity, samples: Samples, noise: Mapping[str, float]
) -> MeanDifference | None:
    values = samples.speed if quantity is SPEED else samples.final
    return mean_difference(values, quantity.floor, noise.get(quantity.name)) if values else None


def _tests(
    samples: Mapping[str, Samples], found: Mapping[_Cell, MeanDifference | None]
) -> dict[tuple[_Cell, Direction], float]:
    """The p-values of all tests that can be made: ((milestone, quantity), direction) -> p."""
    tests: dict[tuple[_Cell, Direction], float] = {}
    for name, sample in samples.items():
        for quantity in (SPEED, FINAL):
            if difference := found[name, quantity.name]:
                p = p_values(quantity, difference)
                tests |= {((name, quantity.name), direction): p[direction] for direction in p}
        if not sample.no_final:
            p = reach_p_values(sample)
            tests |= {((name, "reach"), direction): p[direction] for direction in p}
    return tests


def _unmeasured(quantity: Quantity, samples: Samples) -> Cell:
    why = samples.no_speed if quantity is SPEED else samples.no_final
    return Cell(
        quantity=quantity.name, unit=quantity.unit, verdict="not measured",
        samples=samples.seeds, note="; ".join([why, *samples.remarks]),
    )  # fmt: skip


def _identical(seeds: int) -> list[Cell]:
    """Nothing to test."""
    note = f"bitwise identical on all {seeds} seeds"
    return [
        Cell(quantity="learning speed", unit="x", verdict="same", samples=seeds, estimate=1.0,
             note=note),
        Cell(quantity="final accuracy", unit="points", verdict="same", samples=seeds,
             estimate=0.0, note=note),
        Cell(quantity="reach", unit="seeds", verdict="same", samples=seeds, estimate=0.0,
             note=note),
    ]  # fmt: skip
