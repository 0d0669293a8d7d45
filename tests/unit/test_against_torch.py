"""PyTorch as an oracle: values and all gradients of every op and layer, and every optimizer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from harness.autograd import Tensor, nn, ops, optim

if __name__ == "__main__":  # not at the end: without PyTorch this file ends two lines below
    raise SystemExit(pytest.main([__file__, "-q"]))

torch = pytest.importorskip("torch", reason="PyTorch is the oracle here and is not installed")
F = torch.nn.functional

Array = np.ndarray
CLASSES = np.array([[2, 0, 1, 1], [0, 0, 2, 1]])
TOKENS = np.array([[4, 1, 1], [0, 4, 4]])
MASK = np.array([[True, False, True, True], [False, True, False, False], [True, True, True, True]])
BIAS = np.array([[0.5, -1.0, 0.0, 2.0], [0.0, -np.inf, 0.0, 1.0], [3.0, 0.0, 0.0, -np.inf]])


def values(shapes: Sequence[tuple[int, ...]], positive: bool = False) -> list[Array]:
    rng = np.random.default_rng(0)
    drawn = [np.asarray(rng.standard_normal(shape)) for shape in shapes]
    return [np.abs(array) + 0.1 if positive else array for array in drawn]


def assert_equal_to_torch(
    ours: Callable[..., Tensor], theirs: Callable[..., Any], arrays: Sequence[Array]
) -> None:
    """Value and gradient of every input, for one random gradient of the output."""
    inputs = [Tensor(array, requires_grad=True) for array in arrays]
    torch_inputs = [torch.tensor(array, requires_grad=True) for array in arrays]
    output, expected = ours(*inputs), theirs(*torch_inputs)
    assert output.shape == tuple(expected.shape)
    assert output.data == pytest.approx(expected.detach().numpy())

    gradient = np.asarray(np.random.default_rng(1).standard_normal(output.shape))
    output.backward(gradient)
    expected.backward(torch.tensor(gradient))
    for tensor, torch_tensor in zip(inputs, torch_inputs, strict=True):
        assert tensor.grad == pytest.approx(torch_tensor.grad.numpy())


# --- ops ------------------------------------------------------------------------------

Q, K, V = (2, 2, 3, 4), (2, 2, 4, 4), (2, 2, 4, 5)
Same = tuple[str, list[tuple[int, ...]], Mapping[str, Any]]
# Ops that PyTorch has under the same name, with the same arguments.
SAME: list[Same] = [
    *[(name, [(2, 1, 4), (3, 1)], {}) for name in ("add", "sub", "mul", "div")],
    ("neg", [(3, 4)], {}),
    *[(name, [(3, 4)], {}) for name in ("exp", "relu", "tanh", "sigmoid")],
    *[("matmul", pair, {}) for pair in [[(3, 4), (4, 2)], [(4,), (4,)], [(5, 1, 3, 4), (2, 4, 2)]]],
    ("matmul", [(4,), (2, 4, 3)], {}),
    ("matmul", [(2, 3, 4), (4,)], {}),
    *[("sum", [(2, 3, 4)], {"dim": dim, "keepdim": True}) for dim in (0, -1, (0, 2))],
    *[("mean", [(2, 3, 4)], {"dim": dim}) for dim in (0, -1, (0, 2))],
    ("reshape", [(2, 6)], {"shape": (3, -1)}),
    ("flatten", [(2, 3, 4)], {"start_dim": 1, "end_dim": -1}),
    ("permute", [(2, 3, 4)], {"dims": (2, 0, 1)}),
    ("transpose", [(2, 3, 4)], {"dim0": 0, "dim1": 2}),
    *[(name, [(2, 3, 4)], {"dim": dim}) for name in ("softmax", "log_softmax") for dim in (0, 2)],
    ("conv2d", [(2, 3, 6, 7), (4, 3, 3, 2), (4,)], {}),
    ("conv2d", [(2, 3, 6, 7), (4, 3, 3, 2)], {"stride": (2, 1), "padding": (0, 1)}),
    ("conv2d", [(1, 2, 5, 5), (3, 2, 3, 3), (3,)], {"stride": 2, "padding": 2}),
    ("linear", [(2, 3, 4), (5, 4), (5,)], {}),
    ("linear", [(3, 4), (5, 4)], {}),
    ("gelu", [(3, 4)], {}),
    ("gelu", [(3, 4)], {"approximate": "tanh"}),
    ("max_pool2d", [(2, 3, 6, 7)], {"kernel_size": 2}),
    ("max_pool2d", [(2, 3, 6, 7)], {"kernel_size": 3, "stride": (1, 2), "padding": 1}),
    ("avg_pool2d", [(2, 3, 6, 7)], {"kernel_size": 2}),
    ("avg_pool2d", [(2, 3, 6, 7)], {"kernel_size": (3, 2), "stride": 2, "padding": (1, 0)}),
    ("layer_norm", [(2, 3, 4)], {"normalized_shape": (3, 4), "eps": 0.1}),
    *[(n, [(3, 2), (3, 2)], {"reduction": r}) for n in ("mse_loss",) for r in ("mean", "sum")],
    ("binary_cross_entropy_with_logits", [(3, 2), (3, 2)], {}),
    ("scaled_dot_product_attention", [Q, K, V], {}),
    ("scaled_dot_product_attention", [Q, K, V], {"is_causal": True}),
    ("scaled_dot_product_attention", [K, Q, Q], {"is_causal": True}),
    ("scaled_dot_product_attention", [Q, K, V], {"scale": 0.3}),
    ("scaled_dot_product_attention", [Q, K, V], {"attn_mask": MASK}),
    ("scaled_dot_product_attention", [Q, K, V], {"attn_mask": BIAS}),
    ("scaled_dot_product_attention", [Q, K, V], {"attn_mask": BIAS[None, None, :1]}),
]


def for_torch(options: Mapping[str, Any]) -> dict[str, Any]:
    return {k: torch.tensor(v) if isinstance(v, Array) else v for k, v in options.items()}


def same_id(value: object) -> str:
    return str(value) if not isinstance(value, Mapping) else ",".join(value)


@pytest.mark.parametrize(("name", "shapes", "options"), SAME, ids=same_id)
def test_op_equals_pytorchs(
    name: str, shapes: Sequence[tuple[int, ...]], options: Mapping[str, Any]
) -> None:
    ours, theirs = getattr(ops, name), getattr(F if hasattr(F, name) else torch, name)

    assert_equal_to_torch(
        lambda *inputs: ours(*inputs, **options),
        lambda *inputs: theirs(*inputs, **for_torch(options)),
        values(shapes),
    )


PAIRS: dict[str, tuple[Callable[..., Tensor], Callable[..., Any], list[tuple[int, ...]]]] = {
    "log": (ops.log, lambda x: torch.log(x), [(3, 4)]),
    "sqrt": (ops.sqrt, lambda x: torch.sqrt(x), [(3, 4)]),
    "pow": (ops.pow, lambda a, b: torch.pow(a, b), [(3, 1), (4,)]),
    "max": (lambda x: ops.max(x, (0, 2)), lambda x: torch.amax(x, (0, 2)), [(2, 3, 4)]),
    "concatenate": (
        lambda *ts: ops.concatenate(ts, 1),
        lambda *ts: torch.cat(ts, 1),
        [(2, 3), (2, 1), (2, 2)],
    ),
    "layer_norm with weight and bias": (
        lambda x, w, b: ops.layer_norm(x, (4,), w, b),
        lambda x, w, b: F.layer_norm(x, (4,), w, b),
        [(2, 3, 4), (4,), (4,)],
    ),
    "index by lists": (
        lambda x: x[Tensor([0, 2, 2, 2]), :, Tensor([1, 1, 1, 0])],
        lambda x: x[[0, 2, 2, 2], :, [1, 1, 1, 0]],
        [(3, 2, 2)],
    ),
    "index by slices": (lambda x: x[1:, None, ::2], lambda x: x[1:, None, ::2], [(3, 5)]),
    "embedding": (
        lambda w: ops.embedding(Tensor(TOKENS), w),
        lambda w: F.embedding(torch.tensor(TOKENS), w),
        [(5, 3)],
    ),
    "cross_entropy": (
        lambda x: ops.cross_entropy(x, Tensor(CLASSES[0])),
        lambda x: F.cross_entropy(x, torch.tensor(CLASSES[0])),
        [(4, 3)],
    ),
    "cross_entropy at several places": (
        lambda x: ops.cross_entropy(x, Tensor(CLASSES)),
        lambda x: F.cross_entropy(x, torch.tensor(CLASSES)),
        [(2, 3, 4)],
    ),
    "cross_entropy of images, summed": (
        lambda x: ops.cross_entropy(x, Tensor(CLASSES.reshape(2, 2, 2)), "sum"),
        lambda x: F.cross_entropy(x, torch.tensor(CLASSES.reshape(2, 2, 2)), reduction="sum"),
        [(2, 3, 2, 2)],
    ),
}


@pytest.mark.parametrize(("ours", "theirs", "shapes"), PAIRS.values(), ids=PAIRS)
def test_op_equals_pytorchs_of_another_name_or_form(
    ours: Callable[..., Tensor], theirs: Callable[..., Any], shapes: list[tuple[int, ...]]
) -> None:
    assert_equal_to_torch(ours, theirs, values(shapes, positive=True))


def test_every_op_is_compared_with_pytorchs() -> None:
    compared = {name for name, _, _ in SAME} | {name.split()[0] for name in PAIRS}

    # Dropout draws different numbers in each engine; its scale is tested with the layers.
    assert compared == set(ops.__all__) - {"Key", "dropout"}


@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (2, 1), (3, 1)])
def test_max_pool_breaks_ties_as_pytorch_does(stride: int, padding: int) -> None:
    image = np.random.default_rng(0).integers(0, 2, (2, 2, 7, 8)).astype(np.float64)

    assert_equal_to_torch(
        lambda x: ops.max_pool2d(x, 3, stride, padding),
        lambda x: F.max_pool2d(x, 3, stride, padding),
        [image],
    )


def test_kinks_have_pytorchs_gradients() -> None:
    zeros, tied = np.zeros(3), np.array([[1.0, 2.0, 2.0], [0.0, 0.0, 0.0]])
    exponents = np.array([0.0, 1.0, 2.0])

    assert_equal_to_torch(ops.relu, torch.relu, [zeros])
    assert_equal_to_torch(lambda x: ops.max(x, 1), lambda x: torch.amax(x, 1), [tied])
    assert_equal_to_torch(ops.pow, torch.pow, [zeros, exponents])


def test_fully_masked_query_is_pytorchs() -> None:
    mask = MASK & np.array([[True], [False], [True]])

    assert_equal_to_torch(
        lambda *t: ops.scaled_dot_product_attention(*t, attn_mask=mask),
        lambda *t: F.scaled_dot_product_attention(*t, attn_mask=torch.tensor(mask)),
        values([Q, K, V]),
    )


# --- layers ---------------------------------------------------------------------------


class TorchAttention(torch.nn.Module):
    """PyTorch's own attention behind four projections with our names."""

    def __init__(self, width: int, heads: int, is_causal: bool) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (torch.nn.Linear(width, width) for _ in "qkvo")
        self.attention = torch.nn.MultiheadAttention(width, heads, batch_first=True)
        self.is_causal = is_causal

    def forward(self, x: Any) -> Any:
        parts = (self.query, self.key, self.value)
        mask = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
        return F.multi_head_attention_forward(
            *[x.transpose(0, 1)] * 3, x.shape[2], self.attention.num_heads,
            torch.cat([part.weight for part in parts]), torch.cat([part.bias for part in parts]),
            None, None, False, 0.0, self.out.weight, self.out.bias,
            need_weights=False, attn_mask=mask if self.is_causal else None,
        )[0].transpose(0, 1)  # fmt: skip


