"""Fingerprints of arrays: small enough to keep, and enough to tell how far two are apart."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from zlib import crc32

import numpy as np

# Numbers of a sketch. The distance of two sketches is that of their arrays, give or take a
# quarter (standard deviation 1 / sqrt(2 WIDTH)).
WIDTH = 8
# Signs are kept for so many places at a time.
_CHUNK = 4096
# (k,) checksums, (k,) norms and (k, WIDTH) sketches of k arrays.
Fingerprints = tuple[np.ndarray, np.ndarray, np.ndarray]


def checksum(*arrays: np.ndarray) -> int:
    """Equal for arrays of equal shape, dtype and bits, and 0 for none.

    A change within 32 neighbouring bits, one number's, is always seen, any other but for one in
    2 ** 32: CRC-32 of ISO 3309. A cryptographic one costs six times as much at every look.
    """
    crc = 0
    for array in arrays:
        crc = crc32(f"{array.dtype.str}{array.shape}".encode(), crc)
        crc = crc32(np.ascontiguousarray(array).data.cast("B") if array.size else b"", crc)
    return crc or 1


def norm(array: np.ndarray) -> float:
    """The Euclidean norm, in float64."""
    return float(_norms(_numbers([array]))[0])


def sketch(array: np.ndarray) -> np.ndarray:
    """(WIDTH,) sums of the numbers with signs of their own: linear, and as long as the array.

    Source: Achlioptas 2003, Database-friendly random projections.
    """
    return np.asarray(_sketches(_numbers([array]))[0])


def fingerprints(arrays: Sequence[np.ndarray]) -> Fingerprints:
    """Checksum, norm and sketch of each of some arrays of one size, at least one."""
    numbers, sums = _numbers(arrays), [checksum(array) for array in arrays]
    return np.array(sums, np.uint64), _norms(numbers), _sketches(numbers)


def _numbers(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """(k, size) of k arrays, in float64."""
    return np.stack([array.reshape(-1) for array in arrays]).astype(np.float64)


def _norms(numbers: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.asarray(np.sqrt(np.vecdot(numbers, numbers)))


def _sketches(numbers: np.ndarray) -> np.ndarray:
    sketches = np.zeros((len(numbers), WIDTH))
    with np.errstate(all="ignore"):  # what is not finite has a sketch that is not
        for start in range(0, numbers.shape[1], _CHUNK):
            some = numbers[:, start : start + _CHUNK]
            sketches += some @ _signs(start)[: some.shape[1]]
    return sketches


@lru_cache(maxsize=256)
def _signs(start: int) -> np.ndarray:
    """(_CHUNK, WIDTH) of +-1 / sqrt(WIDTH) for the places from `start` on, the same everywhere.

    The signs are bits of splitmix64 (Steele et al. 2014) of the place's number.
    """
    places = np.arange(start + 1, start + 1 + _CHUNK, dtype=np.uint64)
    bits = places * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        bits = (bits ^ (bits >> np.uint64(shift))) * np.uint64(factor)
    bits ^= bits >> np.uint64(31)
    chosen = (bits[:, None] >> np.arange(WIDTH, dtype=np.uint64)) & np.uint64(1)
    return np.asarray((2.0 * chosen - 1.0) / np.sqrt(WIDTH))
