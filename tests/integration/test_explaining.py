"""`--explain`: the whole way of a gradient on healthy models, and where it ends on sick ones.

What must be found is known from the code of the planted bug: its line, and which tensors it
cuts off.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import config_files, datasets
from harness.autograd import Tensor, nn
from harness.backends import load
from harness.backends.base import Backend, Factory
from harness.errors import JobCrashedError, UsageError
from harness.explaining import explain, follow
from harness.explanation import Explanation
from harness.probes.models.specimen import Specimen
from harness.runner import Job
from harness.scorecard import load as load_scorecard
from tests.examples import small_file
from tests.integration.test_guide_bugs import (
    DetachedFlatten,
    DetachedResidual,
    EmbeddingThroughData,
    ForgetfulConv2d,
    FrozenLinear,
    HalfDetachedResidual,
    engine_with,
)

# The worker processes of pytest-xdist have a thread of their own while they fork.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
Harness = Callable[..., tuple[int, str, str]]


def told(milestone: str, label: str, backend: Backend | None = None) -> Explanation:
    shipped = config_files.load(config_files.find(milestone))
    dataset = datasets.load(shipped)
    return follow(Specimen(shipped, backend or load("numpy"), dataset, seed=0), label)


def told_of_fault(milestone: str, label: str, fault: str) -> Explanation:
    found = explain(
        Job(config_files.load(config_files.find(milestone)), seed=0, fault=fault), label
    )
    assert isinstance(found, Explanation)
    return found


def lines_of(thing: object) -> tuple[str, range]:
    """The file of a class or function, and the lines that it takes."""
    source, start = inspect.getsourcelines(thing)  # type: ignore[arg-type]
    return Path(inspect.getfile(thing)).name, range(start, start + len(source))  # type: ignore[arg-type]


def stands_in(place: str, thing: object) -> bool:
    file, _, line = place.rpartition(":")
    name, lines = lines_of(thing)
    return Path(file).name == name and int(line) in lines


# --- healthy -----------------------------------------------------------------------------------


def test_whole_way_through_the_cnn_is_its_layers_backwards() -> None:
    found = told("cnn", "conv1.bias")
    assert [hop.layer for hop in found.hops] == [
        "loss", "output", "flatten", "relu2", "pool2", "conv2", "relu1", "pool1", "conv1",
    ]  # fmt: skip
    assert [hop.op for hop in found.hops[-2:]] == ["MaxPool2dBackward", "Conv2dBackward"]
    assert found.hops[-1].shape == (32, 8, 10, 10)
    assert all(hop.arrived and hop.norm and hop.norm > 0 for hop in found.hops)
    assert found.reached
    assert found.norm is not None
    assert found.norm > 0
    assert (found.ends, found.behind, found.problem) == ((), (), "")


def test_gradient_of_the_loss_itself_is_one() -> None:
    assert told("cnn", "conv1.bias").hops[0].norm == 1.0


def test_every_op_has_its_line_and_that_of_its_apply() -> None:
    for hop in told("transformer", "embedding.weight").hops:
        for place in (hop.place, hop.apply):
            file, _, line = place.rpartition(":")
            text = Path(file).read_text(encoding="utf-8").splitlines()
            assert 1 <= int(line) <= len(text)
        assert "def apply" in text[int(line) - 1]


def test_way_through_the_transformer_takes_both_sides_of_every_residual() -> None:
    """1 loss, reshape, head; 1 sum and 4 layers that think; 1 sum and norm1 that attends, and
    attention: 4 projections, 4 reshapes and 4 transposes, 1 product; positions and embedding."""
    found = told("transformer", "embedding.weight")
    assert len(found.hops) == 3 + (1 + 4) + (1 + 1) + (4 + 4 + 4 + 1) + 2
    assert {hop.layer for hop in found.hops} == {
        "loss", "tokens", "head", "think", "contract", "relu", "expand", "norm2", "attend",
        "attention", "norm1", "positions", "embedding",
    }  # fmt: skip
    assert all(hop.norm and hop.norm > 0 for hop in found.hops)
    assert found.ends == ()


@pytest.mark.parametrize("name", ["perceptron", "xor", "mlp", "cnn", "transformer"])
def test_healthy_tensors_are_all_reached_and_right(name: str) -> None:
    for label in config_files.load(config_files.find(name)).expectations.labels:
        found = told(name, label)
        assert (label, found.ends, found.reached, found.problem) == (label, (), True, "")
        assert found.slope is not None
        assert found.slope.agrees, label


def test_siblings_are_of_the_same_layer_or_of_the_same_name_and_type() -> None:
    siblings = {each.label for each in told("cnn", "conv1.bias").siblings}
    assert siblings == {"conv1.weight", "conv2.bias"}
    siblings = {each.label for each in told("transformer", "norm1.weight").siblings}
    assert siblings == {"norm1.bias", "norm2.weight"}


def test_declared_null_is_told_with_its_reason() -> None:
    found = told("transformer", "attention.key.bias")
    assert "softmax ignores a constant" in found.null
    assert found.ends == ()
    assert found.reached
    assert found.norm is not None
    assert found.norm < 1e-6


# --- the four common bugs ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("milestone", "label", "name", "layer", "issue"),
    [
        ("transformer", "embedding.weight", "Embedding", EmbeddingThroughData, 1),
        ("transformer", "contract.weight", "Residual", DetachedResidual, 2),
        ("transformer", "embedding.weight", "Residual", DetachedResidual, 2),
        ("cnn", "conv1.bias", "Flatten", DetachedFlatten, 3),
        ("transformer", "head.bias", "Flatten", DetachedFlatten, 3),
        ("mlp", "hidden.weight", "Linear", FrozenLinear, 1),
    ],
)
def test_cut_is_found_at_its_line_with_the_bug_that_it_is(
    milestone: str, label: str, name: str, layer: Factory, issue: int
) -> None:
    found = told(milestone, label, engine_with(name, layer))
    (end,) = found.ends
    assert (end.kind, end.issue, found.reached, found.arrived) == ("cut", issue, False, False)
    assert stands_in(end.place, layer)


def test_op_that_does_not_link_its_bias_is_the_last_on_the_way() -> None:
    found = told("cnn", "conv1.bias", engine_with("Conv2d", ForgetfulConv2d))
    (end,) = found.ends
    assert (end.kind, end.issue) == ("unlinked", 4)
    assert end.sentence.startswith("Conv2dBackward (its apply is at ")
    last = found.hops[-1]
    assert (last.layer, last.op, last.place) == ("conv1", "Conv2dBackward", end.place)
    arrived = {each.label: each.arrived for each in found.siblings}
    assert arrived == {"conv1.weight": True, "conv2.bias": False}


@pytest.mark.parametrize(
    ("milestone", "label", "fault", "kind", "issue"),
    [
        ("transformer", "embedding.weight", "emb_detached", "cut", 1),
        ("transformer", "attention.query.weight", "attn_q_detached", "cut", 1),
        ("transformer", "embedding.weight", "positions_without_graph", "cut", 1),
        ("transformer", "embedding.weight", "resid_detached", "cut", 2),
        ("cnn", "conv1.weight", "reshape_detached", "cut", 3),
        ("cnn", "conv1.bias", "conv_bias_unlinked", "unlinked", 4),
        ("transformer", "norm1.bias", "ln_bias_unlinked", "unlinked", 4),
        ("mlp", "hidden.bias", "linear_bias_dropped", "unread", 0),
        ("mlp", "hidden.bias", "missing_return", "swallowed", 0),
    ],
)
def test_planted_fault_is_found(
    milestone: str, label: str, fault: str, kind: str, issue: int
) -> None:
    found = told_of_fault(milestone, label, fault)
    (end,) = found.ends
    assert (end.kind, end.issue, found.arrived) == (kind, issue, False)
    assert bool(end.place) == (kind != "unread")


def test_block_under_no_grad_is_blamed_on_its_caller_not_on_the_op() -> None:
    """The very line of the op keeps its history elsewhere."""
    (end,) = told_of_fault("transformer", "embedding.weight", "positions_without_graph").ends
    assert stands_in(end.place, nn.SinusoidalPositions.forward)


# --- gradients that arrive, and are not all ----------------------------------------------------


def test_way_that_is_cut_on_one_of_two_sides_is_told_though_a_gradient_arrives() -> None:
    found = told("transformer", "embedding.weight", engine_with("Residual", HalfDetachedResidual))
    assert found.reached
    assert found.arrived
    assert {(end.kind, end.issue) for end in found.ends} == {("cut", 2)}
    assert all(stands_in(end.place, HalfDetachedResidual) for end in found.ends)
    assert found.slope is not None
    assert not found.slope.agrees


class DoublingReLU(nn.ReLU):
    """Twice the gradient: nothing is cut, and no gradient is right."""

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        if y._grad_fn is not None:
            right = y._grad_fn.apply
            y._grad_fn.apply = lambda grad: tuple(2.0 * each for each in right(grad))  # type: ignore[assignment, method-assign, operator, union-attr]
        return y


def test_wrong_gradient_names_the_part_that_passes_it_on() -> None:
    found = told("mlp", "hidden.bias", engine_with("ReLU", DoublingReLU))
    assert (found.ends, found.reached) == ((), True)
    assert found.slope is not None
    assert not found.slope.agrees
    assert found.slope.wrong[0].startswith("ReLU: gradient that ")


class Shifted(nn.Linear):
    """Its output is shifted by a number that depends on it, and taken out again: harmless."""

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        shift = Tensor(y.data.max(keepdims=True))
        return (y - shift) + shift


def test_harmless_shift_is_shown_beside_a_gradient_that_is_right() -> None:
    found = told("mlp", "hidden.bias", engine_with("Linear", Shifted))
    assert {end.kind for end in found.ends} == {"cut"}
    assert found.is_harmless


# --- engines and names that do not play along --------------------------------------------------


def test_engine_that_cannot_trace_is_told_in_a_sentence() -> None:
    backend = engine_with("ReLU", nn.ReLU)
    backend.trace = lambda call: None  # type: ignore[method-assign]
    found = told("mlp", "hidden.bias", backend)
    assert "the engine 'numpy' cannot tell which tensors a model makes" in found.problem
    assert found.hops == ()


class RaisingReLU(nn.ReLU):
    """Its backward half raises."""

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        if y._grad_fn is not None:
            y._grad_fn.apply = lambda grad: 1 / 0  # type: ignore[assignment, method-assign]
        return y


def test_backward_pass_that_raises_still_shows_the_way() -> None:
    found = told("mlp", "hidden.bias", engine_with("ReLU", RaisingReLU))
    assert found.problem == "the backward pass raised ZeroDivisionError: division by zero"
    assert [hop.layer for hop in found.hops] == ["loss", "output", "relu", "hidden"]


class WithoutBias(nn.Linear):
    """Its bias is no Parameter."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        assert self.bias is not None
        self.bias = Tensor(self.bias.data)  # type: ignore[assignment]


