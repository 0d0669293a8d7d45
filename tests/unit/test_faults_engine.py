"""Every fault inside the engine changes the numbers that it says it touches, and no others."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from harness import config_files
from harness.autograd import Tensor, nn, ops
from harness.backends.base import Backend
from harness.checks.slopes import gradients_agree
from harness.config import MilestoneConfig
from harness.datasets.base import Dataset
from harness.faults import all_faults, planted
from harness.faults.base import Fault
from harness.faults.composed import ComposedAttention, ComposedLayerNorm
from harness.probes.milestone.slopes import measure
from harness.probes.models.specimen import Specimen
from harness.training import train
from tests.examples import NAMES, slopes_agree

FAMILIES = (
    "scaling", "backward_pass", "aliasing", "attention", "broadcasting", "convolution",
    "pooling", "graph_broken", "indexing", "losses", "masking", "normalization", "formulas",
    "activations", "arithmetic", "dropout_op", "precision", "harmless_engine",
)  # fmt: skip
INSIDE = [each for each in all_faults().values() if each.family in FAMILIES]
STEPS = 3

Numbers = list[bytes]


def name_of(value: object) -> str:
    return value.name if isinstance(value, Fault) else str(value)


# --- what training comes to --------------------------------------------------------------


@cache
def milestone(name: str) -> MilestoneConfig:
    config = config_files.load(config_files.find(name))
    epochs = STEPS if name in ("perceptron", "xor") else 1
    changes: dict[str, Any] = {"epochs": epochs, "evaluate_every": 1000}
    if name in ("perceptron", "xor"):
        changes["lr"] = 50.0  # logits so large that nothing can hide in the middle of a sigmoid
    return config.model_copy(update={"training": config.training.model_copy(update=changes)})


def shortened(dataset: Dataset, batch_size: int) -> Dataset:
    rows = min(len(dataset.train_x), STEPS * batch_size)
    return replace(
        dataset,
        train_x=dataset.train_x[:rows],
        train_y=dataset.train_y[:rows],
        held_out_x=dataset.held_out_x[:8],
        held_out_y=dataset.held_out_y[:8],
    )


def trained(name: str, fault: str | None) -> Numbers:
    """What a few steps leave behind, the losses that the engine itself reported included."""
    config = all_faults()[fault].declares(milestone(name)) if fault else milestone(name)
    with planted(fault, "numpy") as ground:
        changed, dataset = ground.of(config)
        losses: list[bytes] = []
        backward = ground.backend.backward

        def listening(output: Tensor, gradient: np.ndarray | None = None) -> None:
            losses.append(output.data.tobytes())
            backward(output, gradient)

        ground.patch(ground.backend, "backward", listening)
        dataset = shortened(dataset, config.training.batch_size)
        record = train(changed, ground.backend, dataset, 0)
    assert record.steps == STEPS
    assert np.isfinite(record.loss).all()
    return [record.digest.encode(), np.float64(record.final_loss).tobytes(), *losses]


@cache
def healthy(name: str) -> Numbers:
    return trained(name, None)


@pytest.mark.parametrize("fault", INSIDE, ids=name_of)
def test_fault_changes_the_milestones_that_it_declares_and_no_other(fault: Fault) -> None:
    touched = {name for name in NAMES if trained(name, fault.name) != healthy(name)}
    if fault.is_harmless:  # it may round as before
        assert touched <= set(fault.milestones)
    else:
        assert touched == set(fault.milestones)


@pytest.mark.parametrize("fault", [each for each in INSIDE if each.is_harmless], ids=name_of)
def test_harmless_variant_has_the_right_gradients(fault: Fault) -> None:
    for name in fault.milestones:
        with planted(fault.name, "numpy") as ground:
            config, dataset = ground.of(fault.declares(milestone(name)))
            rows = list(measure(Specimen(config, ground.backend, dataset, 0)))
        worst = max(row.error for row in rows)
        assert worst < 1e-6, f"{name}: {gradients_agree.name} would accuse it ({worst:.1e})"


@pytest.mark.parametrize("name", ["ok_max_tie_first", "ok_pool_tie_last"])
def test_harmless_variant_gives_ties_one_whole_gradient(name: str) -> None:
    images = Tensor(np.floor(4 * drawn((2, 1, 4, 6))), requires_grad=True)
    given = drawn((2, 1, 2, 2), 1)
    with planted(name, "numpy") as ground:
        space = ground.backend.namespace.ops
        if name == "ok_pool_tie_last":
            space["max_pool2d"](images, (2, 3)).backward(given)
        else:
            windows = images.reshape(2, 1, 2, 2, 2, 3)
            space["max"](windows, (3, 5)).backward(given)
    got = np.zeros(0) if images.grad is None else images.grad
    assert sorted(got[got != 0]) == sorted(given.ravel())
    sums = got.reshape(2, 1, 2, 2, 2, 3).sum(axis=(3, 5))
    np.testing.assert_array_equal(sums, given)


# --- what no milestone uses --------------------------------------------------------------

Show = Callable[[Backend], list[np.ndarray]]


def drawn(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.3, 1.5, shape)


def arrays(given: Sequence[Any]) -> list[np.ndarray]:
    """Shapes become numbers, all different; arrays stay."""
    return [
        each.copy() if isinstance(each, np.ndarray) else drawn(each, seed)
        for seed, each in enumerate(given)
    ]


def through(kind: str, name: str, *given: Any, **options: Any) -> Show:
    """The value of an op (or a layer, or a loss) and the gradients of its inputs."""

    def show(backend: Backend) -> list[np.ndarray]:
        factory = getattr(backend.namespace, kind)[name]
        fresh = {"rng": np.random.default_rng(0)} if "num_heads" in options else {}
        call = factory if kind == "ops" else factory(**options, **fresh)
        leaves = [Tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays(given)]
        y = call(*leaves, **options) if kind == "ops" else call(*leaves)
        value = y.data.copy()
        if y.in_graph:
            y.backward(drawn(y.shape, 9))
        grads = [leaf.grad for leaf in leaves if leaf.grad is not None]
        return [value, *grads, *(leaf.data for leaf in leaves)]

    return show


def op(name: str, *given: Any, **options: Any) -> Show:
    return through("ops", name, *given, **options)


def layer(name: str, *given: Any, **options: Any) -> Show:
    return through("layers", name, *given, **options)


def graph_of(make: Callable[..., Tensor], *shapes: tuple[int, ...], times: int = 1) -> Show:
    """The gradients of leaves through a small graph, gone back through `times` times."""

    def show(backend: Backend) -> list[np.ndarray]:
        leaves = [Tensor(a, requires_grad=True) for a in arrays(shapes)]
        for _ in range(times):
            make(*leaves).backward()
        return [leaf.grad for leaf in leaves if leaf.grad is not None]

    return show


def two_waiting(x: Tensor, z: Tensor) -> Tensor:
    """Both inputs of an add are used again, so that both wait with what the add gave them."""
    h, k = ops.exp(x), ops.exp(z)
    return (k * drawn((3,), 6) + (h * drawn((3,), 5) + (h + k) * drawn((3,)))).sum()


def concatenated(dim: int) -> Show:
    return graph_of(
        lambda a, b: (ops.concatenate([a, b], dim) * drawn((4, 4) if dim else (8, 2))).sum(),
        *[(4, 2), (4, 2)],
    )


def dropped(backend: Backend) -> list[np.ndarray]:
    x = Tensor(drawn((5, 6)), requires_grad=True)
    layer = backend.namespace.layers["Dropout"](p=0.3, rng=np.random.default_rng(0))
    y = layer(x)
    y.backward(drawn((5, 6), 9))
    return [y.data, np.zeros(0) if x.grad is None else x.grad]


def tanh_gradient(backend: Backend) -> list[np.ndarray]:
    given = drawn((3,))
    Tensor(drawn((3,)), requires_grad=True).tanh().backward(given)
    return [given]


TIED = np.array([[1.0, 1.0, 0.2], [0.5, 0.7, 0.7]])
COLUMN = np.array([[1.0], [0.0], [1.0]])
CLASSES = np.array([1, 0, 3])
MASKS = np.random.default_rng(1).random((3, 1, 4, 4)) < 0.6
HEADS = [(3, 2, 4, 5)] * 3
IMAGES, KERNELS = (2, 2, 5, 7), (3, 2, 3, 3)

# What shows a fault that touches no milestone. A family stands for all of its faults.
SHOWN: dict[str, Show] = {
    "dropout_op": dropped,
    # the tape
    "tied_counted_once": graph_of(lambda w: (w * 2.0).sum() + (w * 3.0).sum(), (3,)),
    "tape_second_pass_replaces": graph_of(lambda x: x.exp().sum(), (3,), times=2),
    "tape_same_input_twice": graph_of(lambda x: (x * x).sum(), (3,)),
    "tape_alias_inplace": graph_of(two_waiting, (3,), (3,)),
    "shared_grad_buffer": graph_of(lambda a, b: ((a + b) * 2.0).sum(), (3,), (3,), times=3),
    "tanh_grad_inplace": tanh_gradient,
    "relu_inplace": op("relu", drawn((3, 4)) - 0.9),
    "view_chain": graph_of(lambda x: (x[1:][1:] * drawn((2, 3))).sum(), (4, 3)),
    # broadcasting
    "unb_first_slice": op("add", (3, 4), (4,)),
    "unb_only_one_axis": op("add", (2, 3, 4), (4,)),
    "unb_size_one_mean": op("mul", (3, 4), (3, 1)),
    "logsumexp_keepdim": op("cross_entropy", (3, 5), CLASSES, reduction="sum"),
    # images
    "conv_hw_swapped": op("conv2d", IMAGES, KERNELS, padding=1),
    "conv_stride_bwd": op("conv2d", IMAGES, KERNELS, stride=2),
    "conv_stride_first_axis": op("conv2d", IMAGES, KERNELS, stride=(2, 1)),
    "conv_pad_one_side": op("conv2d", IMAGES, KERNELS, padding=1),
    "pool_pad_zero": op("max_pool2d", -drawn((1, 1, 4, 4)), kernel_size=2, padding=1),
    "pool_stride_ignored": op("max_pool2d", IMAGES, kernel_size=3, stride=1),
    "pool_overlap_assign": op("max_pool2d", IMAGES, kernel_size=3, stride=1),
    "avg_pool_border_count": op("avg_pool2d", IMAGES, kernel_size=3, stride=2, padding=1),
    "avg_pool_grad_whole": op("avg_pool2d", IMAGES, kernel_size=2),
    # layers that no milestone uses like this
    "attn_two_heads_always": layer("MultiHeadAttention", (2, 3, 8), embed_dim=8, num_heads=4),
    "ln_eps_fixed": layer("LayerNorm", (3, 4), normalized_shape=4, eps=0.1),
    "mask_repeat_order": op("scaled_dot_product_attention", *HEADS, attn_mask=MASKS),
    "mask_bool_inverted": op("scaled_dot_product_attention", *HEADS, attn_mask=MASKS),
    # losses
    "mse_grad_no_two": op("mse_loss", (3, 2), (3, 2)),
    "mse_mean_over_rows": op("mse_loss", (3, 2), (3, 2)),
    "ce_grad_not_moved": op("cross_entropy", (3, 4, 2), np.array([[1, 0], [3, 3], [2, 0]])),
    "bce_grad_target_sign": op("binary_cross_entropy_with_logits", (3, 1), COLUMN),
    # reductions, shapes, products
    "mean_grad_first_axis": op("mean", (3, 4)),
    "sum_bwd_axis_lost": op("sum", (3, 3), dim=1),
    "sum_in_float16": op("sum", (3, 4)),
    "max_ties_all": op("max", TIED, dim=1),
    "index_dups_assign": op("index", (4, 3), key=np.array([2, 0, 2])),
    "concat_pieces_reversed": concatenated(0),
    "concat_split_first_axis": concatenated(1),
    "transpose_bwd_same_axes": op("permute", (3, 3, 3), dims=(1, 2, 0)),
    "transpose_bwd_last_axes": op("transpose", (3, 3, 3), dim0=0, dim1=1),
    "bmm_da_wrong_swap": op("matmul", (2, 4, 3), (2, 3, 3)),
    "matmul_dot_own_factor": op("matmul", (3,), (3,)),
    "matmul_db_first_of_batch": op("matmul", (2, 3, 4), (4, 5)),
    "log_softmax_bwd_no_sum": op("log_softmax", (3, 4)),
    "softmax_overflows": op("softmax", np.array([[1000.0, 0.0]])),
    "log_softmax_of_softmax": op("log_softmax", np.array([[1000.0, 0.0]])),
    "ops_int_input": op("softmax", np.array([[1, 2, 4]])),
    "ok_max_tie_first": op("max", TIED, dim=1),
    # one number at a time
    "sigmoid_bwd_missing_factor": op("sigmoid", (3,)),
    "sigmoid_bwd_preact": op("sigmoid", (3,)),
    "gelu_bwd_other_form": op("gelu", (3,)),
    "gelu_bwd_no_density": op("gelu", (3,)),
    "gelu_always_fast": op("gelu", (3,)),
    "neg_sub_sign": op("sub", (3,), (3,)),
    "neg_bwd_passes": op("neg", (3,)),
    "mul_own_factor": op("mul", (3,), (3,)),
    "div_denominator_sign": op("div", (3,), (3,)),
    "div_denominator_not_squared": op("div", (3,), (3,)),
    "pow_no_log": op("pow", (3,), (3,)),
    "pow_exponent_kept": op("pow", (3,), (3,)),
    "sqrt_no_half": op("sqrt", (3,)),
    "exp_slope_of_input": op("exp", (3,)),
    "log_base_ten": op("log", (3,)),
}  # fmt: skip


def shown(fault: Fault, is_planted: bool) -> list[np.ndarray]:
    show = SHOWN.get(fault.name) or SHOWN[fault.family]
    with planted(fault.name if is_planted else None, "numpy") as ground:
        return show(ground.backend)


@pytest.mark.parametrize("fault", [each for each in INSIDE if not each.milestones], ids=name_of)
def test_fault_that_no_milestone_meets_shows_on_the_part_that_it_breaks(fault: Fault) -> None:
    got, expected = shown(fault, True), shown(fault, False)
    are_equal = len(got) == len(expected) and all(map(np.array_equal, got, expected))
    assert not are_equal
    again = shown(fault, False)
    assert all(map(np.array_equal, again, expected))


# --- what a fault leaves behind ----------------------------------------------------------


def held() -> dict[tuple[str, ...], int]:
    """What every name in every module and class of the harness stands for."""
    modules = {n: m for n, m in sys.modules.items() if n.split(".")[0] == "harness"}
    names = {(n, key): id(value) for n, m in modules.items() for key, value in vars(m).items()}
    classes = {each for m in modules.values() for each in vars(m).values() if type(each) is type}
    inside = {
        (each.__module__, each.__qualname__, key): id(value)
        for each in classes
        if each.__module__.startswith("harness")
        for key, value in vars(each).items()
        if not key.startswith("_abc") and key not in ("__dict__", "__weakref__")
    }
    return names | inside


def test_no_fault_leaves_anything_behind() -> None:
    trained("xor", "relu_passthrough")  # loads what is loaded on use
    before = held()
    for fault in INSIDE:
        expected = [healthy(name) for name in fault.milestones[:1]]
        with planted(fault.name, "numpy"):
            pass
        assert held() == before, fault.name
        assert [trained(name, None) for name in fault.milestones[:1]] == expected, fault.name
    assert [trained(name, None) for name in NAMES] == [healthy(name) for name in NAMES]


def test_replacement_is_shown_under_the_name_of_what_it_replaces() -> None:
    with planted("ce_overflows", "numpy") as ground:
        loss = ground.backend.namespace.ops["cross_entropy"]
        assert (loss.__name__, loss.__code__.co_qualname) == ("cross_entropy", "cross_entropy")
    assert ops.cross_entropy.__module__ == "harness.autograd.ops.losses"


# --- what faults are made of -------------------------------------------------------------


@pytest.mark.parametrize("is_causal", [False, True])
def test_composed_attention_is_right_before_anything_is_broken(is_causal: bool) -> None:
    layers = [
        factory(8, 2, is_causal, np.random.default_rng(0))
        for factory in (ComposedAttention, nn.MultiHeadAttention)
    ]
    x = Tensor(drawn((2, 3, 8)))
    got, expected = (attention(x).data for attention in layers)
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_composed_layer_norm_is_right_before_anything_is_broken() -> None:
    rng = np.random.default_rng(0)
    norms = ComposedLayerNorm((3, 4), eps=0.1), nn.LayerNorm((3, 4), eps=0.1)
    x = Tensor(drawn((2, 3, 4)))
    for norm in norms:
        norm.weight.data, norm.bias.data = drawn((3, 4), 1), drawn((3, 4), 2)
    np.testing.assert_allclose(norms[0](x).data, norms[1](x).data, rtol=1e-12)
    composed = norms[0]
    slopes_agree(
        dict(composed.named_parameters()), lambda: (composed(x) * drawn((2, 3, 4), 3)).sum(), rng
    )


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
