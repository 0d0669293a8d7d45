"""Cut graphs are found with the line that cut them; constants on purpose are not accused."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness import config_files, datasets
from harness.autograd import Tensor, nn, no_grad
from harness.autograd.ops.matmul import LinearBackward
from harness.backends import load
from harness.backends.base import Backend, Trace
from harness.checks.graph import graph_is_whole, outputs_feel_every_tensor
from harness.checks.measured import WIDE
from harness.faults.ground import Ground
from harness.measurement import Measurement, NotMeasurableError
from harness.probes.milestone import graph, sensitivity
from harness.probes.models.specimen import Specimen
from tests.examples import NAMES, healthy, small_config

NumpyLike = type(load("numpy"))


def specimen(milestone: str, backend: Backend, seed: int = 0) -> Specimen:
    found = config_files.load(config_files.find(milestone))
    return Specimen(found, backend, datasets.load(found), seed)


def with_layer(name: str, layer: type) -> Ground:
    ground = Ground(load("numpy"))
    ground.swap("layers", name, layer)
    return ground


def wrong(rows: list[Measurement]) -> list[Measurement]:
    return [row for row in rows if not row.error <= WIDE]


def line_of(function: Callable[..., object], text: str) -> str:
    """file:line of the line of a function that has this text in it."""
    lines, start = inspect.getsourcelines(function)
    (at,) = (i for i, line in enumerate(lines) if text in line)
    return f"{Path(__file__).relative_to(Path.cwd())}:{start + at}"


# --- healthy --------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", NAMES)
def test_graph_of_a_healthy_milestone_is_whole(name: str, seed: int) -> None:
    rows = list(graph.measure(specimen(name, load("numpy"), seed)))
    assert [row.error for row in rows] == [0.0] * len(rows)
    labels = config_files.load(config_files.find(name)).expectations.labels
    assert [row.subject for row in rows][-len(labels) :] == labels


def test_constant_that_needs_no_gradient_is_not_accused() -> None:
    class Shifted(nn.Linear):
        """Adds and takes away a number that was computed outside the graph."""

        def forward(self, x: Tensor) -> Tensor:
            y = super().forward(x)
            largest = Tensor(y.data.max(axis=-1, keepdims=True))
            return (y - largest) + largest

    ground = with_layer("Linear", Shifted)
    assert wrong(list(graph.measure(specimen("mlp", ground.backend)))) == []


# --- the guide's four bugs, and others of their kind ----------------------------------------


class RebuiltInput(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(Tensor(x.data))  # cut here


class RebuiltWeight(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        weight = Tensor(self.weight.data)  # cut here
        return x @ weight.transpose() + self.bias


class RebuiltSkip(nn.Residual):
    def forward(self, x: Tensor) -> Tensor:
        return Tensor(x.data) + nn.Sequential.forward(self, x)  # cut here


class OutsideTheGraph(nn.ReLU):
    def forward(self, x: Tensor) -> Tensor:
        with no_grad():
            return super().forward(x)


@pytest.mark.parametrize(
    ("milestone", "name", "layer"),
    [
        ("mlp", "Linear", RebuiltInput),
        ("mlp", "Linear", RebuiltWeight),
        ("transformer", "Residual", RebuiltSkip),
    ],
)
def test_tensor_without_history_is_found_with_its_line(
    milestone: str, name: str, layer: type
) -> None:
    ground = with_layer(name, layer)
    rows = wrong(list(graph.measure(specimen(milestone, ground.backend))))
    assert rows[0].subject == name
    assert "that has no history" in rows[0].what
    assert rows[0].place == line_of(layer.forward, "# cut here")


def test_layer_outside_the_graph_is_blamed_where_its_op_is_called() -> None:
    ground = with_layer("ReLU", OutsideTheGraph)
    rows = wrong(list(graph.measure(specimen("mlp", ground.backend))))
    assert rows[0].subject == "ReLU"
    assert rows[0].place.startswith("harness/autograd/nn/activations.py:")


def test_parameter_that_an_op_reads_without_linking_to_it_is_named() -> None:
    right, ground = LinearBackward.__init__, Ground(load("numpy"))

    def init(self: LinearBackward, x: Tensor, weight: Tensor, bias: Tensor | None) -> None:
        right(self, x, weight, None)

    ground.patch(LinearBackward, "__init__", init)
    try:
        rows = wrong(list(graph.measure(specimen("mlp", ground.backend))))
    finally:
        ground.restore()
    first = rows[0]
    assert first.subject == "Linear"
    assert first.what == "slope of hidden.bias, which LinearBackward does not link to"
    assert first.got == 0.0
    assert abs(first.expected) > 0.01
    assert first.place.startswith("harness/autograd/ops/matmul.py:")
    assert {row.subject for row in rows} == {"Linear", "hidden.bias", "output.bias"}


# --- leaves and parameters ------------------------------------------------------------------


def test_tensor_that_gets_a_gradient_and_is_no_parameter_is_found() -> None:
    class HiddenScale(nn.Linear):
        """Learns a scale that nobody knows of."""

        def forward(self, x: Tensor) -> Tensor:
            scale = self.__dict__.setdefault("_scale", [Tensor(np.ones(1), requires_grad=True)])
            return super().forward(x) * scale[0]

    ground = with_layer("Linear", HiddenScale)
    rows = wrong(list(graph.measure(specimen("xor", ground.backend))))
    assert {row.subject for row in rows} == {"Linear"}
    assert "tensors of shape (1,) in hidden that get a gradient but are no" in rows[0].what


def test_parameter_that_no_op_reads_is_said_to_have_no_way_from_the_loss() -> None:
    class WithoutBias(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return x @ self.weight.transpose()

    ground = with_layer("Linear", WithoutBias)
    rows = wrong(list(graph.measure(specimen("xor", ground.backend))))
    assert [row.subject for row in rows] == ["hidden.bias", "output.bias"]
    assert rows[0].what == "ways from the loss back to it"


def test_undeclared_and_absent_tensors_are_named() -> None:
    found = specimen("xor", load("numpy"))
    labels = ["hidden.weight", "hidden.bias", "output.weight", "gate.weight"]
    expectations = found.config.expectations.model_copy(update={"tensors": labels})
    changed = found.config.model_copy(update={"expectations": expectations})
    rows = wrong(list(graph.measure(replace(found, config=changed))))
    assert [row.subject for row in rows] == ["gate.weight", "output.bias"]


def test_two_labels_of_one_array_are_found() -> None:
    shared = np.zeros(8)

    class OneBuffer(NumpyLike):  # type: ignore[misc, valid-type]
        def set_value(self, parameter: Tensor, array: np.ndarray) -> None:
            if array.ndim == 1:
                shared[: array.size] = array
                array = shared[: array.size]
            super().set_value(parameter, array)

    rows = wrong(list(graph.measure(specimen("xor", OneBuffer()))))
    assert "output.bias" in {row.subject for row in rows}
    assert any("that share its numbers (hidden.bias)" in row.what for row in rows)


# --- engines that cannot tell ---------------------------------------------------------------


class Silent(NumpyLike):  # type: ignore[misc, valid-type]
    """An engine that does not tell what it makes."""

    def trace(self, call: Callable[[], Tensor]) -> Trace | None:
        return None


def test_engine_that_tells_nothing_is_not_judged() -> None:
    with pytest.raises(NotMeasurableError, match="does not tell what it makes"):
        list(graph.measure(specimen("xor", Silent())))


# --- sensitivity ----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", NAMES)
def test_outputs_of_a_healthy_milestone_feel_every_tensor(name: str, seed: int) -> None:
    rows = list(sensitivity.measure(specimen(name, load("numpy"), seed)))
    assert [row.error for row in rows] == [0.0] * len(rows)
    assert all(row.got > 10 * row.expected for row in rows)
    declared = config_files.load(config_files.find(name)).expectations
    assert len(rows) == declared.count - len(declared.null_gradients)


def test_tensor_that_rounding_swallows_is_named() -> None:
    class Swallowed(nn.Linear):
        """Its weight counts so little that only float64 has room for it."""

        def forward(self, x: Tensor) -> Tensor:
            return (x @ self.weight.transpose()) * 1e-9 + self.bias + 1.0

    ground = with_layer("Linear", Swallowed)
    rows = wrong(list(sensitivity.measure(specimen("perceptron", ground.backend))))
    assert [row.subject for row in rows] == ["output.weight"]


# --- checks ---------------------------------------------------------------------------------

GOOD = Measurement("Linear", "tensors in hidden that forget what made them", 0.0, 0.0, 0.0)
CUT = Measurement("Linear", "slope of hidden.weight, past a tensor", 0.0, 1.5, np.inf, "a.py:7")


def test_graph_is_whole_passes_and_fails_with_the_line() -> None:
    record = healthy()
    record.probed.measured["graph"] = [GOOD]
    assert graph_is_whole(small_config(), record).status == "pass"
    record.probed.measured["graph"] = [GOOD, CUT]
    verdict = graph_is_whole(small_config(), record)
    assert verdict.status == "fail"
    assert "hidden.weight" in verdict.reason
    assert verdict.reason.endswith("got 0, expected 1.5 (a.py:7)")
    assert verdict.evidence["place"] == "a.py:7"
    assert verdict.evidence["culprits"] == ["Linear"]


def test_outputs_feel_every_tensor_passes_and_fails() -> None:
    record = healthy()
    record.probed.measured["sensitivity"] = [Measurement("hidden.weight", "share", 0.1, 1e-5, 0.0)]
    assert outputs_feel_every_tensor(small_config(), record).status == "pass"
    lost = Measurement("hidden.bias", "share by which the outputs change", 0.0, 1e-5, np.inf)
    record.probed.measured["sensitivity"].append(lost)
    verdict = outputs_feel_every_tensor(small_config(), record)
    assert verdict.status == "fail"
    assert verdict.evidence["culprits"] == ["hidden.bias"]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