def test_declared_tensor_that_is_no_parameter_is_bug_four() -> None:
    (end,) = told("mlp", "hidden.bias", engine_with("Linear", WithoutBias)).ends
    assert (end.kind, end.issue) == ("unregistered", 4)


def test_unknown_tensor_is_an_error_with_a_suggestion() -> None:
    found = explain(Job(config_files.load(config_files.find("cnn")), seed=0), "conv1.bais")
    assert isinstance(found, UsageError)
    assert "cnn has no tensor 'conv1.bais'. Did you mean 'conv1.bias'?" in found.message


# --- the command -------------------------------------------------------------------------------


def test_command_explains_a_tensor_of_a_file(harness: Harness, tmp_path: Path) -> None:
    file = small_file(tmp_path).name
    code, out, err = harness("run", file, "--explain", "hidden.bias", "--set", "training.lr=0.9")
    assert (code, err) == (0, "")
    assert "hidden.bias of small, seed 0: a gradient of norm" in out
    found = load_scorecard(tmp_path / "runs" / "latest").results[0].explanation
    assert found is not None
    assert [hop.layer for hop in found.hops] == ["loss", "output", "tanh", "hidden"]


def test_command_explains_beside_a_run_that_fails(harness: Harness, tmp_path: Path) -> None:
    file = small_file(tmp_path, ("epochs: 80", "epochs: 1")).name
    code, out, _ = harness("run", file, "--explain", "hidden.bias", "--format", "json")
    assert code == 1
    (result,) = json.loads(out)["results"]
    assert result["explanation"]["reached"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["cnn", "--explain", "conv1.bais"], "Did you mean 'conv1.bias'?"),
        (["cnn", "xor", "--explain", "conv1.bias"], "--explain needs one milestone, got 2"),
        (["--all", "--explain", "conv1.bias"], "--explain needs one milestone, got 5"),
    ],
)
def test_command_refuses_before_anything_is_trained(
    harness: Harness, tmp_path: Path, arguments: list[str], words: str
) -> None:
    code, out, err = harness("run", *arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert not (tmp_path / "runs").exists()


def test_engine_that_dies_while_it_is_explained_costs_the_explanation_only(
    harness: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def died(*arguments: object) -> None:
        raise JobCrashedError("it raised MemoryError")

    monkeypatch.setattr("harness.explaining.follow", died)
    code, out, _ = harness("run", small_file(tmp_path).name, "--explain", "hidden.bias")
    assert code == 0
    assert "its path could not be followed: it raised MemoryError" in out


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
