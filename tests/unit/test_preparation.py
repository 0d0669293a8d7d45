"""What a config names, held against the engine and the data, before anything is trained."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ConfigError, HarnessError, UsageError
from harness.session import prepared
from tests.examples import LABELS, SHAPES, SMALL, placed, refusal, small_file

OFFERED = "backend 'numpy' offers: "


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("type: Tanh", "type: ^Tahn",
         f"layers.tanh.type: unknown layer 'Tahn'. Did you mean 'Tanh'? {OFFERED}AvgPool2d, "),
        ("type: Tanh", "type: ^linear",
         f"layers.tanh.type: unknown layer 'linear'. Did you mean 'Linear'? {OFFERED}"),
        ("out_features: 4", "out_feature: ^4", "layers.hidden.out_feature: Linear: no argument "
         "'out_feature'. Did you mean 'out_features'? It takes: in_features, out_features, bias"),
        ("out_features: 4", "out_features: ^four", "layers.hidden.out_features: Linear: "),
        ("out_features: 4", "out_features: ^4.0", "layers.hidden.out_features: Linear: "),
        ("out_features: 4", "out_features: ^true", "layers.hidden.out_features: Linear: "),
        ("hidden: {type: Linear, in_features: 2, out_features: 4}",
         "hidden: ^{type: Linear, in_features: 2}",
         "layers.hidden.out_features: Linear: out_features is missing"),
        ("hidden: {type: Linear, in_features: 2, out_features: 4}",
         "hidden: {type: Linear, in_features: 2, out_features: 4, rng: ^3}",
         "layers.hidden.rng: Linear: no argument 'rng'"),
        ("recipe: truth_table", "recipe: ^truth",
         "data.recipe: unknown recipe 'truth'. Did you mean 'truth_table'? Known: arrays, digits"),
        ("  outputs: [0, 0, 0, 1]", "  output: ^[0, 0, 0, 1]",
         "data.output: truth_table: no argument 'output'. Did you mean 'outputs'?"),
        ("outputs: [0, 0, 0, 1]", "outputs: ^word", "data.outputs: truth_table: outputs "),
        ("loss: BCEWithLogitsLoss", "loss: ^BCEWithLogitLoss",
         f"training.loss: unknown loss 'BCEWithLogitLoss'. Did you mean 'BCEWithLogitsLoss'? "
         f"{OFFERED}BCEWithLogitsLoss, CrossEntropyLoss, MSELoss"),
        ("optimizer: SGD", "optimizer: ^Adan", "training.optimizer: unknown optimizer 'Adan'. "
         f"Did you mean 'Adam'? {OFFERED}Adam, AdamW, SGD"),
        ("optimizer: SGD", "optimizer: Adam\n  momentum: ^0.9",
         "training.momentum: Adam: no argument 'momentum'"),
        ("output: {type: Linear, in_features: 4,", "output: ^{type: Linear, in_features: 5,",
         "layers.output: Linear does not fit its input "
         "(N, 4): linear: the last axis of x (2, 4) does not fit weight (1, 5)"),
        ("{type: Tanh", "^{type: Conv2d, in_channels: 1, out_channels: 1, kernel_size: 3",
         "layers.tanh: Conv2d does not fit its input (N, 4): conv2d: "),
        ("{type: Tanh", "^{type: SinusoidalPositions, embedding_dim: 3",
         "layers.tanh: SinusoidalPositions: "),
        ("{type: Tanh", "^{type: Tanh, layers: {inner: {type: ReLU}}", "layers.tanh: Tanh: "),
        ("tanh: {type: Tanh", "tanh: {type: Residual, layers: {inner: ^{type: Linear, "
         "in_features: 3, out_features: 4}}",
         "layers.tanh.layers.inner: Linear does not fit its input (N, 4): linear: "),
        ("tensors: 4", "tensors: 4\n  null_gradients:\n    ^hiden.bias: because",
         "expectations.null_gradients.hiden.bias: the model has no tensor 'hiden.bias'. "
         "Did you mean 'hidden.bias'?"),
    ],
)  # fmt: skip
def test_misfit_is_named_with_its_place(tmp_path: Path, old: str, new: str, message: str) -> None:
    _, place = placed(SMALL.replace(old, new))
    assert f"small.yaml:{place}: {message}" in refusal(tmp_path, (old, new.replace("^", "")))


def test_mistake_in_a_control_is_named(tmp_path: Path) -> None:
    control = "\ncontrols:\n  linear: {why: one layer, layers: {a: {type: Liner}}}\n"
    words = refusal(tmp_path, ("  tensors: 4\n", "  tensors: 4\n" + control))
    assert "controls.linear.layers.a.type: unknown layer 'Liner'. Did you mean 'Linear'?" in words


def test_control_whose_shapes_do_not_fit_is_named(tmp_path: Path) -> None:
    """Before a calibration has trained the milestone itself on 200 seeds."""
    layers = "{a: {type: Linear, in_features: 3, out_features: 1}}"
    control = f"\ncontrols:\n  linear: {{why: one layer, layers: {layers}}}\n"
    words = refusal(tmp_path, ("  tensors: 4\n", "  tensors: 4\n" + control))
    assert words.startswith("small.yaml:34:")
    assert "Linear does not fit its input (N, 2)" in words


def test_data_that_do_not_fit_are_named_with_their_place(tmp_path: Path) -> None:
    words = refusal(tmp_path, ("outputs: [0, 0, 0, 1]", "outputs: [0, 0, 0]"))
    assert words.startswith("small.yaml:")
    assert "4 inputs of lengths [2, 2, 2, 2] and 3 outputs do not fit" in words


@pytest.mark.parametrize("size", [10**15, 2**80])
def test_model_too_large_for_the_machine_is_refused(tmp_path: Path, size: int) -> None:
    assert "layers.hidden" in refusal(tmp_path, ("out_features: 4", f"out_features: {size}"))


def test_canvas_too_large_for_the_machine_is_refused(tmp_path: Path) -> None:
    digits = "recipe: digits\n  canvas: 1000000\n  train_rows: 9\n  held_out_places: 1\n"
    table = SMALL[SMALL.index("recipe:") : SMALL.index("\nlayers:")]
    assert refusal(tmp_path, (table, digits))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        # one output for the classes 0 and 1; then a class without an output
        ("loss: BCEWithLogitsLoss", "loss: CrossEntropyLoss"),
        ("outputs: [0, 0, 0, 1]", "outputs: [0, 0, 0, 7]"),
    ],
)
def test_targets_that_the_loss_cannot_take_are_refused(tmp_path: Path, old: str, new: str) -> None:
    assert refusal(tmp_path, (old, new))


def test_every_misfit_is_named_at_once(tmp_path: Path) -> None:
    words = refusal(
        tmp_path,
        ("recipe: truth_table", "recipe: truth"),
        ("type: Tanh", "type: Tahn"),
        ("in_features: 4,", "in_feature: 4,"),
        ("loss: BCEWithLogitsLoss", "loss: BCE"),
        ("optimizer: SGD", "optimizer: SDG"),
        ("lr: 1.0", "lr: -1.0"),
    )
    named = ["data.recipe: ", "layers.tanh.type: ", "layers.output.in_feature: ",
             "layers.output.in_features: ", "training.loss: ", "training.optimizer: ",
             "training.lr: "]  # fmt: skip
    assert [name for name in named if name not in words] == []


def test_misfits_of_all_milestones_come_at_once(tmp_path: Path) -> None:
    files = [
        small_file(tmp_path, ("type: Tanh", "type: Tahn"), name="one"),
        small_file(tmp_path, ("in_features: 4,", "in_features: 5,"), name="two"),
        small_file(tmp_path, ("lr: 1.0", "lr: -1"), name="three"),
    ]
    with pytest.raises(ConfigError) as caught:
        prepared(list(map(str, files)), "numpy")
    named = {Path(problem.file).stem for problem in caught.value.problems}
    assert {"one", "three"} <= named  # shapes can only be tried once all names are known


def test_two_milestones_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    files = [str(small_file(tmp_path)), str(small_file(tmp_path / "sub"))]
    with pytest.raises(UsageError, match="two of the configs are named 'small'"):
        prepared(files, "numpy")


def test_milestone_named_twice_is_run_once() -> None:
    assert [outline.config.name for outline in prepared(["xor", "xor"], "numpy")] == ["xor"]


def test_data_that_overflow_are_refused_without_a_warning() -> None:
    with pytest.raises(ConfigError, match="numbers that are not finite"):
        prepared(["mlp"], "numpy", ["data.mean=1.0e+300"])


def test_task_of_astronomical_size_is_refused_at_once() -> None:
    """Data are loaded in the main process, where no --timeout holds."""
    command = [sys.executable, "-m", "harness", "show", "transformer"]
    done = subprocess.run(
        [*command, "--set", "data.length=1000000000"], capture_output=True, text=True, timeout=10
    )
    assert done.returncode == 2
    assert "reversal: " in done.stderr


def test_unknown_backend_is_refused() -> None:
    with pytest.raises(UsageError, match=r"unknown backend 'nunpy'\. Did you mean 'numpy'\?"):
        prepared(["xor"], "nunpy")


def test_outline_has_every_layer_with_its_shape_and_tensors(tmp_path: Path) -> None:
    (outline,) = prepared([str(small_file(tmp_path))], "numpy")
    assert [(row.label, row.type, row.depth, row.out_shape[1:]) for row in outline.rows] == [
        ("hidden", "Linear", 0, (4,)),
        ("tanh", "Tanh", 0, (4,)),
        ("output", "Linear", 0, (1,)),
    ]
    assert outline.parameters == dict(zip(LABELS, SHAPES, strict=True))


def test_outline_shows_inner_layers_below_their_container() -> None:
    (outline,) = prepared(["transformer"], "numpy")
    labels = [row.label for row in outline.rows]
    depth = {row.label: row.depth for row in outline.rows}
    assert labels.index("attend") < labels.index("norm1") < labels.index("attention")
    assert (depth["embedding"], depth["attend"], depth["attention"]) == (0, 0, 1)
    assert len(outline.parameters) == outline.config.expectations.count == 19


WORDS = ["-1", "0", "1", "3", "7.5", "no", "word", "''", "[]", "[1, 2]", "{}", "{a: 1}", "null",
         "1e-3", ".nan", "Linear", "Flatten", "ReLU", "true", "'", "*a", "!t 1"]  # fmt: skip
KEYS = ["in_channels", "out_channels", "kernel_size", "padding", "stride", "bias", "in_features",
        "out_features", "start_dim", "type", "layers"]  # fmt: skip


@given(
    layer=st.sampled_from(["conv1", "pool1", "flatten", "output"]),
    key=st.sampled_from(KEYS),
    word=st.sampled_from(WORDS),
)
def test_preparing_raises_nothing_but_harness_errors(layer: str, key: str, word: str) -> None:
    with suppress(HarnessError):
        prepared(["cnn"], "numpy", [f"layers.{layer}.{key}={word}"])


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
