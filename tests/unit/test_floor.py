"""The entropy of a task as a floor under its loss."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from harness.checks.floor import loss_stays_above_floor
from harness.config import MilestoneConfig
from harness.probes.runs.short_run import changed
from harness.record import RunRecord
from tests.examples import healthy, small_config, without_steps

FLOOR = 0.8


def config(epochs: int = 1) -> MilestoneConfig:
    return changed(small_config(loss_floor=FLOOR), epochs=epochs)


def ending(held_out: float, loss: float = FLOOR, spread: float = 0.0) -> RunRecord:
    """A run whose last hundred losses are `loss` and as much more as less by `spread`."""
    last = loss + spread * np.where(np.arange(100) % 2, 1.0, -1.0)
    return replace(
        healthy(1000),
        loss=np.concatenate([np.linspace(2.0, 1.0, 900), last]),
        final_loss=held_out,
        batch_size=32,
        held_out_examples=500,
        targets_per_example=4,
    )


@pytest.mark.parametrize("held_out", [FLOOR, FLOOR + 0.2, FLOOR - 0.005])
def test_loss_at_its_floor_passes_and_a_little_luck_is_granted(held_out: float) -> None:
    """2000 targets: 13.8 / 2000 = 0.0069 for a chance of one in a million."""
    assert loss_stays_above_floor(config(), ending(held_out)).status == "pass"


@pytest.mark.parametrize("held_out", [FLOOR - 0.008, 0.1, -1.0])
def test_held_out_loss_below_the_floor_is_a_leak(held_out: float) -> None:
    failed = loss_stays_above_floor(config(), ending(held_out))
    assert failed.status == "fail"
    assert failed.reason.startswith(f"the held-out loss went to {held_out:.3g}, below the 0.8")
    assert failed.evidence["culprits"] == ["held-out loss"]


def test_training_loss_counts_where_each_example_is_new() -> None:
    leaking = ending(FLOOR, loss=0.7)
    assert loss_stays_above_floor(config(epochs=1), leaking).evidence["culprits"] == ["loss"]
    # Later epochs may know examples by heart.
    assert loss_stays_above_floor(config(epochs=2), leaking).status == "pass"


def test_luck_grows_with_the_spread_of_the_batches() -> None:
    """Five standard errors: a spread of 0.1 over 32 of 500 examples is 5 * 0.1 * 0.25."""
    assert loss_stays_above_floor(config(), ending(FLOOR - 0.1)).status == "fail"
    assert loss_stays_above_floor(config(), ending(FLOOR - 0.1, spread=0.1)).status == "pass"
    assert loss_stays_above_floor(config(), ending(FLOOR - 0.3, spread=0.1)).status == "fail"


def test_honest_guesses_are_not_accused() -> None:
    """Coins of which one is known: entropy ln 2 in every second target, on 2000 of them."""
    rng = np.random.default_rng(0)
    floor = 0.5 * math.log(2.0)
    for _ in range(500):
        guess = rng.uniform(0.3, 0.7)  # of a model that thinks that it has seen a bias
        heads = rng.random(1000) < 0.5
        held_out = float(-np.log(np.where(heads, guess, 1.0 - guess)).mean() / 2.0)
        run = ending(held_out, loss=floor)
        honest = changed(small_config(loss_floor=floor), epochs=2)
        assert loss_stays_above_floor(honest, run).status == "pass"


@pytest.mark.parametrize(
    ("held_out", "loss", "culprits"),
    [(0.01, 0.01, None), (0.0, 0.0, None), (-0.01, 0.1, ["held-out loss"]), (0.1, -0.01, ["loss"])],
)
def test_no_luck_gets_a_loss_below_zero(
    held_out: float, loss: float, culprits: list[str] | None
) -> None:
    asked = changed(small_config(loss_floor=0.0), epochs=5)
    verdict = loss_stays_above_floor(asked, ending(held_out, loss=loss))
    assert verdict.status == ("fail" if culprits else "pass")
    assert verdict.evidence.get("culprits") == culprits


@pytest.mark.parametrize(
    ("floor", "record", "reason"),
    [
        (0.0, ending(math.nan), "the loss is no longer finite"),
        (FLOOR, without_steps(ending(0.5)), "no step was taken"),
        (FLOOR, ending(math.nan), "the loss is no longer finite"),
        (FLOOR, ending(FLOOR, loss=math.inf), "the loss is no longer finite"),
    ],
)
def test_nothing_is_judged_without_a_loss(floor: float, record: RunRecord, reason: str) -> None:
    asked = changed(small_config(loss_floor=floor), epochs=1)
    skipped = loss_stays_above_floor(asked, record)
    assert skipped.status == "skip"
    assert skipped.reason.startswith(reason)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
