"""Randomness: every use draws from a stream of its own, all of them children of one seed.

Streams are named, so that adding a layer or a probe leaves the draws of all others alone.
"""

from __future__ import annotations

import zlib

import numpy as np


def stream(seed: int, *name: str) -> np.random.Generator:
    """The generator of that name, such as `stream(0, "layer", "conv1")`."""
    key = tuple(zlib.crc32(part.encode()) for part in name)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
