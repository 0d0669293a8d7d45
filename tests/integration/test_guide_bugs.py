"""The guide's four bugs, planted by hand: each is caught, and named by tensor.

A bug is a backend whose namespace has one layer swapped; nothing is patched.
"""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from pathlib import Path

import pytest

from harness import config_files, datasets, probes
from harness.autograd import Tensor, nn, ops
from harness.backends import load
from harness.backends.base import Backend, Factory
from harness.checks import judge
from harness.checks.base import Verdict
from harness.checks.graph import graph_is_whole
from harness.checks.slopes import gradients_agree
from harness.probes.models.specimen import Specimen
from harness.record import RunRecord
from harness.reports import text
from harness.results import judged_result
from harness.scorecard import Result
from harness.training import train
from tests.examples import NAMES, scorecard_of


class EmbeddingThroughData(nn.Embedding):
    """Issue 1: the rows are looked up in .data, and nothing remembers where they came from."""

    def forward(self, indices: Tensor) -> Tensor:
        return Tensor(self.weight.data[indices.data])


class DetachedResidual(nn.Residual):
    """Issue 2: the sum is a new tensor made from .data."""

    def forward(self, x: Tensor) -> Tensor:
        inner = x
        for layer in self.layers:
            inner = layer(inner)
        return Tensor(x.data + inner.data)


class DetachedFlatten(nn.Flatten):
    """Issue 3: the reshaped tensor is a new one made from .data."""

    def forward(self, x: Tensor) -> Tensor:
        return Tensor(super().forward(x).data)


class ForgetfulConv2d(nn.Conv2d):
    """Issue 4: Conv2dBackward calls super().__init__(x, weight) and forgets the bias."""

    def forward(self, x: Tensor) -> Tensor:
        out = super().forward(x)
        if out._grad_fn is not None:
            out._grad_fn.saved_tensors = out._grad_fn.saved_tensors[:2]
        return out


def engine_with(name: str, layer: Factory) -> Backend:
    """The numpy backend with one layer swapped."""
    backend = copy(load("numpy"))
    layers = {**backend.namespace.layers, name: layer}
    backend.namespace = replace(backend.namespace, layers=layers)
    return backend


def result_of(milestone: str, backend: Backend) -> Result:
    """A real milestone, trained for one epoch and judged."""
    short = config_files.load(config_files.find(milestone), changes=["training.epochs=1"])
    record = train(short, backend, datasets.load(short), seed=0)
    return judged_result(short, record, judge(short, record))


def seen_before_training(milestone: str, backend: Backend) -> Verdict:
    """What is said of the graph of a real milestone before its first step."""
    found = config_files.load(config_files.find(milestone))
    record = RunRecord(milestone, 0, backend.name)
    specimen = Specimen(found, backend, datasets.load(found), seed=0)
    record.probed = probes.examine("milestone", ["graph"], specimen)
    return graph_is_whole(found, record)


def missing(result: Result) -> list[str]:
    return [row.label for row in result.parameters if row.verdict == "MISSING"]


def labels_of(milestone: str) -> list[str]:
    return [row.label for row in result_of(milestone, load("numpy")).parameters]


def is_before_the_last(label: str) -> bool:
    return not label.startswith(("head.", "output."))


@pytest.mark.parametrize(
    ("milestone", "name", "layer", "lost"),
    [
        ("transformer", "Embedding", EmbeddingThroughData, lambda label: label.startswith("emb")),
        ("transformer", "Residual", DetachedResidual, is_before_the_last),
        ("cnn", "Flatten", DetachedFlatten, is_before_the_last),
        ("cnn", "Conv2d", ForgetfulConv2d, lambda label: label in ("conv1.bias", "conv2.bias")),
    ],
)
def test_bug_of_the_guide_is_caught_and_named_by_tensor(
    milestone: str, name: str, layer: Factory, lost: Factory
) -> None:
    expected = [label for label in labels_of(milestone) if lost(label)]
    result = result_of(milestone, engine_with(name, layer))
    cause = next(verdict for verdict in result.verdicts if verdict.status == "fail")
    assert expected
    assert result.status == "fail"
    assert missing(result) == expected
    assert cause.check == "gradients_arrive"
    assert cause.evidence["tensors"] == expected
    assert cause.reason.startswith(", ".join(expected[:4]))
    assert "received no gradient" in cause.reason
    assert "Function.__init__" in cause.hint
    assert ".data" in cause.hint


