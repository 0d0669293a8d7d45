"""Fingerprints of arrays: small enough to keep, and enough to tell how far two are apart."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b

import numpy as np

# Numbers of a sketch. The distance of two sketches is that of their arrays, give or take a
# quarter (standard deviation 1 / sqrt(2 WIDTH)).
WIDTH = 8


def checksum(*arrays: np.ndarray) -> int:
    """64 bits that are equal for arrays of equal shape, dtype and bits, and 0 for no other."""
    digest = blake2b(digest_size=8)
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return int.from_bytes(digest.digest(), "little") or 1


def norm(array: np.ndarray) -> float:
    """The Euclidean norm, in float64."""
    numbers = np.asarray(array, dtype=np.float64).reshape(-1)
    with np.errstate(all="ignore"):
        return float(np.sqrt(np.dot(numbers, numbers)))


def sketch(array: np.ndarray) -> np.ndarray:
    """(WIDTH,) sums of the numbers with signs of their own: linear, and as long as the array.

    Source: Achlioptas 2003, Database-friendly random projections.
    """
    numbers = np.asarray(array, dtype=np.float64).reshape(-1)
    with np.errstate(all="ignore"):  # what is not finite has a sketch that is not
        return np.asarray(_signs(_rounded_up(numbers.size))[:, : numbers.size] @ numbers)


def _rounded_up(size: int) -> int:
    """The next power of two: so few different tables are kept."""
    return 1 << max(size - 1, 0).bit_length()


@lru_cache(maxsize=32)
def _signs(size: int) -> np.ndarray:
    """(WIDTH, size) of +-1 / sqrt(WIDTH), the same on every machine and with every numpy.

    The signs are bits of splitmix64 (Steele et al. 2014) of the place's number.
    """
    bits = np.arange(1, size + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        bits = (bits ^ (bits >> np.uint64(shift))) * np.uint64(factor)
    bits ^= bits >> np.uint64(31)
    chosen = (bits >> np.arange(WIDTH, dtype=np.uint64)[:, None]) & np.uint64(1)
    return np.asarray((2.0 * chosen - 1.0) / np.sqrt(WIDTH))
