"""What the probes of ops are made of: cases, drawn numbers, layouts, and what rounding is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.probes.rounding import compared_in_double, compared_in_single
from harness.probes.trials.cases.case import Case, exactly, tied
from harness.probes.trials.cases.pool import Pool
from harness.probes.trials.layouts import laid_out


@given(way=st.integers(0, 5), shape=st.lists(st.integers(0, 4), max_size=4).map(tuple))
def test_other_layouts_hold_the_same_numbers(way: int, shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).random(shape)
    np.testing.assert_array_equal(laid_out(array, way), array)


def test_two_of_three_layouts_are_not_contiguous() -> None:
    array = np.ones((3, 4))
    assert [laid_out(array, way).flags.c_contiguous for way in range(3)] == [True, False, False]


def test_pool_gives_the_same_for_the_same_seed_and_no_number_twice() -> None:
    one, same, other = Pool(1), Pool(1), Pool(2)
    first = one.signed((3, 4))
    np.testing.assert_array_equal(first, same.signed((3, 4)))
    assert not np.isin(one.signed((3, 4)), first).any()
    assert not np.isin(other.signed((3, 4)), first).any()


def test_equal_numbers_of_a_tied_input_move_together() -> None:
    numbers, pool = tied(6, 5), Pool(1)
    array = numbers.draw(pool)
    along = numbers.direction(array, pool)
    for value in np.unique(array):
        assert len(np.unique(along[array == value])) == 1
    assert len(np.unique(along)) == len(np.unique(array)) > 1


def test_case_says_what_is_called() -> None:
    case = Case((exactly([1.0]), (2, 3), np.zeros(2, int)), {"dim": 0}, {"mask": np.ones(1, bool)})
    assert str(case) == "exact (1,), (2, 3), int64(2,), dim=0, mask bool(1,)"


def test_rounding_of_float32_is_no_error_and_more_than_that_is() -> None:
    right = np.linspace(1.0, 2.0, 50)
    rounded = right.astype(np.float32)
    assert compared_in_single("op", "value", rounded, right, [right]).error == 0.0
    halved = right.astype(np.float16).astype(np.float32)
    assert compared_in_single("op", "value", halved, right, [right]).error > 1e-5


def test_rounding_to_float32_is_an_error_of_float64() -> None:
    right = np.linspace(1.0, 2.0, 50)
    narrow = right.astype(np.float32).astype(np.float64)
    assert compared_in_double("op", "value", narrow, right).error == np.inf
    assert compared_in_double("op", "value", right * (1.0 + 1e-12), right).error < 1e-11


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
