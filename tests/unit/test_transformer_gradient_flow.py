"""Gradient flow through attention, LayerNorm, residual connections and a whole block."""

from __future__ import annotations

import numpy as np
import pytest

from harness.autograd import ShapeError, Tensor, gradcheck, nn, ops


def attention(is_causal: bool = False) -> nn.MultiHeadAttention:
    return nn.MultiHeadAttention(8, 2, is_causal, np.random.default_rng(1))


def feed_forward(rng: np.random.Generator) -> nn.Sequential:
    return nn.Sequential(nn.Linear(8, 16, rng=rng), nn.GELU(), nn.Linear(16, 8, rng=rng))


def block() -> nn.Sequential:
    """A causal block in float64, off its starting point: at weight 1 LayerNorm hides faults."""
    rng = np.random.default_rng(2)
    layers = nn.Sequential(
        nn.Residual(nn.LayerNorm(8), nn.MultiHeadAttention(8, 2, True, rng)),
        nn.Residual(nn.LayerNorm(8), feed_forward(rng)),
    )
    for parameter in layers.parameters():
        parameter.data = parameter.data + 0.3 * rng.standard_normal(parameter.shape)
    return layers


@pytest.fixture
def x(rng: np.random.Generator) -> Tensor:
    return Tensor(rng.standard_normal((2, 5, 8)), requires_grad=True)


def assert_module_gradients_agree(module: nn.Module, x: np.ndarray) -> None:
    """Finite differences for the input and every parameter of a module."""
    slots = [
        (owner, name, value)
        for _, owner in module.named_modules()
        for name, value in vars(owner).items()
        if isinstance(value, nn.Parameter)
    ]

    def function(x: Tensor, *parameters: Tensor) -> Tensor:
        for (owner, name, _), parameter in zip(slots, parameters, strict=True):
            setattr(owner, name, parameter)
        return module(x)

    arrays = [x, *(parameter.data for _, _, parameter in slots)]
    comparisons = gradcheck(function, arrays, np.random.default_rng(3))
    assert len(comparisons) == 1 + len(slots)
    assert [c for c in comparisons if not c.agrees] == []


# --- scaled_dot_product_attention -----------------------------------------------------


def test_attention_op_passes_gradients_to_query_key_and_value(rng: np.random.Generator) -> None:
    inputs = [Tensor(rng.standard_normal((2, 4, 3)), requires_grad=True) for _ in range(3)]

    output = ops.scaled_dot_product_attention(*inputs)
    output.sum().backward()

    assert type(output._grad_fn).__name__ == "ScaledDotProductAttentionBackward"
    assert output._grad_fn.saved_tensors == tuple(inputs)
    for tensor in inputs:
        assert not np.allclose(tensor.grad.data, 0)


@pytest.mark.parametrize("is_causal", [False, True])
def test_attention_op_gradient_of_equal_scores_is_shared_evenly(is_causal: bool) -> None:
    query, key = Tensor(np.zeros((3, 2))), Tensor(np.zeros((3, 2)))
    value = Tensor(np.array([[3.0], [6.0], [9.0]]), requires_grad=True)

    output = ops.scaled_dot_product_attention(query, key, value, is_causal=is_causal)
    output.sum().backward()

    # Each query takes the mean of the values that it sees: all three, or those up to its own.
    means = [[3.0], [4.5], [6.0]] if is_causal else [[6.0], [6.0], [6.0]]
    shares = [[1 + 1 / 2 + 1 / 3], [1 / 2 + 1 / 3], [1 / 3]] if is_causal else [[1.0]] * 3
    assert output.data == pytest.approx(np.array(means))
    assert value.grad == pytest.approx(np.array(shares))


def test_attention_op_scale_is_the_root_of_the_width() -> None:
    query = Tensor(np.array([[2.0, 0.0, 0.0, 0.0]]))
    key = Tensor(np.array([[np.log(3.0), 0.0, 0.0, 0.0], [0.0, 5.0, 0.0, 0.0]]))
    value = Tensor(np.array([[4.0], [8.0]]))

    # Scores 2 ln 3 / sqrt(4) and 0, so weights 3/4 and 1/4.
    assert ops.scaled_dot_product_attention(query, key, value).item() == pytest.approx(5.0)


# --- MultiHeadAttention ---------------------------------------------------------------


def test_multiheadattention_has_backward_function(x: Tensor) -> None:
    output = attention()(x)

    assert output._grad_fn is not None
    assert type(output._grad_fn).__name__ == "LinearBackward"


@pytest.mark.parametrize("is_causal", [False, True])
def test_multiheadattention_parameter_gradient_flow(x: Tensor, is_causal: bool) -> None:
    layer = attention(is_causal)

    layer(x).sum().backward()

    zero = [n for n, p in layer.named_parameters() if p.grad is None or np.allclose(p.grad, 0)]
    assert len(layer.parameters()) == 8
    assert zero == ["key.bias"]


def test_multiheadattention_input_gradient_flow(x: Tensor) -> None:
    attention()(x).sum().backward()

    assert x.grad is not None
    assert not np.allclose(x.grad.data, 0)