LAYERS: dict[str, tuple[nn.Module, Any, tuple[int, ...]]] = {
    "Linear": (nn.Linear(4, 3), torch.nn.Linear(4, 3), (2, 5, 4)),
    "Conv2d": (
        nn.Conv2d(2, 3, 3, stride=2, padding=1),
        torch.nn.Conv2d(2, 3, 3, stride=2, padding=1),
        (2, 2, 6, 7),
    ),
    "MaxPool2d": (nn.MaxPool2d(2), torch.nn.MaxPool2d(2), (2, 2, 5, 6)),
    "AvgPool2d": (nn.AvgPool2d(3, 1, 1), torch.nn.AvgPool2d(3, 1, 1), (2, 2, 5, 6)),
    "LayerNorm": (nn.LayerNorm((3, 4)), torch.nn.LayerNorm((3, 4)), (2, 3, 4)),
    "ReLU": (nn.ReLU(), torch.nn.ReLU(), (3, 4)),
    "GELU": (nn.GELU(), torch.nn.GELU(), (3, 4)),
    "GELU by tanh": (nn.GELU("tanh"), torch.nn.GELU("tanh"), (3, 4)),
    "Tanh": (nn.Tanh(), torch.nn.Tanh(), (3, 4)),
    "Sigmoid": (nn.Sigmoid(), torch.nn.Sigmoid(), (3, 4)),
    "Softmax": (nn.Softmax(1), torch.nn.Softmax(1), (2, 3, 4)),
    "Flatten": (nn.Flatten(), torch.nn.Flatten(), (2, 3, 4)),
    "Dropout": (nn.Dropout().eval(), torch.nn.Dropout().eval(), (3, 4)),
    "MultiHeadAttention": (nn.MultiHeadAttention(6, 2), TorchAttention(6, 2, False), (2, 4, 6)),
    "MultiHeadAttention, causal": (
        nn.MultiHeadAttention(6, 3, is_causal=True),
        TorchAttention(6, 3, True),
        (2, 4, 6),
    ),
}


