"""What a tape keeps of numpy's calls: run again on other numbers, it gives what numpy gives."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from harness.autograd.recording import DivergedError, Tape, plain

Array = np.ndarray
Formula = Callable[[Array], Array]

ROWS = np.array([2, 0, 0])


def filled(x: Array) -> Array:
    out = np.zeros_like(x, shape=(2, *x.shape), order="C")
    out[1] = x
    np.copyto(out[0, :2], x[1:])
    out[0] += x
    return out


def in_place(x: Array) -> Array:
    y = x.copy()
    y -= x.mean(axis=0)
    y *= 2
    np.maximum(y, x, out=y)
    return y


def into_view(x: Array) -> Array:
    out = np.empty_like(x, shape=(4, 3))
    np.matmul(x, np.eye(4, dtype=x.dtype), out=out.T)
    return out


FORMULAS: dict[str, Formula] = {
    "arithmetic with Python's numbers": lambda x: 2 * x - x / 3.0 + x**2,
    "comparison, as a number": lambda x: x * (x > 0),
    "whole numbers": lambda x: (x * 10).astype(np.int64) % 3,
    "reductions": lambda x: np.add.reduce(x, axis=1, keepdims=True) + np.maximum.reduce(x),
    "reduction to one number": lambda x: x - np.add.reduce(x, axis=None) / x.size,
    "methods of reductions": lambda x: x.sum(axis=0) + x.max() + x.mean(axis=1).std(),
    "products": lambda x: np.dot(x, x.T) @ x + np.einsum("ij,ij->j", x, x),
    "rows by index": lambda x: x[ROWS] + x.take(ROWS, axis=0),
    "numbers by two indices": lambda x: x[ROWS, [1, 2, 3]],
    "reshaped, which copies": lambda x: x.T.reshape(2, 6) + x.T.ravel().reshape(2, 6),
    "a view of a view": lambda x: np.moveaxis(x.reshape(3, 2, 2), 0, -1)[1, :, ::2] * 1.0,
    "joined": lambda x: np.concatenate((x, np.stack([x[0], x[1]])), axis=0),
    "split": lambda x: np.split(x, 2, axis=1)[1] - np.split(x, 2, axis=1)[0],
    "where": lambda x: np.where(x > 0, x, -1.0),
    "filled": filled,
    "in place": in_place,
    "into a view of another": into_view,
    "added up by runs": lambda x: np.add.reduceat(x, [0, 2], axis=0),
}  # fmt: skip


def run(tape: Tape) -> None:
    for call in tape.calls:
        call.function(*call.given, **call.options)


def recorded(formula: Formula, x: Array) -> tuple[Tape, Array]:
    tape = Tape()
    return tape, plain(formula(tape.noted(x)))


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_tape_does_again_what_numpy_did(name: str, dtype: str) -> None:
    rng = np.random.default_rng(0)
    first, other = rng.standard_normal((2, 3, 4)).astype(dtype)
    x = first.copy()
    tape, y = recorded(FORMULAS[name], x)
    assert np.array_equal(y, FORMULAS[name](first))
    x[...] = other
    run(tape)
    expected = FORMULAS[name](other)
    assert y.dtype == expected.dtype
    assert np.array_equal(y, expected)
    assert not np.array_equal(expected, FORMULAS[name](first))


def test_views_are_no_calls_as_they_share_memory() -> None:
    tape, y = recorded(lambda x: x.T.reshape(2, 2, 3)[1:, ::-1].swapaxes(0, 1), np.zeros((3, 4)))
    assert y.shape == (2, 1, 3)
    assert tape.calls == []

    tape, _ = recorded(lambda x: x.T.reshape(2, 6), np.zeros((3, 4)))
    assert len(tape.calls) == 1  # rows across those of the memory: only as a copy


def test_truth_that_changes_is_told() -> None:
    x = np.array([1.0, 2.0])
    tape, _ = recorded(lambda a: a * 2 if a.max() < 3 else a, x)
    x[...] = [0.0, 2.5]
    run(tape)
    x[...] = [0.0, 3.5]
    with pytest.raises(DivergedError):
        run(tape)


@pytest.mark.parametrize(
    "formula",
    [
        lambda x: x * float(x.max()) + x,
        lambda x: x * x.sum().item(),
        lambda x: np.array(x.tolist()) + x,
        lambda x: x[: int(x.max())] + 1,
        lambda x: np.modf(x)[0],
        lambda x: np.linalg.svd(x[None])[1],
        lambda x: [np.add.at(x, [0], 1.0), x * 2][1],
        lambda x: [x.sort(), x * 2][1],
    ],
)
def test_what_leaves_numpy_is_a_problem_and_is_done_all_the_same(formula: Formula) -> None:
    x, y = np.array([2.0, 1.5]), np.array([2.0, 1.5])
    tape, got = recorded(formula, x)
    assert tape.problem
    assert got.tolist() == formula(y).tolist()
    assert x.tolist() == y.tolist()


def test_array_that_somebody_has_kept_is_told_and_is_an_ordinary_one_afterwards() -> None:
    tape = Tape()
    kept = tape.noted(np.array([1.0, 2.0])) * 2
    tape.close()
    assert tape.kept
    assert float(kept.sum() + kept.max().item()) == 10.0
    assert (kept @ np.eye(2)).tolist() == [2.0, 4.0]
    assert len(tape.calls) == 1
    del kept
    assert not tape.kept


def test_noted_arrays_are_those_that_they_were_made_from() -> None:
    x = np.zeros(2)
    tape = Tape()
    tape.noted(x)[0] = 5.0
    assert x.tolist() == [5.0, 0.0]
    assert type(plain((tape.noted(x), [1]))[0]) is np.ndarray


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
