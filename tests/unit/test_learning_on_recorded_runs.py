"""Comparisons of real trainings of all milestones: no false alarm, and what must be seen is seen.

`tests/recorded/<name>.npz` has 32 seeds and more, the losses to three digits, each with a twin
that differs by rounding; recorded by training as `harness calibrate` does.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Literal

import numpy as np
import pytest

from harness.comparing.learning import learning_cells
from harness.comparison import Cell
from harness.on_record import Json, load
from tests.examples import NAMES, ROOT
from tests.learning_sides import CONFIG, Run, side

Stream = Literal["same", "other"]
Change = Callable[[Run], Run]

STREAMS: list[Stream] = ["same", "other"]


@cache
def recorded(name: str) -> tuple[list[Run], list[Run]]:
    """The runs and their twins, by seed."""
    with np.load(ROOT / "tests" / "recorded" / f"{name}.npz") as arrays:
        losses = arrays["loss"].astype(np.float64)
        twins = losses + arrays["twin_loss_difference"]
        ends = arrays["accuracy"].tolist(), arrays["twin_accuracy"].tolist()
    ours, theirs = (
        [Run(loss, accuracy, len(loss)) for loss, accuracy in zip(rows, end, strict=True)]
        for rows, end in zip((losses, twins), ends, strict=True)
    )
    return ours, theirs


@cache
def calibration(name: str) -> Json:
    found = load(name)
    assert found is not None
    return {**found, "config": CONFIG}


def compared(
    names: tuple[str, ...], stream: Stream, rng: np.random.Generator, change: Change
) -> dict[str, list[Cell]]:
    """Default seeds of each milestone on both sides, with a change on the head's."""
    base, head = {}, {}
    for name in names:
        ours, theirs = recorded(name)
        # Between other streams, no more than are on record for both sides: 16 at least.
        count = min(calibration(name)["comparison"]["seeds"][stream], len(ours) // 2)
        drawn = rng.permutation(len(ours))
        base[name] = [ours[i] for i in drawn[:count]]
        others = drawn[:count] if stream == "same" else drawn[count : 2 * count]
        head[name] = [change(theirs[i]) for i in others]
    before = {name: calibration(name) for name in names}
    one, other = side(base), side(head)
    for each in (one, other):
        each.scorecard.provenance.configs.update(dict.fromkeys(names, CONFIG))
    return learning_cells(one, other, dict.fromkeys(names, stream), before)


def unchanged(run: Run) -> Run:
    return run


def slower(factor: float) -> Change:
    """What a run would have lost had it needed so many times as many steps for everything."""

    def change(run: Run) -> Run:
        assert run.loss is not None
        steps = np.arange(1, len(run.loss) + 1)
        late = run.loss[np.ceil(steps / factor).astype(int) - 1]
        return Run(late, run.accuracy, run.planned_steps)

    return change


def two_points_less(run: Run) -> Run:
    assert run.accuracy is not None
    return Run(run.loss, run.accuracy - 0.02, run.planned_steps)


@pytest.mark.parametrize("stream", STREAMS)
def test_unchanged_code_is_never_accused(stream: Stream) -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        for cells in compared(NAMES, stream, rng, unchanged).values():
            assert [cell.verdict for cell in cells] == ["same"] * 3


@pytest.mark.parametrize("stream", STREAMS)
def test_twice_the_steps_are_always_seen(stream: Stream) -> None:
    rng = np.random.default_rng(1)
    for _ in range(2):
        for name, (speed, final, reach) in compared(NAMES, stream, rng, slower(2.0)).items():
            assert speed.verdict == "worse", name
            assert speed.estimate == pytest.approx(2.0, abs=0.45)
            assert (final.verdict, reach.verdict) == ("same", "same")


def test_half_as_many_steps_again_are_seen_on_the_same_stream() -> None:
    cells = compared(NAMES, "same", np.random.default_rng(2), slower(1.5))
    assert {name: speed.verdict for name, (speed, _, _) in cells.items()} == dict.fromkeys(
        NAMES, "worse"
    )


@pytest.mark.parametrize("stream", STREAMS)
def test_a_slow_down_at_the_margin_is_not_shown(stream: Stream) -> None:
    rng = np.random.default_rng(3)
    for _ in range(2):
        cells = compared(NAMES, stream, rng, slower(1.25))
        assert "worse" not in {cell.verdict for each in cells.values() for cell in each}


@pytest.mark.parametrize("name", ["mlp", "cnn", "transformer"])
def test_two_points_of_accuracy_are_seen_on_the_same_stream(name: str) -> None:
    rng = np.random.default_rng(4)
    for _ in range(4):
        (cells,) = compared((name,), "same", rng, two_points_less).values()
        assert cells[1].verdict == "worse"
        assert cells[0].verdict == "same"


def test_a_single_run_that_is_lost_accuses_nobody() -> None:
    rng = np.random.default_rng(5)
    lost: list[bool] = []

    def lose_the_first(run: Run) -> Run:
        lost.append(True)
        assert run.loss is not None
        return Run(run.loss[:9], None, run.planned_steps) if len(lost) == 1 else run

    (cells,) = compared(("cnn",), "same", rng, lose_the_first).values()
    assert "worse" not in {cell.verdict for cell in cells}
    assert cells[2].estimate == -1.0


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
