"""Fingerprints: equal bits have equal checksums, and sketches are as far apart as their arrays."""

from __future__ import annotations

import numpy as np
import pytest

from harness.fingerprints import WIDTH, checksum, sketch


def test_equal_bits_have_equal_checksums_and_no_others() -> None:
    array = np.arange(6, dtype=np.float32)
    turned = np.asfortranarray(array.reshape(2, 3))
    assert checksum(array) == checksum(array.copy())
    assert checksum(turned) == checksum(np.ascontiguousarray(turned))
    others = [array.astype(np.float64), array.reshape(2, 3), array[::-1], -array,
              np.nextafter(array, np.float32(9))]  # fmt: skip
    assert len({checksum(array), *map(checksum, others)}) == 6


def test_zero_and_minus_zero_are_other_bits() -> None:
    assert checksum(np.zeros(1)) != checksum(-np.zeros(1))


def test_several_arrays_have_one_checksum_that_knows_where_one_ends() -> None:
    a, b = np.arange(2.0), np.arange(3.0)
    assert checksum(a, b) != checksum(b, a)
    assert checksum(np.arange(4.0)[:1], np.arange(4.0)[1:]) != checksum(np.arange(4.0))


@pytest.mark.parametrize("size", [1, 7, 100, 5000])
def test_sketch_is_about_as_long_as_its_array(size: int) -> None:
    rng = np.random.default_rng(0)
    ratios = [
        np.linalg.norm(sketch(array)) / np.linalg.norm(array)
        for array in rng.standard_normal((200, size))
    ]
    # The squares have mean 1 and variance 2 / WIDTH at most: Achlioptas 2003, lemma 4.1.
    assert np.mean(np.square(ratios)) == pytest.approx(1.0, abs=4 * np.sqrt(2 / WIDTH / 200))
    assert min(ratios) > 0.2


def test_sketch_is_linear() -> None:
    a, b = np.random.default_rng(1).standard_normal((2, 50))
    np.testing.assert_allclose(sketch(3 * a - b), 3 * sketch(a) - sketch(b), atol=1e-12)


def test_sketch_sees_what_a_norm_does_not() -> None:
    array = np.random.default_rng(2).standard_normal((20, 20))
    for other in (-array, array.T, array[::-1], np.roll(array, 1)):
        assert np.linalg.norm(sketch(array) - sketch(other)) > 0.5 * np.linalg.norm(array)


def test_signs_are_those_of_splitmix64() -> None:
    # The first outputs of the generator from state 0: Steele, Lea and Flood 2014.
    first = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    for place, bits in enumerate(first):
        one = np.zeros(3)
        one[place] = np.sqrt(WIDTH)
        expected = [2 * (bits >> k & 1) - 1 for k in range(WIDTH)]
        np.testing.assert_allclose(sketch(one), expected, atol=1e-12)


def test_sketch_of_what_is_not_finite_is_not_finite() -> None:
    assert not np.isfinite(sketch(np.array([1.0, np.inf]))).any()
    assert np.isnan(sketch(np.array([np.nan]))).all()


def test_empty_array_has_the_sketch_of_nothing() -> None:
    assert sketch(np.zeros((0, 3))).tolist() == [0.0] * WIDTH
    assert checksum(np.zeros((0, 3))) != checksum(np.zeros((0, 4)))


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
