"""`harness compare --backend A --backend B`: two engines, and the first step that is another."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.autograd import Tensor, nn, optim
from harness.backends import load
from harness.backends.base import Backend
from harness.comparing.divergence import find
from harness.comparing.side import Side
from harness.comparison import Divergence, Source
from harness.config_files import load as load_config
from harness.faults import planted
from harness.faults.ground import Ground
from harness.results import judged_result
from harness.scorecard import load as load_scorecard
from harness.scorecard import load_curves, save
from harness.side_by_side import Request, compare_backends
from harness.side_by_side.late import with_later
from harness.side_by_side.text import render
from harness.side_by_side.trainings import Task, draw, trained
from tests.asking import said_by
from tests.examples import ROOT, scorecard_of, small_file

# An engine of one's own: numpy's, whose SGD takes steps that are twice as long.
HASTY = """\
from copy import copy
from dataclasses import replace
from harness.autograd import optim
from harness.backends.numpy import BACKEND as NUMPY


class Hasty(optim.SGD):
    def step(self):
        right, self.lr = self.lr, 2.0 * self.lr
        super().step()
        self.lr = right


BACKEND = copy(NUMPY)
BACKEND.name = "hasty"
BACKEND.namespace = replace(
    NUMPY.namespace, optimizers={**NUMPY.namespace.optimizers, "SGD": Hasty}
)
"""


def compared(*words: str) -> tuple[int, str]:
    """The exit code of the verb, and all that it says."""
    return said_by("compare", *words)


def told(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "backends.json").read_text(encoding="utf-8"))
    return found


# --- whole runs -------------------------------------------------------------------------


def test_engine_is_identical_to_itself_and_writes_both_scorecards(tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    code, said = compared("--backend", "numpy", "--backend", "numpy", "xor", "--out", out)
    assert code == 0
    assert "xor: IDENTICAL: the same bits at every step, in float64" in said
    for folder in ("first-numpy", "second-numpy"):
        scorecard = load_scorecard(tmp_path / "out" / folder)
        assert [result.milestone for result in scorecard.results] == ["xor"]
        assert scorecard.results[0].dtype == "float64"


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_torch_differs_by_rounding(tmp_path: Path, dtype: str) -> None:
    pytest.importorskip("torch")
    words = ["--backend", "numpy", "--backend", "torch", "xor", "mlp", "--dtype", dtype]
    code, said = compared(*words, "--out", str(tmp_path), "--format", "json")
    found = json.loads(said)
    assert code == 0
    assert found == told(tmp_path)
    assert found["schema"] == "harness.side_by_side/1"
    assert [each["divergence"]["level"] for each in found["milestones"]] == ["ROUNDING"] * 2
    for each in found["milestones"]:
        assert [side["dtype"] for side in each["trained"]] == [dtype] * 2
        assert each["loss_apart"] < {"float64": 1e-12, "float32": 1e-4}[dtype]


def test_engine_of_ones_own_with_longer_steps_is_named_at_its_first(tmp_path: Path) -> None:
    file = tmp_path / "hasty.py"
    file.write_text(HASTY, encoding="utf-8")
    words = ["--backend", "numpy", "--backend", str(file), "perceptron"]
    code, said = compared(*words, "--out", str(tmp_path / "out"))
    (found,) = told(tmp_path / "out")["milestones"]
    assert code == 1
    assert "perceptron: CHANGED at step 0, update of output." in said
    assert "with hasty, in float64" in said
    assert found["divergence"]["head"] == pytest.approx(2.0 * found["divergence"]["base"])
    assert load_scorecard(tmp_path / "out" / "second-hasty").results[0].backend == "hasty"


LACKING = """\
from copy import copy
from dataclasses import replace
from harness.backends.numpy import BACKEND as NUMPY