def test_key_bias_gets_a_zero_gradient_by_mathematics(x: Tensor) -> None:
    """A key bias adds the same number to all scores of a query; softmax does not see it."""
    layer = attention()
    for parameter in layer.parameters():
        parameter.data = parameter.data.astype(np.float64)

    (layer(x) ** 2).sum().backward()

    assert layer.key.bias.grad is not None
    assert layer.key.bias.grad == pytest.approx(0.0)
    assert not np.allclose(layer.query.bias.grad, 0)


def test_causal_attention_passes_no_gradient_to_later_tokens(x: Tensor) -> None:
    seen = np.zeros((5, 5), dtype=bool)
    for i in range(5):
        x.grad = None
        attention(is_causal=True)(x)[0, i].sum().backward()
        seen[i] = np.any(x.grad[0] != 0, axis=-1)

    assert seen.tolist() == np.tri(5, dtype=bool).tolist()


def test_attention_passes_no_gradient_to_other_examples(x: Tensor) -> None:
    attention()(x)[0].sum().backward()

    assert np.any(x.grad[0] != 0)
    assert not np.any(x.grad[1] != 0)


@pytest.mark.parametrize("is_causal", [False, True])
def test_multiheadattention_agrees_with_finite_differences(x: Tensor, is_causal: bool) -> None:
    assert_module_gradients_agree(attention(is_causal), x.data)


def test_multiheadattention_equals_its_heads_one_by_one(x: Tensor) -> None:
    layer = attention()
    query, key, value = (f(x).data for f in (layer.query, layer.key, layer.value))
    heads = []
    for head in (slice(0, 4), slice(4, 8)):
        scores = query[..., head] @ key[..., head].transpose(0, 2, 1) / np.sqrt(4)
        weights = np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True)
        heads.append(weights @ value[..., head])

    expected = np.concatenate(heads, axis=-1) @ layer.out.weight.data.T + layer.out.bias.data

    assert layer(x).data == pytest.approx(expected)


@pytest.mark.parametrize("heads", [0, 3])
def test_multiheadattention_rejects_heads_that_do_not_divide_the_width(heads: int) -> None:
    with pytest.raises(ShapeError, match=f"embed_dim 8 cannot be split into {heads} heads"):
        nn.MultiHeadAttention(8, heads)


def test_multiheadattention_rejects_an_input_without_a_batch() -> None:
    with pytest.raises(ShapeError, match=r"expected \(N, T, embed_dim\), got \(5, 8\)"):
        attention()(Tensor(np.zeros((5, 8))))


# --- LayerNorm ------------------------------------------------------------------------


def test_layernorm_has_backward_function(x: Tensor) -> None:
    output = nn.LayerNorm(8)(x)

    assert output._grad_fn is not None
    assert type(output._grad_fn).__name__ == "LayerNormBackward"


def test_layernorm_parameter_gradient_flow(x: Tensor) -> None:
    layer = nn.LayerNorm(8)

    layer(x).sum().backward()

    assert not np.allclose(layer.weight.grad.data, 0)
    assert layer.bias.grad.tolist() == [10.0] * 8  # once for each of the 2 x 5 rows


def test_layernorm_input_gradient_flow(x: Tensor, rng: np.random.Generator) -> None:
    # A plain sum of normalised rows is 0 whatever x is: only a weighted one has a gradient.
    (nn.LayerNorm(8)(x) * rng.standard_normal(8)).sum().backward()

    assert x.grad is not None
    assert not np.allclose(x.grad.data, 0)


def test_layernorm_input_gradient_of_a_plain_sum_is_zero_by_mathematics(x: Tensor) -> None:
    nn.LayerNorm(8)(x).sum().backward()

    assert x.grad == pytest.approx(0.0)


# --- residual connections and the block -----------------------------------------------


def test_residual_adds_the_gradient_of_its_shortcut() -> None:
    x = Tensor(np.array([[1.0, 2.0]]), requires_grad=True)
    inner = nn.Linear(2, 2, bias=False)
    inner.weight.data = np.array([[0.0, 3.0], [5.0, 0.0]])

    output = nn.Residual(inner)(x)
    output.sum().backward()

    assert output.data.tolist() == [[7.0, 7.0]]
    assert x.grad.tolist() == [[6.0, 4.0]]  # 1 plus the column sum of the weight


def test_feed_forward_parameter_gradient_flow(x: Tensor) -> None:
    layers = feed_forward(np.random.default_rng(0))

    layers(x).sum().backward()

    assert len(layers.parameters()) == 4
    assert all(not np.allclose(p.grad, 0) for p in layers.parameters())
    assert not np.allclose(x.grad.data, 0)


def test_block_reaches_every_parameter_and_the_embedding_below() -> None:
    table = nn.Embedding(6, 8, np.random.default_rng(0))
    model = nn.Sequential(table, nn.SinusoidalPositions(8), block(), nn.LayerNorm(8))

    (model(Tensor([[0, 1, 2], [2, 4, 4]])) ** 2).mean().backward()

    largest = max(np.abs(p.grad).max() for p in model.parameters())
    zero = [n for n, p in model.named_parameters() if np.allclose(p.grad / largest, 0)]
    assert len(model.parameters()) == 1 + 2 + 8 + 2 + 4 + 2
    assert zero == ["layers.2.layers.0.layers.1.key.bias"]


def test_block_agrees_with_finite_differences(x: Tensor) -> None:
    assert_module_gradients_agree(block(), x.data)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