@pytest.mark.parametrize(
    ("milestone", "name", "layer", "line"),
    [
        ("transformer", "Embedding", EmbeddingThroughData, "return Tensor(self.weight.data"),
        ("transformer", "Residual", DetachedResidual, "return Tensor(x.data + inner.data)"),
        ("cnn", "Flatten", DetachedFlatten, "return Tensor(super().forward(x).data)"),
        ("cnn", "Conv2d", ForgetfulConv2d, "return x.from_op("),
    ],
)
def test_bug_of_the_guide_is_found_before_training_with_its_line(
    milestone: str, name: str, layer: Factory, line: str
) -> None:
    verdict = seen_before_training(milestone, engine_with(name, layer))
    assert verdict.status == "fail"
    assert verdict.reason.startswith(f"{name}: ")
    file, _, number = str(verdict.evidence["place"]).rpartition(":")
    assert line in Path(file).read_text(encoding="utf-8").splitlines()[int(number) - 1]


@pytest.mark.parametrize("milestone", NAMES)
def test_graph_of_a_healthy_engine_is_not_accused(milestone: str) -> None:
    assert seen_before_training(milestone, load("numpy")).status == "pass"


@pytest.mark.parametrize("milestone", ["cnn", "transformer"])
def test_healthy_engine_raises_no_alarm_of_that_kind(milestone: str) -> None:
    result = result_of(milestone, load("numpy"))
    assert missing(result) == []
    statuses = {verdict.check: verdict.status for verdict in result.verdicts}
    assert (statuses["gradients_arrive"], statuses["parameters_move"]) == ("pass", "pass")


def test_report_of_a_bug_names_tensor_number_and_consequence() -> None:
    report = text.render(scorecard_of(result_of("cnn", engine_with("Conv2d", ForgetfulConv2d))))
    words = " ".join(report.split())
    assert "conv1.bias, conv2.bias received no gradient in any of" in words
    assert "4 of 6 parameters have their gradient" in words
    assert "therefore also: parameters_move" in words


def test_layer_that_cuts_the_whole_graph_is_named() -> None:
    """The transformer's last layer is a Flatten: no tensor is left with a gradient."""
    result = result_of("transformer", engine_with("Flatten", DetachedFlatten))
    cause = next(verdict for verdict in result.verdicts if verdict.status == "fail")
    assert (cause.check, cause.status) == ("gradients_arrive", "fail")
    assert "the graph is cut after head (0 of 19 parameters have their gradient)" in cause.reason


class HalfDetachedResidual(nn.Residual):
    """Only the skip is rebuilt from .data: gradients arrive everywhere, and are wrong."""

    def forward(self, x: Tensor) -> Tensor:
        inner = x
        for layer in self.layers:
            inner = layer(inner)
        return Tensor(x.data) + inner


def test_residual_that_is_cut_on_one_of_its_two_paths_is_caught_by_its_slopes() -> None:
    transformer = config_files.load(config_files.find("transformer"))
    backend = engine_with("Residual", HalfDetachedResidual)
    specimen = Specimen(transformer, backend, datasets.load(transformer), seed=0)
    record = RunRecord("transformer", 0, "numpy")
    record.probed = probes.examine("milestone", ["slopes"], specimen)
    verdict = gradients_agree(transformer, record)
    assert verdict.status == "fail"
    culprits = verdict.evidence["culprits"]
    assert isinstance(culprits, list)
    assert "embedding.weight" in culprits
    assert not {"contract.weight", "head.weight"} & set(culprits)


class HalfEmbedding(nn.Embedding):
    """A lookup whose gradient arrives at every other step only."""

    calls = 0

    def forward(self, indices: Tensor) -> Tensor:
        type(self).calls += 1
        out = ops.embedding(indices, self.weight)
        return Tensor(out.data) if self.calls % 2 else out


def test_gradient_that_is_missing_now_and_then_is_caught() -> None:
    """Only watching every step can see it."""
    result = result_of("transformer", engine_with("Embedding", HalfEmbedding))
    assert missing(result) == ["embedding.weight"]


class FrozenLinear(nn.Linear):
    """The forward pass uses a copy of the weight; the weight itself is never reached."""

    def forward(self, x: Tensor) -> Tensor:
        return ops.linear(x, Tensor(self.weight.data, requires_grad=True), self.bias)


def test_parameter_that_is_not_in_the_graph_is_caught() -> None:
    result = result_of("mlp", engine_with("Linear", FrozenLinear))
    assert missing(result) == ["hidden.weight", "output.weight"]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
