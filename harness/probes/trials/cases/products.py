"""Cases of ops that multiply and add up: matrix products, images, tables, attention."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.probes.trials.cases.case import (
    Array,
    Case,
    Input,
    Numbers,
    Shape,
    exactly,
    nearly_tied,
    scaled,
    spaced,
    tied,
)

# --- matrices -----------------------------------------------------------------------------------

# Vectors on either side, batches that broadcast on either side, square ones, and nothing.
_PAIRS: list[tuple[Shape, Shape]] = [
    ((3, 4), (4, 5)),
    ((3, 3), (3, 3)),
    ((4,), (4,)),
    ((4,), (4, 2)),
    ((3, 4), (4,)),
    ((2, 3, 4), (4,)),
    ((4,), (2, 4, 3)),
    ((2, 3, 4), (2, 4, 5)),
    ((2, 3, 3), (2, 3, 3)),
    ((3, 4), (2, 4, 5)),
    ((2, 3, 4), (4, 2)),
    ((2, 1, 3, 4), (5, 4, 2)),
    ((2, 1, 2, 3), (1, 2, 3, 2)),
    ((2, 2, 2, 3), (2, 2, 3, 2)),
    ((1, 1), (1, 1)),
    ((0, 3), (3, 2)),
]
_LINEAR: list[tuple[Input, ...]] = [
    ((3, 4), (5, 4), (5,)),
    ((3, 4), (5, 4)),
    ((4, 4), (4, 4), (4,)),
    ((2, 3, 4), (5, 4), (5,)),
    ((2, 3, 3), (3, 3), (3,)),
    ((2, 2, 3, 4), (2, 4), (2,)),
    ((4,), (5, 4), (5,)),
    ((1, 1), (1, 1), (1,)),
    ((0, 4), (5, 4), (5,)),
]

# --- images -------------------------------------------------------------------------------------

_CONV: list[tuple[tuple[Input, ...], dict[str, Any]]] = [
    (((2, 3, 5, 6), (4, 3, 3, 3), (4,)), {}),
    (((2, 3, 5, 6), (4, 3, 3, 3)), {"padding": 1}),
    (((2, 2, 7, 5), (3, 2, 3, 2), (3,)), {"stride": 2}),
    (((1, 1, 6, 6), (1, 1, 3, 3), (1,)), {"stride": 2, "padding": 1}),
    (((2, 2, 6, 7), (3, 2, 2, 3), (3,)), {"stride": (2, 1), "padding": (0, 2)}),
    (((2, 2, 5, 5), (2, 2, 2, 2), (2,)), {"stride": (1, 3), "padding": (1, 0)}),
    (((2, 3, 3, 3), (5, 3, 1, 1), (5,)), {}),
    (((3, 3, 3, 3), (3, 3, 3, 3), (3,)), {}),
    (((1, 1, 7, 7), (1, 1, 2, 2), (1,)), {"stride": 3}),
    (((0, 2, 3, 3), (2, 2, 3, 3), (2,)), {}),
]
_POOL: list[tuple[Shape, dict[str, Any]]] = [
    ((2, 3, 4, 6), {"kernel_size": 2}),
    ((2, 2, 5, 5), {"kernel_size": 2}),
    ((1, 2, 5, 6), {"kernel_size": 3, "stride": 1}),
    ((2, 2, 6, 5), {"kernel_size": 3, "stride": 2, "padding": 1}),
    ((2, 1, 4, 6), {"kernel_size": (2, 3), "stride": (1, 2)}),
    ((1, 2, 4, 4), {"kernel_size": (2, 3), "stride": (2, 1), "padding": (0, 1)}),
    ((1, 1, 5, 7), {"kernel_size": 2, "stride": 3}),
    ((0, 1, 4, 4), {"kernel_size": 2}),
]
# Equal maxima within each window, which differ from one window to the next.
_PATTERN = np.array([[0.0, -1.0], [-2.0, 0.0]])
_TIED_WINDOWS = Numbers(
    (2, 2, 4, 4),
    "tied",
    values=np.kron(np.arange(16.0).reshape(2, 2, 2, 2), np.ones((2, 2)))
    + np.tile(0.25 * _PATTERN, (2, 2, 2, 2)),
)
_MAX_POOL = [
    *[Case((spaced(*shape),), given) for shape, given in _POOL],
    # Negative all over: what lies outside the image must not win.
    Case((exactly(-1.0 - 0.1 * np.arange(16.0).reshape(1, 1, 4, 4)),),
         {"kernel_size": 2, "padding": 1}),
    Case((_TIED_WINDOWS,), {"kernel_size": 2}),
    Case((tied(2, 2, 4, 4),), {"kernel_size": 2}),
    Case((tied(1, 1, 5, 5),), {"kernel_size": 3, "stride": 1, "padding": 1}),
    # As large as what some would pad with.
    Case((Numbers((1, 1, 3, 3), "tied", values=np.zeros((1, 1, 3, 3))),),
         {"kernel_size": 2, "padding": 1}),
    Case((nearly_tied(1, 1, 4, 5),), {"kernel_size": (2, 3), "stride": 1}),
]  # fmt: skip

# --- tables and attention -----------------------------------------------------------------------

_INDICES = [
    (np.array([[1, 3], [3, 3]]), (5, 2)),
    (np.array([[0, 4, 1], [4, 0, 0]]), (5, 3)),
    (np.array([2, 0, 2, 2]), (3, 3)),
    (np.array(2), (4, 3)),
    (np.array([[[0, 1]], [[1, 2]]], dtype=np.int32), (3, 2)),
    (np.zeros((2, 0), dtype=np.int64), (4, 3)),
]

_KEPT = np.array([[True, False, True], [True, True, False]])
_EACH = np.tile(_KEPT, (2, 1, 1, 1)) ^ np.arange(2)[:, None, None, None].astype(bool)
_HEADS = np.array([[[True, True, False]], [[False, True, True]]])
_ADDED = np.array([[0.0, -1.5, 0.7], [0.4, -np.inf, 0.0]])
_NOTHING_SEEN = np.array([[True, False, True], [False, False, False]])
_ONE_HEAD: list[Input] = [(2, 4, 3), (2, 4, 3), (2, 4, 5)]
_SHORT: list[Input] = [(2, 4), (3, 4), (3, 2)]
_TWO_HEADS: list[Input] = [(2, 2, 2, 4), (2, 2, 3, 4), (2, 2, 3, 2)]


def _attend(inputs: list[Input], mask: Array | None = None, **arguments: Any) -> Case:
    return Case(tuple(inputs), arguments, {} if mask is None else {"attn_mask": mask})


_ATTENTION = [
    _attend(_ONE_HEAD),
    _attend(_ONE_HEAD, is_causal=True),
    _attend([(3, 3), (3, 3), (3, 3)], is_causal=True),
    _attend([(2, 4), (5, 4), (5, 2)], is_causal=True),
    _attend([(4, 2), (3, 2), (3, 2)], is_causal=True, scale=0.9),
    _attend(_SHORT, _KEPT),
    _attend(_SHORT, _ADDED),
    _attend(_SHORT, _NOTHING_SEEN),
    _attend(_TWO_HEADS, _EACH),
    _attend(_TWO_HEADS, _HEADS),
    _attend(_TWO_HEADS, _KEPT),
    _attend(_TWO_HEADS, scale=0.3),
    _attend([(2, 2, 2, 4), (2, 1, 3, 4), (3, 4)], scale=0.3),
    _attend([(1, 1, 2), (1, 1, 2), (1, 1, 3)]),
    _attend([scaled(30.0, 3, 4), scaled(30.0, 3, 4), (3, 2)]),
    _attend([(0, 3, 2), (0, 3, 2), (0, 3, 2)], is_causal=True),
    _attend(_SHORT, scale=0.0),
    Case(tuple(_SHORT), {}, {"attn_mask": np.array([[0, -2, 1], [-1, 0, 3]])}, may_refuse=True),
    Case(((3, 4),), {}, copies=3),
]

CASES: dict[str, list[Case]] = {
    "matmul": [*[Case(pair) for pair in _PAIRS], Case(((3, 3),), copies=2)],
    "linear": [
        *[Case(inputs) for inputs in _LINEAR],
        Case((np.array([[1, -2], [0, 3]]), (3, 2), (3,)), may_refuse=True),
    ],
    "conv2d": [Case(inputs, given) for inputs, given in _CONV],
    "max_pool2d": _MAX_POOL,
    "avg_pool2d": [Case((shape,), given) for shape, given in _POOL],
    "embedding": [
        *[Case(pair) for pair in _INDICES],
        # Places in the table that the type of the indices cannot count.
        Case((np.array([20, 60, 20], dtype=np.uint8), (64, 5)), may_refuse=True),
    ],
    "scaled_dot_product_attention": _ATTENTION,
}
