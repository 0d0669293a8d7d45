"""Cases of layers and containers: the arguments to build one, and what goes in."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.probes.trials.cases.case import (
    ROWS,
    Case,
    Input,
    Shape,
    exactly,
    scaled,
    spaced,
    spares,
)


def _case(x: Input, **arguments: Any) -> Case:
    return Case((x,), arguments)


def _linear(x: Shape, out: int, **more: bool) -> Case:
    return _case(x, in_features=x[-1], out_features=out, **more)


def _conv(x: Shape, out: int, kernel: Any, **more: Any) -> Case:
    return _case(x, in_channels=x[1], out_channels=out, kernel_size=kernel, **more)


def _attention(x: Shape, heads: int, **more: bool) -> Case:
    return _case(x, embed_dim=x[-1], num_heads=heads, **more)


_FUNCTION = [_case((ROWS, 1, 3)), _case((3, 4)), _case(scaled(1e3, 2, 3)), _case((0, 4)),
             *spares(_case((2, 2, 3)))]  # fmt: skip
_POOL: list[tuple[Shape, dict[str, Any]]] = [
    ((2, 2, 4, 6), {"kernel_size": 2}),
    ((1, 2, 5, 5), {"kernel_size": 3, "stride": 1}),
    ((ROWS, 1, 3, 3), {"kernel_size": (3, 2), "stride": (2, 1), "padding": (1, 0)}),
]
_SPARE_POOL: tuple[Shape, dict[str, Any]] = (
    (2, 1, 5, 4), {"kernel_size": (3, 2), "stride": (2, 1), "padding": (1, 0)},
)  # fmt: skip
# The last of six is not among them.
_TOKENS = np.arange(2 * ROWS).reshape(ROWS, 2) * 3 % 5

LAYERS: dict[str, list[Case]] = {
    "ReLU": _FUNCTION,
    "Tanh": _FUNCTION,
    "Sigmoid": _FUNCTION,
    "GELU": [*_FUNCTION, _case((3, 4), approximate="tanh"), _case((2, 3), approximate="none")],
    "Softmax": [
        _case((ROWS, 3), dim=-1), _case((3, 3), dim=0), _case((2, 3, 4), dim=1),
        _case(scaled(1e3, 2, 3), dim=-1), *spares(_case((3, 4), dim=-1)),
    ],
    "Dropout": [_case((ROWS, 3), p=0.5), _case((2, 3, 4), p=0.2), _case((3, 4), p=0.0),
                *spares(_case((4, 5), p=0.5))],
    "Flatten": [_case((ROWS, 2, 3)), _case((2, 3, 2, 2)), _case((2, 3, 2, 2), start_dim=2),
                _case((2, 3, 4), start_dim=0, end_dim=1), _case((0, 2, 3)),
                *spares(_case((2, 3, 4)))],
    "Linear": [
        _linear((ROWS, 3), 5), _linear((3, 3), 3), _linear((2, 3, 4), 4), _linear((1, 1), 1),
        _linear((5, 2), 3, bias=False), _linear((3,), 2), _linear((0, 3), 2),
        *spares(_linear((4, 3), 5)),
    ],
    "Conv2d": [
        _conv((2, 2, 5, 6), 3, 3), _conv((2, 1, 4, 4), 2, 3, padding=1),
        _conv((1, 2, 5, 6), 2, (2, 3), stride=(2, 1), padding=(0, 1)),
        _conv((2, 2, 3, 3), 2, 2, bias=False), _conv((ROWS, 1, 2, 3), 2, 2),
        _conv((0, 2, 3, 3), 2, 3),
    ],
    "MaxPool2d": [
        *[_case(spaced(*x), **given) for x, given in _POOL],
        _case(exactly(-1.0 - 0.1 * np.arange(16.0).reshape(1, 1, 4, 4)), kernel_size=2, padding=1),
        *spares(_case(spaced(*_SPARE_POOL[0]), **_SPARE_POOL[1])),
    ],
    "AvgPool2d": [
        *[_case(x, **given) for x, given in _POOL],
        *spares(_case(_SPARE_POOL[0], **_SPARE_POOL[1])),
    ],
    "Embedding": [
        _case(_TOKENS, num_embeddings=6, embedding_dim=2),
        _case(np.array([2, 2, 0]), num_embeddings=3, embedding_dim=3),
        *spares(_case(np.array([[0, 3, 3], [4, 0, 1]]), num_embeddings=5, embedding_dim=2)),
    ],
    "SinusoidalPositions": [
        _case((ROWS, 3, 4), embedding_dim=4), _case((3, 3, 6), embedding_dim=6, max_len=3),
        _case((1, 1, 2), embedding_dim=2), *spares(_case((2, 5, 4), embedding_dim=4)),
    ],
    "LayerNorm": [
        _case(spaced(3, 4), normalized_shape=4), _case(spaced(2, 3, 5), normalized_shape=5),
        _case((ROWS, 2, 3), normalized_shape=(2, 3), eps=0.1),
        _case(spaced(3, 3), normalized_shape=(3,)),
        _case(spaced(3, 4), normalized_shape=4, eps=0.5), _case((0, 4), normalized_shape=4),
        *spares(_case(spaced(2, 3, 4), normalized_shape=(3, 4), eps=0.1)),
    ],
    "MultiHeadAttention": [
        _attention((2, 3, 4), 2), _attention((2, 4, 6), 3, is_causal=True),
        _attention((2, 3, 4), 1, is_causal=True), _attention((1, 1, 4), 4),
        _attention((ROWS, 2, 2), 2), *spares(_attention((2, 3, 4), 4)),
    ],
}  # fmt: skip

# Layers that share no numbers and do not commute; what a container makes of them.
_INSIDE: list[tuple[Shape, list[tuple[str, dict[str, Any]]]]] = [
    ((4, 3), [("Linear", {"in_features": 3, "out_features": 3}), ("Tanh", {})]),
    ((2, 3, 3), [("Tanh", {}), ("Linear", {"in_features": 3, "out_features": 3})]),
    ((ROWS, 4), [("Linear", {"in_features": 4, "out_features": 5}), ("Sigmoid", {}),
              ("Linear", {"in_features": 5, "out_features": 4})]),
]  # fmt: skip
CONTAINERS: dict[str, list[Case]] = {
    name: [
        *[Case((x,), {"layers": inside}) for x, inside in _INSIDE],
        *spares(Case(((2, 4),), {"layers": _INSIDE[2][1]})),
    ]
    for name in ("Sequential", "Residual")
}
