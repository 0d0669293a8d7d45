"""What the calls of a tape are run on: less memory, fewer copies, and the same numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from harness.autograd.memory import owner, shared, without_copies
from harness.autograd.recording import Call, Tape, plain

Array = np.ndarray


def recorded(formula: Callable[[Array], Array], x: Array) -> tuple[Tape, Array]:
    tape = Tape()
    return tape, plain(formula(tape.noted(x)))


def run(calls: Sequence[Call]) -> None:
    for call in calls:
        call.function(*call.given, **call.options)


def owners(calls: Sequence[Call], besides: Sequence[Array]) -> int:
    """How many arrays the calls fill, but for these."""
    left_out = {id(owner(each)) for each in besides}
    return len({id(owner(a)) for call in calls for a in call.arrays} - left_out)


def chain(x: Array) -> Array:
    """Each link is needed for the next one only."""
    for factor in (2.0, 3.0, 5.0, 7.0, 11.0):
        x = x * factor
    return x


def test_arrays_that_are_no_longer_read_make_room() -> None:
    x = np.arange(12.0).reshape(3, 4)
    tape, y = recorded(chain, x)
    calls = shared(tape.calls, tape.made, [y], near=0)
    # Five results and the factors: the result that is kept, and two blocks taken in turn.
    factors = [a for call in calls for a in call.arrays if a.ndim == 0]
    assert owners(tape.calls, [x, *factors]) == 5
    assert owners(calls, [x, y, *factors]) == 2
    x[...] = np.arange(12.0, 24.0).reshape(3, 4)
    run(calls)
    assert np.array_equal(y, x * 2310)


def both_ways(x: Array) -> Array:
    turned = (x + 1.0).T
    kept = turned[::-1, 1:]
    rows = kept.copy()
    rows[0] -= turned[0, 1:]
    return np.concatenate((rows, kept * 2.0)) @ (x[:2] * x[:2])


@pytest.mark.parametrize("formula", [chain, both_ways])
def test_numbers_are_the_same_wherever_they_stand(formula: Callable[[Array], Array]) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, 4))
    tape, y = recorded(formula, x)
    calls = shared(without_copies(tape.calls, tape.made), tape.made, [y], near=0)
    for _ in range(3):
        x[...] = rng.standard_normal((3, 4))
        run(calls)
        assert np.array_equal(y, formula(x))


def test_what_is_near_anyway_stays_where_it_is() -> None:
    tape, y = recorded(chain, np.zeros((3, 4)))
    assert shared(tape.calls, tape.made, [y], near=5 * 96) == tape.calls
    assert shared(tape.calls, tape.made, [y], near=5 * 96 - 1) != tape.calls


def test_original_arrays_are_left_alone() -> None:
    x = np.ones((3, 4))
    tape, y = recorded(chain, x)
    before = [each.copy() for each in tape.made]
    x[...] = 2.0
    run(shared(tape.calls, tape.made, [], near=0))
    assert all(map(np.array_equal, tape.made, before))
    assert np.array_equal(y, np.full((3, 4), 2310.0))


# --- copies -----------------------------------------------------------------------------------


def into(target: Array, formula: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """The formula, whose result is then copied into the target."""

    def copying(x: Array) -> Array:
        result = formula(x)
        np.copyto(target, result)
        return x * 1.0

    return copying


def test_result_that_is_only_copied_is_made_where_it_goes() -> None:
    x, target = np.arange(3.0), np.zeros(3)
    tape, _ = recorded(into(target, lambda a: np.dot(a[:, None], np.ones((1, 1)))[:, 0] * 2), x)
    calls = without_copies(tape.calls, tape.made)
    assert len(calls) == len(tape.calls) - 1
    x[...] = [5.0, 6.0, 7.0]
    run(calls)
    assert target.tolist() == [10.0, 12.0, 14.0]


def twice(a: Array) -> Array:
    b = a * 2
    np.copyto(np.zeros(3), b)
    return b


@pytest.mark.parametrize(
    ("target", "formula"),
    [
        (np.zeros((2, 3)), lambda a: a * 2),  # broadcast
        (np.zeros(3, np.float32), lambda a: a * 2),  # another type
        (np.zeros(3), twice),  # wanted elsewhere, too
        (np.zeros(2), lambda a: (a * 2)[1:]),  # only a part of it
        (np.zeros(3), lambda a: a[::-1]),  # not made by any call
    ],
)
def test_other_copies_stay(target: Array, formula: Callable[[Array], Array]) -> None:
    x = np.arange(3.0)
    tape, _ = recorded(into(target, formula), x)
    calls = without_copies(tape.calls, tape.made)
    assert calls == tape.calls
    x[...] = [5.0, 6.0, 7.0]
    run(calls)
    assert np.array_equal(target, np.broadcast_to(formula(x), target.shape))


def test_copy_into_what_is_read_in_between_stays() -> None:
    x, target = np.arange(3.0), np.ones(3)

    def reading(a: Array) -> Array:
        b = a * 2
        c = a + target
        np.copyto(target, b)
        return c

    tape, c = recorded(reading, x)
    calls = without_copies(tape.calls, tape.made)
    assert calls == tape.calls
    run(calls)
    assert c.tolist() == [0.0, 3.0, 6.0]
    assert target.tolist() == [0.0, 2.0, 4.0]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
