"""The closed forms of ops, against numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.oracles.ops import DEFAULTS, LOSSES, OPS

A = np.array([[1.0, 2.0], [3.0, 4.0]])
B = np.array([[5.0, 6.0], [7.0, 8.0]])


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (A, B, [[19.0, 22.0], [43.0, 50.0]]),
        (A[0], B, [19.0, 22.0]),
        (A, B[0], [17.0, 39.0]),
        (A[0], B[0], 17.0),
        (A[None], np.stack([B, 2 * B]), [[[19, 22], [43, 50]], [[38, 44], [86, 100]]]),
    ],
)
def test_matmul_takes_vectors_matrices_and_batches(
    left: np.ndarray, right: np.ndarray, expected: object
) -> None:
    np.testing.assert_array_equal(OPS["matmul"][0](left, right), expected)


def test_conv2d_has_both_orientations_cross_correlation_first() -> None:
    x, weight = np.array([[[[1.0, 2.0, 3.0]]]]), np.array([[[[10.0, 1.0]]]])
    correlated, convolved = (formula(x, weight) for formula in OPS["conv2d"])
    assert correlated.ravel().tolist() == [12.0, 23.0]
    assert convolved.ravel().tolist() == [21.0, 32.0]


def test_layer_norm_has_both_places_for_eps_inside_first() -> None:
    x = np.array([[-1.0, 1.0]])  # variance 1
    inside, outside = (formula(x, (2,), eps=3.0) for formula in OPS["layer_norm"])
    np.testing.assert_allclose(inside, [[-0.5, 0.5]])
    np.testing.assert_allclose(outside, [[-0.25, 0.25]])


def test_layer_norm_scales_and_then_shifts() -> None:
    weight, bias = np.array([2.0, 3.0]), np.array([0.5, -0.5])
    got = OPS["layer_norm"][0](np.array([[-1.0, 1.0]]), (2,), weight, bias, eps=0.0)
    np.testing.assert_allclose(got, [[-1.5, 2.5]])


@pytest.mark.parametrize(("p", "training", "factor"), [(0.5, False, 1.0), (0.0, True, 1.0),
                                                       (1.0, True, 0.0)])  # fmt: skip
def test_dropout_is_known_where_nothing_is_drawn(p: float, training: bool, factor: float) -> None:
    np.testing.assert_array_equal(OPS["dropout"][0](A, p=p, training=training), factor * A)


def test_dropout_is_not_known_where_it_is_drawn() -> None:
    with pytest.raises(NotImplementedError, match="drawn"):
        OPS["dropout"][0](A, p=0.5, training=True)


def test_cross_entropy_of_equal_logits_is_the_logarithm_of_their_number() -> None:
    logits, classes = np.zeros((3, 5)), np.array([0, 4, 2])
    assert OPS["cross_entropy"][0](logits, classes) == pytest.approx(math.log(5))
    assert OPS["cross_entropy"][0](logits, classes, "sum") == pytest.approx(3 * math.log(5))


def test_integers_are_computed_with_as_floats() -> None:
    np.testing.assert_allclose(OPS["div"][0](np.array([1]), np.array([2])), [0.5])
    np.testing.assert_allclose(OPS["softmax"][0](np.array([0, 0])), [0.5, 0.5])


@pytest.mark.parametrize(
    ("name", "arguments", "shape"),
    [
        ("flatten", {}, (24,)),
        ("flatten", {"start_dim": 1}, (2, 12)),
        ("flatten", {"start_dim": -3, "end_dim": 1}, (6, 4)),
        ("permute", {"dims": (2, 0, 1)}, (4, 2, 3)),
        ("transpose", {"dim0": 0, "dim1": -1}, (4, 3, 2)),
        ("reshape", {"shape": (4, -1)}, (4, 6)),
        ("sum", {"dim": (0, -1), "keepdim": True}, (1, 3, 1)),
        ("max", {"dim": None}, ()),
    ],
)
def test_shapes_are_those_of_pytorch(
    name: str, arguments: dict[str, object], shape: tuple[int, ...]
) -> None:
    assert OPS[name][0](np.zeros((2, 3, 4)), **arguments).shape == shape


def test_flatten_of_one_number_is_a_vector_of_one() -> None:
    assert OPS["flatten"][0](np.array(3.0)).shape == (1,)


def test_methods_without_arguments_may_mean_what_libraries_have_them_mean() -> None:
    x = np.arange(24.0).reshape(2, 3, 4)
    assert [formula(x).shape for formula in DEFAULTS["transpose"]] == [(2, 4, 3), (4, 3, 2)]
    last, whole = (formula(x) for formula in DEFAULTS["softmax"])
    np.testing.assert_allclose(last.sum(axis=-1), np.ones((2, 3)))
    np.testing.assert_allclose(whole.sum(), 1.0)
    assert {name: formulas[0](x).shape for name, formulas in DEFAULTS.items()
            if name in ("sum", "mean", "max", "flatten")} == {
        "sum": (), "mean": (), "max": (), "flatten": (24,)
    }  # fmt: skip


def test_every_loss_is_an_op_that_is_known() -> None:
    assert set(LOSSES.values()) <= OPS.keys()


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
