"""Cases of ops that work number by number: arithmetic with broadcasting, and functions of one."""

from __future__ import annotations

import numpy as np

from harness.probes.trials.cases.case import (
    ROWS,
    Case,
    Kind,
    Numbers,
    Shape,
    exactly,
    positive,
    scaled,
    spaced,
    spares,
)

# Square; longer than wide; stretched on either side, on both, at one axis and at several.
_PAIRS: list[tuple[Shape, Shape]] = [
    ((3, 3), (3, 3)),
    ((2, 3, 4), (4,)),
    ((4,), (2, 3, 4)),
    ((2, 1, 4), (3, 1)),
    ((2, 1, 3, 1), (4, 1, 2)),
    ((3, 1), ()),
    ((), (2, 2)),
    ((ROWS, 1, 3, 1), (ROWS, 1, 3, 1)),
    ((0, 3), (3,)),
    # One after the other: what is stretched is not told by one of two shapes.
    ((1, 1), (3, 1)),
    ((1, 1), (1, 4)),
]
_SPARE_PAIR = (2, 3, 2, 2), (2, 3, 2, 2)
_SPARE = spares(Case(_SPARE_PAIR))
_TWICE = Case(((3, 4),), copies=2)
_POWERS = [
    *[Case((positive(*a), positive(*b))) for a, b in _PAIRS[::2]],
    Case(((ROWS, 3), np.array(3.0))),
    Case(((3, 4), np.array(-2.0))),
    Case((exactly([[-1.5, 0.0], [0.0, 0.7]]), np.array(2.0))),
    Case((exactly([[0.0, 1.5], [-0.7, 0.0]]), np.array(0.0))),
    Case((exactly([[0.0, 1.5], [-0.7, 0.0]]), np.array(1.0))),
    Case((positive(2, 3), np.array(0.5))),
    Case((np.array([[1.0, 0.0, 2.0]]), positive(2, 3))),
    Case((positive(2, 3),), copies=2),
    *spares(Case(((3, 4), np.array(3.0)))),
]
_LARGER = [
    *[Case((spaced(*a), spaced(*b))) for a, b in _PAIRS],
    *spares(Case((spaced(*_SPARE_PAIR[0]), spaced(*_SPARE_PAIR[1])))),
]


def _function(*more: Case, drawn: Kind = "signed") -> list[Case]:
    """What every function of one number is tried on."""
    shapes: list[Shape] = [(3, 4), (ROWS, 1, 3, 1), (), (0, 4)]
    spare = spares(Case((Numbers((2, 1, 3, 2), drawn),)))
    return [*[Case((Numbers(shape, drawn),)) for shape in shapes], *more, *spare]


# Far out, where exp overflows in float32 and, for the largest, in float64.
_FAR = [Case((scaled(30.0, 2, 3),)), Case((scaled(1e3, 2, 3),))]
# Where a small constant that somebody adds to be safe is not small.
_TINY = np.array([1e-9, 3e-6])
_APPLIED_TWICE = Case(((3, 4),), then={})


def _seeded() -> np.random.Generator:
    return np.random.default_rng(7)


_DROPOUT = [
    Case(((ROWS, 3),), {"p": 0.5, "training": True, "rng": _seeded}),
    Case(((2, 3, 4),), {"p": 0.2, "training": True, "rng": _seeded}),
    Case(((3, 4),), {"p": 0.0, "training": True, "rng": _seeded}),
    Case(((3, 4),), {"p": 1.0, "training": True, "rng": _seeded}),
    Case(((3, 4),), {"p": 0.5, "training": False}),
    *spares(Case(((4, 5),), {"p": 0.5, "training": True, "rng": _seeded})),
]

CASES: dict[str, list[Case]] = {
    **{name: [*[Case(pair) for pair in _PAIRS], _TWICE, *_SPARE] for name in ("add", "sub", "mul")},
    "div": [*[Case(pair) for pair in _PAIRS], _TWICE, Case((np.ones(2), _TINY)), *_SPARE],
    "maximum": _LARGER,
    "minimum": _LARGER,
    "pow": _POWERS,
    "neg": _function(_APPLIED_TWICE),
    "abs": _function(),
    "square": _function(_APPLIED_TWICE),
    "reciprocal": _function(_APPLIED_TWICE, Case((_TINY,))),
    "exp": _function(
        _APPLIED_TWICE, Case((exactly([-200.0, -20.0, 0.0, 5.0]),)), Case((np.array([40.0]),))
    ),
    "log": _function(Case((exactly([0.1, 1.0, 1e4]),)), Case((_TINY,)), drawn="positive"),
    "sqrt": _function(Case((positive(3, 4),), then={}), Case((_TINY,)), drawn="positive"),
    "sin": _function(_APPLIED_TWICE),
    "cos": _function(_APPLIED_TWICE),
    "relu": _function(_APPLIED_TWICE, *_FAR),
    "tanh": _function(_APPLIED_TWICE, *_FAR, Case((scaled(3.0, 3, 4),))),
    "sigmoid": _function(_APPLIED_TWICE, *_FAR, Case((scaled(3.0, 3, 4),))),
    "gelu": _function(
        _APPLIED_TWICE,
        *_FAR,
        Case(((3, 4),), {"approximate": "tanh"}),
        Case(((2, 3),), {"approximate": "none"}),
        Case((scaled(30.0, 2, 3),), {"approximate": "tanh"}),
    ),
    "dropout": _DROPOUT,
}