def share_float64_weights(pairs: Sequence[tuple[nn.Parameter, Any]]) -> None:
    """Give both the same random numbers, away from where layers start."""
    rng = np.random.default_rng(2)
    for parameter, torch_parameter in pairs:
        parameter.data = rng.standard_normal(parameter.shape)
        torch_parameter.data = torch.tensor(parameter.data)


@pytest.mark.parametrize(("ours", "theirs", "shape"), LAYERS.values(), ids=LAYERS)
def test_layer_equals_pytorchs(ours: nn.Module, theirs: Any, shape: tuple[int, ...]) -> None:
    named = dict(theirs.named_parameters())
    pairs = [(parameter, named[name]) for name, parameter in ours.named_parameters()]
    share_float64_weights(pairs)

    assert_equal_to_torch(ours, theirs, values([shape]))
    for parameter, torch_parameter in pairs:
        assert parameter.grad == pytest.approx(torch_parameter.grad.numpy())


def test_embedding_layer_equals_pytorchs() -> None:
    ours, theirs = nn.Embedding(5, 3), torch.nn.Embedding(5, 3)
    share_float64_weights([(ours.weight, theirs.weight)])
    gradient = np.random.default_rng(1).standard_normal((2, 3, 3))

    ours(Tensor(TOKENS)).backward(gradient)
    theirs(torch.tensor(TOKENS)).backward(torch.tensor(gradient))

    assert ours.weight.grad == pytest.approx(theirs.weight.grad.numpy())


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("loss", ["CrossEntropyLoss", "BCEWithLogitsLoss", "MSELoss"])
def test_loss_equals_pytorchs(loss: str, reduction: str) -> None:
    ours = getattr(nn, loss)(reduction)
    theirs = getattr(torch.nn, loss)(reduction=reduction)
    target = CLASSES[0] if loss == "CrossEntropyLoss" else np.tile([0.0, 1.0, 0.25], (4, 1))

    assert_equal_to_torch(
        lambda x: ours(x, Tensor(target)),
        lambda x: theirs(x, torch.tensor(target)),
        values([(4, 3)]),
    )