BACKEND = copy(NUMPY)
BACKEND.name = "lacking"
LAYERS = {name: layer for name, layer in NUMPY.namespace.layers.items() if name != "Tanh"}
BACKEND.namespace = replace(NUMPY.namespace, layers=LAYERS)
"""


@pytest.mark.parametrize("order", [("numpy", "lacking"), ("lacking", "numpy")])
def test_what_one_engine_lacks_is_not_supported_and_the_rest_is_compared(
    tmp_path: Path, order: tuple[str, str]
) -> None:
    engine, out = tmp_path / "lacking.py", tmp_path / "out"
    engine.write_text(LACKING, encoding="utf-8")
    words = [w for name in order for w in ("--backend", name if name == "numpy" else str(engine))]
    code, said = compared(*words, "xor", "perceptron", "--out", str(out))
    assert code == 1
    assert "xor: NOT SUPPORTED: backend 'lacking' lacks layer Tanh\n" in said
    assert "perceptron: IDENTICAL" in said
    assert [each["lacks"] for each in told(out)["milestones"]] == [["layer Tanh"], []]


def test_engine_that_dies_gives_no_verdict(tmp_path: Path) -> None:
    file = tmp_path / "dying.py"
    file.write_text(HASTY.replace("super().step()", "raise ArithmeticError('no')"), "utf-8")
    words = ["--backend", "numpy", "--backend", str(file), "perceptron"]
    code, said = compared(*words, "--out", str(tmp_path / "out"))
    assert code == 3
    assert "perceptron: no verdict: with" in said
    assert "it raised ArithmeticError: no" in said


TURNED = """\
from copy import copy
from dataclasses import replace
import numpy as np
from harness.autograd import nn, ops
from harness.backends.numpy import BACKEND as NUMPY


class InOut(nn.Linear):
    def __init__(self, in_features, out_features, bias=True, rng=None):
        super().__init__(in_features, out_features, bias, rng)
        self.weight = nn.Parameter(np.ascontiguousarray(self.weight.data.T))

    def forward(self, x):
        return ops.linear(x, self.weight.T, self.bias)


