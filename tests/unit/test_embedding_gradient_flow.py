"""Gradient flow through Embedding and SinusoidalPositions."""

from __future__ import annotations

import numpy as np
import pytest

from harness.autograd import GraphError, ShapeError, Tensor, nn, ops

TOKENS = np.array([[1, 3, 3], [0, 1, 3]])


@pytest.fixture
def table() -> nn.Embedding:
    return nn.Embedding(5, 4, rng=np.random.default_rng(0))


# --- Embedding ------------------------------------------------------------------------


def test_embedding_has_backward_function(table: nn.Embedding) -> None:
    output = table(Tensor(TOKENS))

    assert hasattr(output, "_grad_fn"), "Output should have _grad_fn"
    assert output._grad_fn is not None
    assert type(output._grad_fn).__name__ == "EmbeddingBackward"


def test_embedding_weight_gradient_flow(table: nn.Embedding) -> None:
    table.weight.requires_grad = True

    table(Tensor(TOKENS)).sum().backward()

    assert table.weight.grad is not None
    assert table.weight.grad.shape == (5, 4)
    assert not np.allclose(table.weight.grad.data, 0)


def test_embedding_looks_up_the_rows_in_order(table: nn.Embedding) -> None:
    output = table(Tensor(TOKENS))

    assert output.shape == (2, 3, 4)
    assert output.data[1, 2].tolist() == table.weight.data[3].tolist()
    assert output.data[0, 0].tolist() == table.weight.data[1].tolist()


def test_embedding_weight_gradient_counts_every_use(table: nn.Embedding) -> None:
    table(Tensor(TOKENS)).sum().backward()

    assert table.weight.grad[:, 0].tolist() == [1.0, 2.0, 0.0, 3.0, 0.0]


def test_embedding_rows_of_unused_tokens_get_exact_zeros(table: nn.Embedding) -> None:
    (table(Tensor(TOKENS)) * 1e6).sum().backward()

    assert table.weight.grad[[2, 4]].tolist() == [[0.0] * 4] * 2


def test_embedding_gradient_lands_in_the_row_of_its_token(table: nn.Embedding) -> None:
    weights = np.arange(24.0).reshape(2, 3, 4)

    (table(Tensor(TOKENS)) * weights).sum().backward()

    # Token 1 stands at (0, 0) and (1, 1), token 0 at (1, 0).
    assert table.weight.grad[1] == pytest.approx(weights[0, 0] + weights[1, 1])
    assert table.weight.grad[0] == pytest.approx(weights[1, 0])


def test_embedding_made_from_data_has_no_graph(table: nn.Embedding) -> None:
    """The testing guide's issue 1: `.data` in a fresh tensor loses the gradient, aloud."""
    bypassed = Tensor(table.weight.data[TOKENS])

    assert bypassed._grad_fn is None
    with pytest.raises(GraphError, match="has no graph"):
        bypassed.sum().backward()


def test_embedding_chain_reaches_the_table_through_a_linear_layer(table: nn.Embedding) -> None:
    model = nn.Sequential(table, nn.SinusoidalPositions(4), nn.Linear(4, 2))

    model(Tensor(TOKENS)).sum().backward()

    assert not np.allclose(table.weight.grad.data, 0)


def test_embedding_shared_with_the_output_layer_adds_both_gradients(table: nn.Embedding) -> None:
    table.weight.data = table.weight.data.astype(np.float64)
    hidden = table(Tensor([2]))

    ops.linear(hidden, table.weight).sum().backward()

    # sum_v <w_2, w_v>: every row gets w_2 as a weight, and row 2 the sum of all rows as input.
    expected = np.tile(table.weight.data[2], (5, 1))
    expected[2] += table.weight.data.sum(axis=0)
    assert table.weight.grad == pytest.approx(expected)


@pytest.mark.parametrize(
    ("indices", "error", "message"),
    [
        ([0.0, 1.0], TypeError, "embedding: indices must be integers, got float32"),
        ([0, 5], IndexError, "embedding: indices from 0 to 5 do not fit a table of 5 rows"),
        ([-1, 2], IndexError, "embedding: indices from -1 to 2 do not fit a table of 5 rows"),
    ],
)
def test_embedding_rejects_indices_outside_the_table(
    table: nn.Embedding, indices: list, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        table(Tensor(indices))


# --- SinusoidalPositions --------------------------------------------------------------


def test_positions_have_backward_function() -> None:
    output = nn.SinusoidalPositions(4)(Tensor(np.zeros((1, 3, 4)), requires_grad=True))

    assert output._grad_fn is not None
    assert type(output._grad_fn).__name__ == "AddBackward"


def test_positions_pass_the_gradient_on_unchanged(rng: np.random.Generator) -> None:
    x = Tensor(rng.standard_normal((2, 3, 4)), requires_grad=True)
    gradient = rng.standard_normal((2, 3, 4))

    nn.SinusoidalPositions(4)(x).backward(gradient)

    assert x.grad.tolist() == gradient.tolist()


def test_positions_are_interleaved_sines_and_cosines() -> None:
    output = nn.SinusoidalPositions(4)(Tensor(np.zeros((2, 3, 4))))

    # Vaswani et al. 2017, section 3.5: wavelengths 2 pi 10000^(2i / 4) for i = 0 and 1.
    expected = [[np.sin(p), np.cos(p), np.sin(p / 100), np.cos(p / 100)] for p in range(3)]
    assert output.data == pytest.approx(np.array([expected, expected]))
    assert nn.SinusoidalPositions(4).parameters() == []


def test_positions_keep_the_dtype() -> None:
    positions = nn.SinusoidalPositions(4)

    assert positions(Tensor(np.zeros((1, 3, 4)))).dtype == np.float64
    assert positions(Tensor(np.zeros((1, 3, 4), dtype=np.float32))).dtype == np.float32


@pytest.mark.parametrize("shape", [(1, 9, 4), (1, 3, 6), (1, 3, 1)])
def test_positions_reject_what_does_not_fit(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"SinusoidalPositions: x \(1, .* a table of \(8, 4\)"):
        nn.SinusoidalPositions(4, max_len=8)(Tensor(np.zeros(shape)))


def test_positions_reject_an_odd_width() -> None:
    with pytest.raises(ShapeError, match="SinusoidalPositions: embedding_dim 5 must be even"):
        nn.SinusoidalPositions(5)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
