"""Layers: their parameters and names, their modes, their random starts, their shapes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from harness.autograd import ShapeError, Tensor, nn, ops


class Tangled(nn.Module):
    """Parameters and modules in every place where they may be, one of each twice."""

    def __init__(self) -> None:
        self.name = "tangled"
        self.scale = nn.Parameter([1.0])
        self.first = nn.Linear(2, 3)
        self.towers = [nn.Linear(3, 3, bias=False), nn.LayerNorm(3)]
        self.again = self.first
        self.same_scale = self.scale
        self.last = nn.Sequential(nn.Linear(3, 2), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.first(x)) * self.scale


# --- parameters -----------------------------------------------------------------------


def test_named_parameters_come_in_order_and_once() -> None:
    assert [name for name, _ in Tangled().named_parameters()] == [
        "scale",
        "first.weight",
        "first.bias",
        "towers.0.weight",
        "towers.1.weight",
        "towers.1.bias",
        "last.layers.0.weight",
        "last.layers.0.bias",
    ]


def test_named_parameters_take_a_prefix() -> None:
    names = [name for name, _ in nn.MultiHeadAttention(4, 2).named_parameters("attention.")]

    parts = [
        f"{part}.{kind}" for part in ("query", "key", "value", "out") for kind in ("weight", "bias")
    ]
    assert names == [f"attention.{part}" for part in parts]


def test_parameters_are_those_with_names() -> None:
    model = Tangled()

    assert model.parameters() == [parameter for _, parameter in model.named_parameters()]
    assert all(type(parameter) is nn.Parameter for parameter in model.parameters())


def test_parameters_are_float32_leaves_that_need_a_gradient() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Embedding(3, 2), nn.LayerNorm(2), nn.Linear(2, 2))

    assert {parameter.dtype for parameter in model.parameters()} == {np.dtype(np.float32)}
    assert all(p.requires_grad and p._grad_fn is None for p in model.parameters())


@pytest.mark.parametrize(
    ("layer", "shapes"),
    [
        (nn.Linear(4, 3), {"weight": (3, 4), "bias": (3,)}),
        (nn.Linear(4, 3, bias=False), {"weight": (3, 4)}),
        (nn.Conv2d(2, 5, 3), {"weight": (5, 2, 3, 3), "bias": (5,)}),
        (nn.Conv2d(2, 5, (1, 3), bias=False), {"weight": (5, 2, 1, 3)}),
        (nn.LayerNorm(4), {"weight": (4,), "bias": (4,)}),
        (nn.LayerNorm((3, 4)), {"weight": (3, 4), "bias": (3, 4)}),
        (nn.Embedding(7, 2), {"weight": (7, 2)}),
        (nn.SinusoidalPositions(4), {}),
        (nn.MaxPool2d(2), {}),
        (nn.Dropout(), {}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_parameters_have_pytorchs_shapes(
    layer: nn.Module, shapes: dict[str, tuple[int, ...]]
) -> None:
    assert {name: p.shape for name, p in layer.named_parameters()} == shapes


def test_zero_grad_leaves_no_gradient() -> None:
    layer = nn.Linear(2, 1)
    layer(Tensor([[1.0, 2.0]])).sum().backward()

    layer.zero_grad()

    assert (layer.weight.grad, layer.bias.grad) == (None, None)


# --- containers -----------------------------------------------------------------------


def test_sequential_applies_its_layers_in_order() -> None:
    x = Tensor(np.array([[-1.0, 2.0]]))

    assert nn.Sequential(nn.Flatten(), nn.ReLU(), nn.Softmax())(x).data == pytest.approx(
        np.array([[1.0, np.exp(2.0)]]) / (1.0 + np.exp(2.0))
    )


def test_sequential_of_nothing_gives_its_input_back() -> None:
    x = Tensor([1.0])

    assert nn.Sequential()(x) is x


def test_residual_adds_its_input_to_the_last_output() -> None:
    x = Tensor(np.array([-1.0, 2.0]))

    assert nn.Residual(nn.ReLU(), nn.ReLU())(x).data.tolist() == [-1.0, 4.0]


def test_module_without_forward_says_so() -> None:
    with pytest.raises(NotImplementedError, match=r"Module has no forward\(x\)"):
        nn.Module()(Tensor([1.0]))


# --- modes and dropout ----------------------------------------------------------------


def test_train_and_eval_reach_every_module_inside() -> None:
    model = nn.Sequential(nn.Residual(nn.Dropout()), Tangled())
    modules = [module for _, module in model.named_modules()]

    assert model.eval() is model
    assert [module.training for module in modules] == [False] * len(modules)
    assert model.train() is model
    assert [module.training for module in modules] == [True] * len(modules)
    assert nn.Dropout().training is True


def test_dropout_lets_everything_pass_in_evaluation() -> None:
    x = Tensor(np.ones(100))

    assert nn.Dropout(0.5).eval()(x) is x
    assert ops.dropout(x, 0.5, training=False) is x


@pytest.mark.parametrize(("p", "expected"), [(0.0, 1.0), (1.0, 0.0)])
def test_dropout_of_nothing_and_of_everything(p: float, expected: float) -> None:
    x = Tensor(np.ones(10), requires_grad=True)

    y = nn.Dropout(p)(x)
    y.sum().backward()

    assert y.data.tolist() == [expected] * 10
    assert x.grad.tolist() == [expected] * 10


def test_dropout_draws_afresh_at_every_call_and_again_from_the_same_seed() -> None:
    x = Tensor(np.ones(100))
    first, second = (nn.Dropout(0.5, np.random.default_rng(3)) for _ in range(2))

    draws = [first(x).data.tolist() for _ in range(2)]

    assert draws[0] != draws[1]
    assert [second(x).data.tolist() for _ in range(2)] == draws


def test_dropout_keeps_the_expected_value() -> None:
    y = nn.Dropout(0.2, np.random.default_rng(0))(Tensor(np.ones(10_000)))

    dropped = np.count_nonzero(y.data == 0.0)
    # A binomial count: mean 2000, standard deviation 40; five of them are never met by chance.
    assert abs(dropped - 2000) < 200
    assert set(y.data[y.data != 0.0]) == {1.0 / 0.8}


def test_dropout_without_rng_draws_from_a_stream_of_its_own() -> None:
    x, before = Tensor(np.ones(100)), np.random.get_state()[1].tolist()
    draws = [op(x).data.tolist() for op in (ops.dropout, ops.dropout, nn.Dropout(), nn.Dropout())]

    assert all(a != b for i, a in enumerate(draws) for b in draws[:i])
    assert np.random.get_state()[1].tolist() == before


# --- random starts --------------------------------------------------------------------

RANDOM: list[Callable[[np.random.Generator | None], nn.Module]] = [
    lambda rng: nn.Linear(4, 3, rng=rng),
    lambda rng: nn.Conv2d(2, 3, 3, rng=rng),
    lambda rng: nn.Embedding(5, 4, rng=rng),
    lambda rng: nn.MultiHeadAttention(4, 2, rng=rng),
]
every_random_layer = pytest.mark.parametrize(
    "make", RANDOM, ids=[type(make(None)).__name__ for make in RANDOM]
)


def weights(layer: nn.Module) -> list[list]:
    return [parameter.data.tolist() for parameter in layer.parameters()]


@every_random_layer
def test_layers_without_rng_differ_and_leave_the_global_state_alone(
    make: Callable[[np.random.Generator | None], nn.Module],
) -> None:
    before = np.random.get_state()[1].tolist()

    first, second = weights(make(None)), weights(make(None))

    assert all(a != b for a, b in zip(first, second, strict=True))
    assert np.random.get_state()[1].tolist() == before


@every_random_layer
def test_layers_of_one_seed_have_the_same_weights(
    make: Callable[[np.random.Generator | None], nn.Module],
) -> None:
    first, second, other = (weights(make(np.random.default_rng(seed))) for seed in (5, 5, 6))

    assert first == second
    assert all(a != b for a, b in zip(first, other, strict=True))


def test_parameters_of_one_layer_are_drawn_apart() -> None:
    drawn = weights(nn.MultiHeadAttention(8, 2, rng=np.random.default_rng(0)))

    assert all(a != b for i, a in enumerate(drawn) for b in drawn[:i])


@pytest.mark.parametrize(
    ("layer", "fan_in"),
    [
        (nn.Linear(100, 50, rng=np.random.default_rng(0)), 100),
        (nn.Conv2d(4, 50, (5, 5), rng=np.random.default_rng(0)), 100),
    ],
    ids=["Linear", "Conv2d"],
)
def test_weights_are_uniform_within_one_over_the_root_of_fan_in(
    layer: nn.Linear | nn.Conv2d, fan_in: int
) -> None:
    scaled = layer.weight.data * np.sqrt(fan_in)  # 5000 numbers

    assert np.abs(scaled).max() <= 1.0 + np.finfo(np.float32).eps
    assert np.abs(layer.bias.data).max() <= 0.1
    # The standard deviation of a uniform number in +-1; of 5000, its own is 0.004.
    assert abs(scaled.std() - 3.0**-0.5) < 0.02
    assert abs(scaled.mean()) < 0.05


def test_embedding_weights_are_standard_normal() -> None:
    drawn = nn.Embedding(100, 50, np.random.default_rng(0)).weight.data

    assert abs(drawn.mean()) < 0.1
    assert abs(drawn.std() - 1.0) < 0.1


def test_layernorm_starts_as_the_plain_normalisation() -> None:
    layer = nn.LayerNorm(3)

    assert (layer.weight.data.tolist(), layer.bias.data.tolist()) == ([1.0] * 3, [0.0] * 3)


# --- shapes and errors ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (nn.Linear(4, 3), (2, 5, 4), (2, 5, 3)),
        (nn.Linear(4, 3), (4,), (3,)),
        (nn.Conv2d(2, 3, 3), (1, 2, 6, 8), (1, 3, 4, 6)),
        (nn.Conv2d(2, 3, (3, 1), stride=(2, 3), padding=(1, 0)), (1, 2, 6, 8), (1, 3, 3, 3)),
        (nn.MaxPool2d(2), (1, 2, 5, 8), (1, 2, 2, 4)),
        (nn.MaxPool2d(3, stride=2, padding=1), (1, 2, 6, 8), (1, 2, 3, 4)),
        (nn.AvgPool2d((1, 3)), (1, 2, 5, 8), (1, 2, 5, 2)),
        (nn.Flatten(), (2, 3, 4, 5), (2, 60)),
        (nn.Flatten(0, 1), (2, 3, 4), (6, 4)),
        (nn.LayerNorm((3, 4)), (2, 3, 4), (2, 3, 4)),
        (nn.Softmax(dim=1), (2, 3, 4), (2, 3, 4)),
        (nn.Tanh(), (2, 3), (2, 3)),
        (nn.Sigmoid(), (2, 3), (2, 3)),
        (nn.GELU(), (), ()),
        (nn.Dropout(), (2, 3), (2, 3)),
        (nn.SinusoidalPositions(4), (2, 7, 4), (2, 7, 4)),
        (nn.MultiHeadAttention(6, 3), (2, 5, 6), (2, 5, 6)),
        (nn.Residual(nn.Linear(4, 4)), (2, 4), (2, 4)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else str(value),
)
def test_layer_gives_the_documented_shape(
    layer: nn.Module, shape: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    assert layer(Tensor(np.ones(shape))).shape == expected


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.Dropout(1.5), ValueError, "Dropout: p must be between 0 and 1, got 1.5"),
        (lambda: ops.dropout(Tensor([1.0]), -0.1), ValueError, "dropout: p must be .* got -0.1"),
        (lambda: nn.Linear(4, 3)(Tensor(np.ones((2, 5)))), ShapeError, r"linear: .*\(2, 5\)"),
        (lambda: nn.LayerNorm(4)(Tensor(np.ones((2, 5)))), ShapeError, r"layer_norm: \(2, 5\)"),
        (lambda: nn.Flatten()(Tensor(np.ones(3))), ShapeError, r"flatten: \(3,\)"),
        (lambda: nn.MaxPool2d(3)(Tensor(np.ones((1, 1, 2, 2)))), ShapeError, "max_pool2d: "),
    ],
)
def test_layer_rejects_what_does_not_fit(
    call: Callable[[], object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        call()


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