BACKEND = copy(NUMPY)
BACKEND.name = "turned"
BACKEND.namespace = replace(NUMPY.namespace, layers={**NUMPY.namespace.layers, "Linear": InOut})
"""


def test_engine_of_another_convention_gives_no_verdict_and_says_why(tmp_path: Path) -> None:
    file = tmp_path / "turned.py"
    file.write_text(TURNED, encoding="utf-8")
    words = ["--backend", "numpy", "--backend", str(file), "xor"]
    code, said = compared(*words, "--out", str(tmp_path / "out"))
    assert code == 3
    assert "xor: no verdict:" in said
    assert "follows another convention than the other: Linear 'hidden': its weight is (in_" in said


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--backend", "numpy"], "--backend names 1 engine, a comparison needs two"),
        (["--backend", "numpy"] * 3, "--backend names 3 engines, a comparison needs two"),
        (["main", *["--backend", "numpy"] * 2], "With --backend, only milestones are named"),
        (["--backend", "numpy", "--backend", "nunpy"], "Did you mean 'numpy'?"),
        (["xor", *["--backend", "numpy"] * 2, "--seeds", "3"], "--seeds is for two branches"),
        (["xor", *["--backend", "numpy"] * 2, "--format", "badge"], "in the format 'badge'"),
        (["main", "--dtype", "float32"], "--dtype needs two --backend"),
        ([], "Missing argument 'BASE'."),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_runs(
    tmp_path: Path, words: list[str], complaint: str
) -> None:
    out = tmp_path / "out"
    code, said = compared(*words, "--out", str(out))
    assert code == 2
    assert complaint in said
    assert not out.exists()


def test_broken_config_is_told_with_its_line(tmp_path: Path) -> None:
    file = small_file(tmp_path, ("out_features: 1", "out_features: 3"))
    words = [str(file), *["--backend", "numpy"] * 2, "--out", str(tmp_path / "out")]
    code, said = compared(*words)
    assert code == 2
    assert "small.yaml:" in said


# --- planted differences ----------------------------------------------------------------


def divergence(
    folder: Path, milestone: str, other: AbstractContextManager[Backend], dtype: str = "float64"
) -> Divergence:
    """Of numpy's engine and another from the weights of the first, in this process.

    Some faults are patched into it: the healthy side is trained before.
    """
    config = load_config(ROOT / "configs" / f"{milestone}.yaml")
    task = Task(config, "numpy", draw(config, "numpy", 0, dtype).weights, dtype, 0)
    records = [trained(config, load("numpy"), task)]
    with other as backend:
        records.append(trained(config, backend, task))
    sides = []
    for word, record in zip(("one", "other"), records, strict=True):
        (folder / word).mkdir()
        scorecard = scorecard_of(judged_result(config, record, []))
        file = save(scorecard, [record], folder / word)
        source = Source(name=word, kind="scorecard")
        sides.append(Side(source, scorecard, load_curves(file)))
    return with_later(find(sides[0], sides[1], milestone), records[0], records[1])


@contextmanager
def broken(fault: str) -> Iterator[Backend]:
    """The engine with a planted fault."""
    with planted(fault, "numpy") as ground:
        yield ground.backend


def with_factory(
    kind: str, name: str, factory: Callable[..., Any]
) -> AbstractContextManager[Backend]:
    backend = copy(load("numpy"))
    entries = {**getattr(backend.namespace, kind), name: factory}
    backend.namespace = replace(backend.namespace, **{kind: entries})
    return nullcontext(backend)


class OtherEps(nn.LayerNorm):
    def __init__(self, normalized_shape: int, eps: float = 1.001e-5) -> None:
        super().__init__(normalized_shape, eps)


class LateAdam(optim.Adam):
    """Another rate from the 100th step on."""

    taken = 0

    def step(self) -> None:
        self.taken += 1
        right, self.lr = self.lr, self.lr * (1.0 if self.taken < 100 else 1.1)
        super().step()
        self.lr = right


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    ("fault", "milestone", "phase", "tensor"),
    [
        ("linear_bias_dropped", "perceptron", "forward", "output"),
        ("relu_by_gradient", "mlp", "gradient", "hidden.weight"),
        ("conv_bias_unlinked", "cnn", "gradient", "conv2.bias"),
    ],
)
def test_fault_is_named_at_step_phase_and_tensor(
    tmp_path: Path, fault: str, milestone: str, phase: str, tensor: str, dtype: str
) -> None:
    found = divergence(tmp_path, milestone, broken(fault), dtype)
    assert (found.level, found.step, found.phase) == ("CHANGED", 0, phase)
    assert found.tensor.partition(".")[0] == tensor.partition(".")[0]


def test_other_eps_in_a_layer_is_found_in_double_precision(tmp_path: Path) -> None:
    found = divergence(tmp_path, "transformer", with_factory("layers", "LayerNorm", OtherEps))
    assert (found.level, found.step, found.phase, found.tensor) == (
        "CHANGED", 0, "forward", "attend",
    )  # fmt: skip


def test_change_that_comes_late_is_found_at_its_step(tmp_path: Path) -> None:
    """The 100th step is step 99."""
    found = divergence(tmp_path, "cnn", with_factory("optimizers", "Adam", LateAdam))
    assert (found.level, found.step, found.phase) == ("CHANGED", 99, "update")


class ComposedLinear(nn.Linear):
    """Rounds otherwise."""

    def forward(self, x: Tensor) -> Tensor:
        assert self.bias is not None
        return x @ self.weight.T + self.bias


@contextmanager
def rounding_otherwise(*factories: tuple[str, str, Callable[..., Any]]) -> Iterator[Backend]:
    """Another engine, as far as bits can tell, with other factories."""
    ground = Ground(load("numpy"))
    for each in (("layers", "Linear", ComposedLinear), *factories):
        ground.swap(*each)
    yield ground.backend


def test_engine_that_rounds_otherwise_differs_by_that(tmp_path: Path) -> None:
    assert divergence(tmp_path, "cnn", rounding_otherwise()).level == "ROUNDING"


def test_change_that_comes_late_is_found_under_rounding_in_double_precision(tmp_path: Path) -> None:
    """The loss of step 100 is the first to show what step 99 has moved too far."""
    other = rounding_otherwise(("optimizers", "Adam", LateAdam))
    found = divergence(tmp_path, "cnn", other)
    assert (found.level, found.step, found.phase, found.tensor) == (
        "CHANGED", 100, "forward", "loss",
    )  # fmt: skip


def test_nothing_planted_is_identical(tmp_path: Path) -> None:
    assert divergence(tmp_path, "xor", nullcontext(copy(load("numpy")))).level == "IDENTICAL"


def test_text_counts_steps_and_names_both_engines(tmp_path: Path) -> None:
    request = Request(("numpy", "numpy"), ["perceptron"], tmp_path)
    found = compare_backends(request)
    (milestone,) = found.milestones
    changed = Divergence(level="CHANGED", step=3, phase="gradient", tensor="output.bias",
                         also=["output.weight"], base=0.25, head=0.5, difference=0.5)  # fmt: skip
    altered = milestone.model_copy(update={"divergence": changed})
    text = render(found.model_copy(update={"milestones": [altered], "backends": ["numpy", "mine"]}))
    assert (
        "perceptron: CHANGED at step 3, gradient of output.bias (0.5 of the norm apart): norm "
        "0.25 with numpy, 0.5 with mine, in float64; also output.weight"
    ) in text
    assert np.isfinite(milestone.trained[0].held_out_accuracy or np.nan)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
