"""What a tensor calls an op by is held against numpy's own operators and methods."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from harness.autograd import Tensor, ops
from harness.backends import load
from harness.measurement import Measurement
from harness.probes.engine import op_gradients, op_values
from harness.probes.trials.cases.pool import Pool
from harness.probes.trials.spellings import SPELLINGS, spelled_trials

WIDE = 1e-6


def _narrowed(self: Tensor, other: Any) -> Tensor:
    """A number is one of float32, whatever it meets."""
    return other if isinstance(other, Tensor) else Tensor(np.float32(other).astype(self.dtype))


def _widened(self: Tensor, other: Any) -> Tensor:
    """A number is one of float64, whatever it meets."""
    return other if isinstance(other, Tensor) else Tensor(np.full((1,), other))


def _other_way(self: Tensor, other: Any, op: Callable[..., Tensor]) -> Tensor:
    """Right for a number, and the wrong way round for an array."""
    one, two = self._wrap(other), self
    return op(two, one) if isinstance(other, np.ndarray) else op(one, two)


# Wrong in a way that no op is.
BROKEN: dict[str, Callable[..., Any]] = {
    "__radd__": lambda self, other: ops.add(self, self),
    "__rsub__": lambda self, other: ops.sub(self, self._wrap(other)),
    "__rtruediv__": lambda self, other: ops.div(self, self._wrap(other)),
    "__rpow__": lambda self, base: ops.pow(self, self._wrap(base)),
    "__neg__": lambda self: ops.mul(self, self),
    "__sub__": lambda self, other: ops.sub(self, _narrowed(self, other)),
    "__mul__": lambda self, other: ops.mul(self, _widened(self, other)),
    "softmax": lambda self, dim=0: ops.softmax(self, dim),
    "log_softmax": lambda self, dim=-1: ops.log(ops.softmax(self, dim)),
    "max": lambda self, dim=None, keepdim=False, *, axis=None: ops.max(
        self, axis if dim is None else dim
    ),
    "__matmul__": lambda self, other: ops.matmul(self._wrap(other), self),
    "__getitem__": lambda self, key: ops.index(self, 0),
    "sum": lambda self, dim=None, keepdim=False, *, axis=None: ops.sum(self, dim, keepdim),
    "mean": lambda self, dim=None, keepdim=False, *, axis=None: ops.sum(self, dim or axis, keepdim),
    "transpose": lambda self, dim0=0, dim1=1: ops.transpose(self, dim0, dim1),
    "flatten": lambda self, start_dim=1, end_dim=-1: ops.flatten(self, start_dim, end_dim),
    "T": property(lambda self: ops.transpose(self, -2, -1)),  # type: ignore[dict-item]
}
DETACHED = {
    "__sub__": lambda self, other: Tensor(self.data - self._wrap(other).data),
    "__iter__": lambda self: iter([Tensor(row) for row in self.data]),
    "reshape": lambda self, *shape: Tensor(ops.reshape(self, shape).data),
}


def subjects(rows: list[Measurement]) -> list[str]:
    return list(dict.fromkeys(row.subject for row in rows if not row.error <= WIDE))


@pytest.mark.parametrize("name", BROKEN)
def test_wrong_operator_or_method_is_named_as_the_tensors(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Tensor, name, BROKEN[name])
    assert subjects(list(op_values.measure(load("numpy"))))[0] == f"Tensor.{name}"


@pytest.mark.parametrize("name", DETACHED)
def test_operator_without_a_graph_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tensor, name, DETACHED[name])
    assert f"Tensor.{name}" in subjects(list(op_gradients.measure(load("numpy"))))


@pytest.mark.parametrize(
    ("name", "op"),
    [("__rsub__", ops.sub), ("__rtruediv__", ops.div)],
)
def test_array_on_the_left_that_is_taken_for_the_right_is_seen(
    name: str, op: Callable[..., Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Tensor, name, lambda self, other: _other_way(self, other, op))
    assert subjects(list(op_values.measure(load("numpy")))) == [f"Tensor.{name}"]


OTHER_WAYS: dict[str, Callable[..., Any]] = {
    "transpose": lambda self, dim0=None, dim1=None: (
        self.T if dim0 is None else ops.transpose(self, dim0, dim1)
    ),
    "softmax": lambda self, dim=None: (
        ops.softmax(self, dim) if dim is not None
        else ops.reshape(ops.softmax(ops.flatten(self)), self.shape)
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ["transpose", "softmax"])
def test_other_meaning_of_no_arguments_is_not_accused(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Tensor, name, OTHER_WAYS[name])
    assert subjects(list(op_values.measure(load("numpy")))) == []


def test_method_that_asks_for_an_argument_is_given_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def asking(self: Tensor, dim: int) -> Tensor:
        return ops.softmax(self, dim)

    monkeypatch.setattr(Tensor, "softmax", asking)
    assert subjects(list(op_values.measure(load("numpy")))) == []


def test_array_is_left_where_numpy_would_not_ask_the_tensor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(Tensor, "__array_ufunc__")
    words = [t.what for trials in spelled_trials(load("numpy"), Pool()) for t in trials]
    assert "array - a" not in words
    assert "1.5 - a" in words


def test_every_operator_of_the_engine_is_tried() -> None:
    offered = {name for name in vars(Tensor) if hasattr(ops, name.strip("_r")) or name == "T"}
    tried = {
        trials[0].subject.partition(".")[2] for trials in spelled_trials(load("numpy"), Pool())
    }
    operators = {each.name for each in SPELLINGS if each.name.startswith("__")}
    assert operators <= tried
    assert {name for name in offered if not name.startswith("__")} <= tried


def test_tensor_without_operators_is_not_accused() -> None:
    class Plain:
        """A tensor that is only handed about."""

        def __init__(self, data: Any) -> None:
            self.data = data

    backend = load("numpy")
    backend = type("Bare", (type(backend),), {"tensor": lambda self, array: Plain(array)})()
    assert list(spelled_trials(backend, Pool())) == []


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
