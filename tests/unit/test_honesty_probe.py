"""What is reported of losses and evaluations, beside what is so: on right ones and on others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from harness import evaluation, metrics
from harness.autograd import Tensor, nn
from harness.backends import load
from harness.backends.base import Backend
from harness.checks.honesty import evaluation_is_honest, loss_is_honest
from harness.checks.measured import SINGLE
from harness.config import LayerSpec, MilestoneConfig
from harness.datasets.base import Dataset
from harness.evaluation import Evaluation
from harness.faults.ground import Ground
from harness.measurement import Measurement
from harness.model import Model
from harness.probes.milestone import honesty as probe
from harness.probes.models.specimen import Specimen
from harness.probes.runs.short_run import changed
from harness.record import RunRecord
from harness.watches.losses import LossWatch
from tests.examples import healthy, small_config

Score = tuple[float, float]
Scores = tuple[list[float], list[float]]


def config(loss: str = "BCEWithLogitsLoss", outputs: int = 1, middle: str = "Tanh",
           rows: int | None = None, **arguments: object) -> MilestoneConfig:  # fmt: skip
    layers = {
        "hidden": LayerSpec(type="Linear", in_features=2, out_features=4),
        "middle": LayerSpec(type=middle, **arguments),
        "output": LayerSpec(type="Linear", in_features=4, out_features=outputs),
    }
    asked = changed(small_config(), loss=loss, evaluate_rows=rows, lr=0.1)
    return asked.model_copy(update={"layers": layers})


def points(classes: int = 2, rows: int = 30) -> Dataset:
    rng = np.random.default_rng(3)
    x = rng.standard_normal((2 * rows, 2)).astype(np.float32)
    y = rng.integers(0, classes, 2 * rows)
    return Dataset(x[:rows], y[:rows], x[rows:], y[rows:])


BINARY = (config(rows=20), points())
CLASSES = (config("CrossEntropyLoss", outputs=5, rows=20), points(classes=5))
NUMBERS = (config("MSELoss"), points())


def measured(
    asked: MilestoneConfig = CLASSES[0],
    dataset: Dataset = CLASSES[1],
    backend: Backend | None = None,
) -> list[Measurement]:
    return list(probe.measure(Specimen(asked, backend or load("numpy"), dataset, 0)))


def wrong(rows: list[Measurement]) -> dict[str, str]:
    """By subject, the first thing that is wrong with it."""
    found = [row for row in rows if not row.error <= SINGLE]
    return {row.subject: row.what for row in reversed(found)}


@pytest.mark.parametrize(("asked", "dataset"), [BINARY, CLASSES, NUMBERS])
def test_right_harness_is_honest(asked: MilestoneConfig, dataset: Dataset) -> None:
    rows = measured(asked, dataset)
    assert wrong(rows) == {}
    assert {row.subject for row in rows} == {
        asked.training.loss, "the loss log", "the evaluation", "accuracy", "the gradient watch",
        "the record",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "dataset"),
    [
        (CLASSES[0], points(classes=5, rows=1)),
        (CLASSES[0], points(classes=5, rows=2)),
        (config("CrossEntropyLoss", outputs=5, middle="Dropout", p=0.5), points(classes=5)),
        (config("MSELoss", outputs=2), replace(points(), train_y=points().train_x,
                                               held_out_y=points().held_out_x)),
        (config("CrossEntropyLoss", outputs=5, rows=7), points(classes=5)),
    ],
)  # fmt: skip
def test_few_examples_and_random_layers_and_several_targets_are_no_lie(
    asked: MilestoneConfig, dataset: Dataset
) -> None:
    assert wrong(measured(asked, dataset)) == {}


def test_training_that_goes_astray_is_no_lie() -> None:
    wild = changed(config("MSELoss"), lr=1e30)
    rows = [row for row in measured(wild, points()) if row.subject != "MSELoss"]
    with np.errstate(all="ignore"):
        assert wrong(rows) == {}


# --- the loss -----------------------------------------------------------------------------


class Halved(nn.CrossEntropyLoss):
    """Half of it."""

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        return super().__call__(logits, target) * 0.5


class Summed(nn.CrossEntropyLoss):
    """A sum in the place of a mean."""

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        return super().__call__(logits, target) * float(len(target.data))


@pytest.mark.parametrize("loss", [Halved, Summed])
def test_engine_that_reports_another_loss_is_seen(loss: type[nn.CrossEntropyLoss]) -> None:
    ground = Ground(load("numpy"))
    ground.swap("losses", "CrossEntropyLoss", loss)
    assert wrong(measured(backend=ground.backend)) == {
        "CrossEntropyLoss": "loss of known logits, as the engine has it"
    }


LOGS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "only falls": np.minimum.accumulate,
    "is late": lambda losses: np.concatenate([losses[:1], losses[:-1]]),
    "is smoothed": lambda losses: np.convolve(losses, [0.5, 0.5])[: len(losses)],
    "is too small": lambda losses: 0.99 * losses,
    "is rounded": lambda losses: losses.round(2),
    "is cut": lambda losses: np.minimum(losses, 1.0),
    "is backwards": lambda losses: losses[::-1],
    "lost a step": lambda losses: losses[1:],
    "is the mean of all": lambda losses: np.full_like(losses, losses.mean()),
}


@pytest.mark.parametrize("name", LOGS)
def test_log_that_is_not_the_loss_of_each_step_is_seen(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = LossWatch.finish
    monkeypatch.setattr(LossWatch, "finish", lambda self: LOGS[name](right(self)))
    assert "the loss log" in wrong(measured())


def test_log_that_keeps_logits_that_change_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[np.ndarray, np.ndarray]] = []  # without a copy

    def finish(self: LossWatch) -> np.ndarray:
        return np.array([float(self._loss(*each)) for each in given])

    monkeypatch.setattr(LossWatch, "after_forward", lambda _, *each: given.append(each))
    monkeypatch.setattr(LossWatch, "finish", finish)
    assert wrong(measured())["the loss log"] == "losses of known logits"


# --- evaluations --------------------------------------------------------------------------


_LOGITS, _SCORES = Evaluation._logits, Evaluation._scores


def _shift(model: Model) -> None:
    parameter = next(iter(model.parameters.values()))
    parameter.data = parameter.data + np.float32(1e-3)


def _touching(change: Callable[[Model], None]) -> Callable[..., np.ndarray]:
    def logits(self: Evaluation, model: Model, rows: np.ndarray) -> np.ndarray:
        found = _LOGITS(self, model, rows)
        change(model)
        return found

    return logits


def _looking_at(change: Callable[[np.ndarray], np.ndarray]) -> Callable[..., None]:
    """Other rows than those that are meant."""
    right = Evaluation.__init__

    def init(self: Evaluation, config: MilestoneConfig, dataset: Dataset) -> None:
        right(self, config, dataset)
        self._some, self._all = change(self._some), change(self._all)

    return init


def _scoring(change: Callable[[float, float, int], Score]) -> Callable[..., Scores]:
    """Another accuracy and loss, of those that are right and the number of rows."""

    def scores(self: Evaluation, logits: np.ndarray, rows: np.ndarray) -> Scores:
        pairs = zip(*_SCORES(self, logits, rows), strict=True)
        shares, losses = zip(*(change(*pair, len(rows)) for pair in pairs), strict=True)
        return list(shares), list(losses)

    return scores


def _of_the_first(self: Evaluation, logits: np.ndarray, rows: np.ndarray) -> Scores:
    """The loss of one example only."""
    share, _ = _SCORES(self, logits, rows)
    per_row = logits.shape[1] // len(rows)
    return share, _SCORES(self, logits[:, :per_row], rows[:1])[1]


def _forget_gradients(model: Model) -> None:
    for parameter in model.parameters.values():
        parameter.grad = None


EVALUATIONS: dict[str, tuple[str, Callable[..., object], str]] = {
    "flatters": ("_scores", _scoring(lambda share, loss, n: (min(share + 0.05, 1.0), loss)),
                 "accuracy"),
    "counts twice": ("__init__", _looking_at(lambda r: np.append(r, r[-1])), "the evaluation"),
    "drops the last": ("__init__", _looking_at(lambda r: r[:-1]), "the evaluation"),
    "looks at the first only": ("__init__", _looking_at(lambda r: r % 8), "the evaluation"),
    "loss of one": ("_scores", _of_the_first, "the evaluation"),
    "sum for mean": ("_scores", _scoring(lambda share, loss, n: (share, loss * n)),
                     "the evaluation"),
    "mixes up looks": ("_scores", lambda *given: tuple(each[::-1] for each in _SCORES(*given)),
                       "the evaluation"),
    "moves weights": ("_logits", _touching(_shift), "the evaluation"),
    "forgets gradients": ("_logits", _touching(_forget_gradients), "the evaluation"),
    "stays in evaluation": ("_logits", _touching(lambda m: m.set_training(False)),
                            "the evaluation"),
}  # fmt: skip


@pytest.mark.parametrize("name", EVALUATIONS)
@pytest.mark.parametrize(("asked", "dataset"), [BINARY, CLASSES, NUMBERS])
def test_evaluation_that_is_not_honest_is_seen(
    name: str, asked: MilestoneConfig, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    method, changed, subject = EVALUATIONS[name]
    monkeypatch.setattr(Evaluation, method, changed)
    assert subject in wrong(measured(asked, dataset))


def test_evaluation_in_training_mode_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    right = Model.set_training
    monkeypatch.setattr(Model, "set_training", lambda self, mode: right(self, True))
    assert wrong(measured())["the evaluation"] == "questions asked in training mode"


@pytest.mark.parametrize("threshold", [0.1, -0.1, 0.5])
def test_threshold_that_is_not_in_the_middle_is_seen(
    threshold: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss, _ = metrics.LOSSES["BCEWithLogitsLoss"]
    monkeypatch.setitem(metrics.LOSSES, "BCEWithLogitsLoss", (loss, metrics.above(threshold)))
    assert "accuracy" in wrong(measured(*BINARY))


def test_accuracy_of_targets_that_do_not_count_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    masked = replace(
        NUMBERS[1],
        train_y=NUMBERS[1].train_x,
        held_out_y=np.abs(NUMBERS[1].held_out_x).round(),
        scored=np.array([True, False]),
    )
    asked = config("MSELoss", outputs=2)
    assert wrong(measured(asked, masked)) == {}
    right = metrics.accuracy
    monkeypatch.setattr(evaluation, "accuracy", lambda got, y, scored: right(got, y, None))
    assert "accuracy" in wrong(measured(asked, masked))


def _restoring(choose: Callable[[list[np.ndarray]], np.ndarray]) -> Callable[..., None]:
    """A last evaluation that puts other weights back that it has seen."""

    def at_the_end(self: Evaluation, model: Model, record: RunRecord) -> None:
        for parameter, seen in zip(
            model.parameters.values(), zip(*self.seen, strict=True), strict=True
        ):
            parameter.data = choose(list(seen))
        _AT_THE_END(self, model, record)

    return at_the_end


def _remembering(self: Evaluation, model: Model, step: int, record: RunRecord) -> None:
    _ON_THE_WAY(self, model, step, record)
    seen = self.__dict__.setdefault("seen", [])
    seen.append([parameter.data.copy() for parameter in model.parameters.values()])


_ON_THE_WAY, _AT_THE_END = Evaluation.on_the_way, Evaluation.at_the_end


@pytest.mark.parametrize(
    "choose",
    [lambda seen: seen[0], lambda seen: np.mean(seen, axis=0), lambda seen: seen[len(seen) // 3]],
)
@pytest.mark.parametrize(("asked", "dataset"), [BINARY, CLASSES, NUMBERS])
def test_other_weights_than_the_last_ones_at_the_end_are_seen(
    asked: MilestoneConfig,
    dataset: Dataset,
    choose: Callable[[list[np.ndarray]], np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Evaluation, "on_the_way", _remembering)
    monkeypatch.setattr(Evaluation, "at_the_end", _restoring(choose))
    seen = [row.what for row in measured(asked, dataset) if not row.error <= SINGLE]
    assert "weights that are not those after the last step" in seen
    assert "tensors that are not those after the last step" in seen


class Drawing(nn.Module):
    """Noise whose generator moves on in evaluation, too, where it adds none."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng

    def forward(self, x: Tensor) -> Tensor:
        noise = self.rng.standard_normal(x.shape).astype(np.float32)
        return x + Tensor(noise) if self.training else x


def test_evaluation_that_moves_the_random_numbers_on_is_seen() -> None:
    ground = Ground(load("numpy"))
    ground.swap("layers", "Tanh", Drawing)
    assert wrong(measured(backend=ground.backend)) == {
        "the evaluation": "steps that come out otherwise for having evaluated"
    }


# --- the checks ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("subject", "of_loss", "of_evaluation"),
    [
        ("the loss log", "fail", "pass"),
        ("CrossEntropyLoss", "fail", "pass"),
        ("the evaluation", "pass", "fail"),
        ("accuracy", "pass", "fail"),
    ],
)
def test_each_check_judges_its_own_rows(subject: str, of_loss: str, of_evaluation: str) -> None:
    good = [Measurement(each, "x", 1.0, 1.0, 0.0) for each in ("the loss log", "the evaluation")]
    record: RunRecord = healthy()
    record.probed.measured["honesty"] = [*good, Measurement(subject, "y", 1.0, 2.0, 0.5)]
    verdicts = [check(small_config(), record) for check in (loss_is_honest, evaluation_is_honest)]
    assert [verdict.status for verdict in verdicts] == [of_loss, of_evaluation]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
