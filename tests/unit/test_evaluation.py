"""The last evaluation looks at everything, and never at more at once than those on the way."""

from __future__ import annotations

import math
from typing import cast

import numpy as np
import pytest

from harness import evaluation
from harness.datasets.base import Dataset
from harness.evaluation import Evaluation
from harness.model import Model
from harness.record import RunRecord
from tests.examples import healthy, small_config

# Ten examples whose only number is their logit: right are those of a positive one, the targets
# of which are all 1.
LOGITS = np.arange(-3.0, 7.0)[:, None]


class Looked:
    """A model that gives its inputs back, and notes how many came at once."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.modes: list[bool] = []

    def set_training(self, mode: bool) -> None:
        self.modes.append(mode)

    def outputs(self, x: np.ndarray) -> np.ndarray:
        self.sizes.append(len(x))
        return x


def looked_at_the_end(rows: int | None) -> tuple[Looked, RunRecord]:
    config = small_config()
    section = config.training.model_copy(update={"evaluate_rows": rows})
    dataset = Dataset(LOGITS, np.ones((10, 1)), LOGITS, np.ones((10, 1)))
    model, record = Looked(), healthy()
    config = config.model_copy(update={"training": section})
    Evaluation(config, dataset).at_the_end(cast(Model, model), record)
    return model, record


@pytest.mark.parametrize(
    ("rows", "sizes"), [(4, [4, 4, 2]), (5, [5, 5]), (10, [10]), (99, [10]), (None, [10])]
)
def test_slices_at_the_end_are_as_large_as_looks_on_the_way(
    rows: int | None, sizes: list[int]
) -> None:
    model, record = looked_at_the_end(rows)
    assert model.sizes == sizes
    assert model.modes == [False, True]
    # -3, -2, -1 and 0 are no ones; the loss of a one is log(1 + exp(-logit)).
    assert record.final_accuracy == 0.6
    losses = [math.log1p(math.exp(-logit)) for logit in range(-3, 7)]
    assert record.final_loss == pytest.approx(sum(losses) / 10, rel=1e-12)


def test_no_look_is_at_more_than_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "AT_ONCE", 3)
    model, record = looked_at_the_end(None)
    assert model.sizes == [3, 3, 3, 1]
    assert record.final_accuracy == 0.6


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
