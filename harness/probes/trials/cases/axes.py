"""Cases of ops along axes and on shapes: reductions, softmax, norms, and what moves numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.probes.trials.cases.case import (
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

Dims = int | tuple[int, ...] | None

# --- reductions ---------------------------------------------------------------------------------

_DIMS: list[tuple[Shape, Dims, bool]] = [
    ((3, 4), None, False),
    ((3, 3), 0, False),
    ((3, 3), -1, False),
    ((3, 4), 1, True),
    ((2, 3, 4), (0, 2), False),
    ((2, 3, 4), (-1, 0), True),
    ((2, 3, 2, 2), (1, -1), False),
    ((2, 3), None, True),
    ((5,), 0, False),
    ((2, 3, 4), -2, False),
    ((), None, False),
    ((1, 3), 0, False),
]
_SUMS = [Case((shape,), {"dim": dim, "keepdim": kept}) for shape, dim, kept in _DIMS]
_EXTREMA = [
    *[Case((spaced(*shape),), {"dim": dim, "keepdim": kept}) for shape, dim, kept in _DIMS],
    Case((tied(3, 4),), {"dim": None}),
    Case((tied(4, 5),), {"dim": 0}),
    Case((tied(2, 6, 2),), {"dim": (1, 2), "keepdim": True}),
    Case((nearly_tied(3, 4),), {"dim": 1}),
]

# --- softmax ------------------------------------------------------------------------------------

_LAST_OF_LARGE = exactly([[3.0, -90.0, 100.0], [101.0, 99.5, 100.3]])
_SOFTMAX = [
    Case(((3, 5),), {"dim": -1}),
    Case(((3, 3),), {"dim": 0}),
    Case(((3, 3),), {"dim": 1}),
    Case(((2, 3, 4),), {"dim": 1}),
    Case(((2, 3, 2, 3),), {"dim": -2}),
    Case(((4,),), {"dim": 0}),
    Case(((2, 1),), {"dim": 1}),
    Case(((0, 3),), {"dim": 1}),
    Case((_LAST_OF_LARGE,), {"dim": -1}),
    Case((scaled(1e3, 3, 4),), {"dim": -1}),
    Case((exactly([[-1e3, -1e3 - 1, -1e3 + 0.5]]),), {"dim": -1}),
    Case((exactly(np.zeros((2, 4))),), {"dim": -1}),
    Case(((3, 4),), {"dim": -1}, then={"dim": 0}),
    Case((np.array([[1, 2, 3], [5, 4, 4]]),), {"dim": -1}, may_refuse=True),
]
# What -inf hides has probability 0; it is held fixed, since it cannot be moved.
_HIDDEN = Case((np.array([[0.3, -np.inf, 1.2], [-np.inf, 0.1, -np.inf]]),), {"dim": -1})


def _norm(shape: Shape, axes: int, affine: str = "wb", eps: float = 1e-5) -> Case:
    own = shape[len(shape) - axes :]
    # Numbers of a row that are all alike would be divided by next to nothing.
    inputs: tuple[Input, ...] = (
        spaced(*shape),
        *(own if letter in affine else None for letter in "wb"),
    )
    return Case(inputs, {"normalized_shape": own, "eps": eps})


_LAYER_NORM = [
    _norm((3, 3), 1),
    _norm((2, 3, 5), 1),
    _norm((2, 3, 4), 2, eps=0.1),
    _norm((2, 2, 2, 3), 1, eps=0.01),
    _norm((2, 2, 3, 2), 3),
    _norm((3, 4), 1, "w"),
    _norm((3, 4), 1, "b"),
    _norm((3, 4), 1, ""),
    _norm((1, 3), 1),
    _norm((4,), 1),
    _norm((0, 4), 1),
    Case((scaled(30.0, 3, 4), (4,), (4,)), {"normalized_shape": (4,)}),
    Case((exactly(np.full((2, 4), 3.0)), (4,), (4,)), {"normalized_shape": (4,), "eps": 0.1}),
    # Far from 0: the mean of squares less the square of the mean has no digits left in float32.
    Case(
        (exactly(300.0 + 0.5 * np.sin(np.arange(10.0)).reshape(2, 5)), (5,), (5,)),
        {"normalized_shape": (5,)},
    ),
]

# --- shapes -------------------------------------------------------------------------------------

_RESHAPE: list[tuple[Shape, Shape]] = [
    ((3, 4), (4, 3)), ((2, 3, 4), (-1, 4)), ((2, 6), (2, 3, 2)), ((), (1, 1)), ((1,), ()),
    ((2, 3, 2, 2), (6, 4)), ((0, 4), (0, 2, 2)),
]  # fmt: skip
_PERMUTE: list[tuple[Shape, Shape]] = [
    ((2, 3, 4), (2, 0, 1)), ((3, 3, 3), (1, 2, 0)), ((3, 4), (-1, 0)), ((2, 3, 2, 4), (3, 0, 2, 1)),
    ((2, 2, 2, 2), (1, 2, 3, 0)), ((2, 3), (0, 1)), ((2, 2, 2), (-1, 0, -2)),
]  # fmt: skip
_TRANSPOSE: list[tuple[Shape, tuple[int, int]]] = [
    ((2, 3, 4), (0, 2)), ((3, 4), (-2, -1)), ((3, 3), (0, 1)), ((2, 3, 3), (0, 1)),
    ((2, 2, 2, 2), (1, 2)), ((2, 3, 2, 4), (1, -1)), ((2, 3), (1, 1)),
]  # fmt: skip
_FLATTEN: list[tuple[Shape, dict[str, int]]] = [
    ((2, 3, 4), {}), ((2, 3, 4), {"start_dim": 1}), ((2, 3, 4), {"end_dim": 1}),
    ((2, 3, 2, 2), {"start_dim": 1, "end_dim": 2}), ((2, 3, 2, 2), {"start_dim": -3}),
    ((3,), {}), ((0, 2, 2), {"start_dim": 1}),
]  # fmt: skip
_KEYS: list[tuple[Shape, Any]] = [
    ((4, 5), 1),
    ((4, 5), -1),
    ((4, 5), (2, -2)),
    ((4, 5), slice(1, 3)),
    ((4, 5), (slice(1, 3), slice(None, None, 2))),
    ((4, 5), (slice(None, None, -1), slice(4, 0, -2))),
    ((4, 5), (..., None, -1)),
    ((4, 5), np.array([2, 0, 2, 2])),
    ((4, 5), np.array([[-1, 0], [3, 3]])),
    ((4, 5), (np.array([0, 0, 3]), np.array([1, 1, 4]))),
    ((2, 3, 4), (slice(None), np.array([[0, 2], [2, 2]]))),
    ((2, 3, 4), (1, slice(None), np.array([3, 3, 0]))),
    ((2, 2), np.array([[True, False], [True, True]])),
    ((3, 3), (np.array([True, False, True]), slice(1, None))),
    ((4, 5), np.array([-1, 3, 0])),
]
_INDEX = [
    *[Case((shape,), {"key": key}) for shape, key in _KEYS],
    Case(((6, 5),), {"key": slice(1, 5)}, then={"key": slice(1, 3)}),
    Case(((6, 5),), {"key": (slice(None, None, 2), 1)}, then={"key": np.array([2, 0, 2])}),
    Case(((4, 5),), {"key": [0, 0, 1]}, may_refuse=True),
]
_CONCATENATE = [
    Case(((2, 3), (1, 3), (4, 3)), {"dim": 0}),
    Case(((2, 3), (2, 1), (2, 0)), {"dim": -1}),
    Case(((2, 2), (2, 2)), {"dim": 1}),
    Case(((3, 3), (3, 3), (3, 3)), {"dim": -1}),
    Case(((2, 3, 2), (2, 1, 2)), {"dim": 1}),
    Case(((2, 1, 3), (2, 2, 3)), {"dim": -2}),
    Case(((2,), (3,)), {"dim": 0}),
    Case(((2, 3),), {"dim": 0}),
    Case(((2, 3),), {"dim": 1}, copies=2),
]

CASES: dict[str, list[Case]] = {
    "reshape": [
        *[Case((shape,), {"shape": new}) for shape, new in _RESHAPE],
        Case(((3, 4),), {"shape": (2, 6)}, then={"shape": (4, 3)}),
    ],
    "flatten": [Case((shape,), dims) for shape, dims in _FLATTEN],
    "transpose": [
        *[Case((shape,), {"dim0": a, "dim1": b}) for shape, (a, b) in _TRANSPOSE],
        Case(((2, 3, 4),), {"dim0": 0, "dim1": 1}, then={"dim0": 1, "dim1": 2}),
    ],
    "permute": [
        *[Case((shape,), {"dims": dims}) for shape, dims in _PERMUTE],
        Case(((2, 3, 4),), {"dims": (2, 0, 1)}, then={"dims": (2, 0, 1)}),
    ],
    "index": _INDEX,
    "concatenate": _CONCATENATE,
    "cat": _CONCATENATE,
    # All of one sign: what is left of a sum that cancels, rounding decides.
    "sum": [
        *_SUMS,
        Case(((0, 3),), {"dim": 0}),
        Case((Numbers((40, 30), "positive", 30.0),), {"dim": None}),
    ],
    "mean": [*_SUMS, Case((scaled(30.0, 40, 30),), {"dim": 1})],
    "max": _EXTREMA,
    "min": _EXTREMA,
    "amax": _EXTREMA,
    "amin": _EXTREMA,
    "softmax": [*_SOFTMAX, _HIDDEN],
    "log_softmax": _SOFTMAX[1:],
    "layer_norm": _LAYER_NORM,
}
