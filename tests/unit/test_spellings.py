"""What a tensor calls an op by is held against numpy's own operators and methods."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from harness.autograd import Tensor, ops
from harness.backends import load
from harness.measurement import Measurement
from harness.probes.engine import op_gradients, op_values
from harness.probes.trials.cases.pool import Pool
from harness.probes.trials.spellings import SPELLINGS, spelled_trials

WIDE = 1e-6

# Wrong in a way that no op is.
BROKEN: dict[str, Callable[..., Any]] = {
    "__radd__": lambda self, other: ops.add(self, self),
    "__rsub__": lambda self, other: ops.sub(self, self._wrap(other)),
    "__rtruediv__": lambda self, other: ops.div(self, self._wrap(other)),
    "__rpow__": lambda self, base: ops.pow(self, self._wrap(base)),
    "__neg__": lambda self: ops.mul(self, self),
    "__matmul__": lambda self, other: ops.matmul(self._wrap(other), self),
    "__getitem__": lambda self, key: ops.index(self, 0),
    "sum": lambda self, dim=None, keepdim=False, *, axis=None: ops.sum(self, dim, keepdim),
    "mean": lambda self, dim=None, keepdim=False, *, axis=None: ops.sum(self, dim or axis, keepdim),
    "transpose": lambda self, dim0=-2, dim1=-1: ops.transpose(self),
    "flatten": lambda self, start_dim=0, end_dim=-1: ops.flatten(self),
    "T": property(lambda self: ops.transpose(self, -2, -1)),  # type: ignore[dict-item]
}
DETACHED = {
    "__sub__": lambda self, other: Tensor(self.data - self._wrap(other).data),
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