# --- optimizers -----------------------------------------------------------------------

OPTIMIZERS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.2}),
    ("Adam", {}),
    ("Adam", {"lr": 0.1, "betas": (0.7, 0.9), "eps": 1e-3, "weight_decay": 0.2}),
    ("AdamW", {}),
    ("AdamW", {"lr": 0.1, "weight_decay": 0.5}),
]


@pytest.mark.parametrize("max_norm", [None, 0.5], ids=["unclipped", "clipped"])
@pytest.mark.parametrize(("name", "options"), OPTIMIZERS, ids=str)
def test_optimizer_equals_pytorchs(
    name: str, options: dict[str, Any], max_norm: float | None
) -> None:
    ours = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4))
    theirs = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Tanh(), torch.nn.Linear(4, 4))
    pairs = list(zip(ours.parameters(), theirs.parameters(), strict=True))
    share_float64_weights(pairs)
    x, target = values([(5, 4), (5, 4)])
    optimizer = getattr(optim, name)(ours.parameters(), **options)
    oracle = getattr(torch.optim, name)(theirs.parameters(), **options)

    for _ in range(6):
        optimizer.zero_grad()
        oracle.zero_grad()
        ops.mse_loss(ours(Tensor(x)), Tensor(target), "sum").backward()
        F.mse_loss(theirs(torch.tensor(x)), torch.tensor(target), reduction="sum").backward()
        if max_norm is not None:
            norm = optim.clip_grad_norm(ours.parameters(), max_norm)
            assert norm == pytest.approx(
                torch.nn.utils.clip_grad_norm_(theirs.parameters(), max_norm).item()
            )
        optimizer.step()
        oracle.step()

    for parameter, torch_parameter in pairs:
        assert parameter.data == pytest.approx(torch_parameter.detach().numpy())
