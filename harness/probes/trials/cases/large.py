"""One large case, or two, for ops that an engine may compute otherwise for many numbers: in
blocks, in a narrower type, with sums that lose what is repeated.

The long axes have prime lengths, so that no size of a block divides them.
"""

from __future__ import annotations

import numpy as np

from harness.probes.trials.cases.case import Case, Numbers

_PLANE = (67, 71)
_ROWS = np.arange(2111) * 53 % 31
_CLASSES = np.arange(211) * 13 % 5
_LABELS = np.arange(1009) * 7 % 11 / 10.0
_REDUCED = [Case((_PLANE,), {"dim": None}), Case((_PLANE,), {"dim": 0})]

CASES: dict[str, list[Case]] = {
    "relu": [Case((_PLANE,))],
    "add": [Case((_PLANE, (71,)))],
    "sum": _REDUCED,
    "mean": _REDUCED,
    "softmax": [Case((_PLANE,), {"dim": -1})],
    "layer_norm": [Case(((131, 37), (37,), (37,)), {"normalized_shape": (37,)})],
    "matmul": [Case((_PLANE, (71, 5)))],
    "linear": [Case(((521, 11), (3, 11), (3,)))],
    "conv2d": [Case(((67, 1, 9, 9), (2, 1, 3, 3), (2,)))],
    "max_pool2d": [Case(((67, 1, 7, 9),), {"kernel_size": 2})],
    "embedding": [Case((_ROWS, (31, 3)))],
    "scaled_dot_product_attention": [Case(((3, 13, 5),) * 3, {"is_causal": True})],
    "cross_entropy": [Case(((211, 5), _CLASSES))],
    "binary_cross_entropy_with_logits": [
        Case(((1009,), Numbers((1009,), "exact", values=_LABELS, may_lack=True)))
    ],
}
