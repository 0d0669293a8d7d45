"""Lets arrays of a tape that are no longer read make room for later ones.

While a step is recorded every result has memory of its own. Run again like that, a large step
would walk through far more memory than a processor has close by.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import partial

import numpy as np

from harness.autograd.recording import Call

Array = np.ndarray
# Bytes: vector instructions and lines of the cache want whole ones.
_ALIGNMENT = 64
# Bytes that any processor of today has close by.
NEAR = 1 << 18


def shared(
    calls: Sequence[Call], made: Sequence[Array], kept: Iterable[Array], near: int = NEAR
) -> list[Call]:
    """The calls on less memory: that of arrays which calls have `made` is used again.

    Not that of those `kept`, which are wanted after the last call; and none where all of them
    are `near` anyway, in bytes.
    """
    if sum(each.nbytes for each in made) <= near:
        return list(calls)
    lives = _lives(calls, {id(owner(each)) for each in made} - {id(owner(each)) for each in kept})
    beginning, ending = defaultdict(list), defaultdict(list)
    for root, first, last in lives:
        beginning[first].append(root)
        ending[last].append(root)
    place: dict[int, Array] = {}
    free: dict[int, list[Array]] = defaultdict(list)
    moved = []
    for at, call in enumerate(calls):
        for root in beginning[at]:
            blocks = free[root.nbytes]
            place[id(root)] = blocks.pop() if blocks else _block(root.nbytes)
        moved.append(call.changed(lambda array: _at(place, array)))
        for root in ending[at]:
            free[root.nbytes].append(place[id(root)])
    return moved


def without_copies(calls: Sequence[Call], made: Iterable[Array]) -> list[Call]:
    """The calls without those that only copy a result, which is then made where it is wanted."""
    roots = {id(owner(each)) for each in made}
    uses: dict[int, list[int]] = defaultdict(list)
    for at, call in enumerate(calls):
        for root in {id(owner(each)) for each in call.arrays}:
            uses[root].append(at)
    shorter: dict[int, Call] = dict(enumerate(calls))
    for at, call in enumerate(calls):
        if call.function is not np.copyto or not isinstance(call.given[1], np.ndarray):
            continue
        target, source = call.given[:2]
        first, *others = uses[id(owner(source))]
        is_only_copied = id(owner(source)) in roots and others == [at]
        if not is_only_copied or not _is_whole(source, target):
            continue
        between = (each for other in calls[first + 1 : at] for each in other.arrays)
        if not _is_among(target, between):
            shorter[first] = calls[first].changed(partial(_instead, source, target))
            del shorter[at]
    return list(shorter.values())


def _is_among(target: Array, arrays: Iterable[Array]) -> bool:
    return any(np.may_share_memory(each, target) for each in arrays)


def _is_whole(source: Array, target: Array) -> bool:
    """Whether one array can be made in the place of another."""
    root = owner(source)
    is_all = source.shape == root.shape and source.strides == root.strides
    return is_all and source.shape == target.shape and source.dtype == target.dtype


def _instead(source: Array, target: Array, array: Array) -> Array:
    return target if owner(array) is owner(source) else array


def owner(array: Array) -> Array:
    """The array whose memory this one looks at: itself, if it is no view."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _lives(calls: Sequence[Call], roots: set[int]) -> list[tuple[Array, int, int]]:
    """Of each array among `roots`, by id: itself, and the first and last call that has to do
    with it."""
    first: dict[int, tuple[Array, int]] = {}
    last: dict[int, int] = {}
    for at, call in enumerate(calls):
        for array in call.arrays:
            root = owner(array)
            if id(root) in roots:
                first.setdefault(id(root), (root, at))
                last[id(root)] = at
    return [(root, at, last[key]) for key, (root, at) in first.items()]


def _block(size: int) -> Array:
    """So many bytes, aligned."""
    block = np.empty(size + _ALIGNMENT, dtype=np.uint8)
    start = -_address(block) % _ALIGNMENT
    return block[start : start + size]


def _at(place: dict[int, Array], array: Array) -> Array:
    """The array in the place of its memory, where that has moved."""
    root = owner(array)
    block = place.get(id(root))
    if block is None:
        return array
    offset = _address(array) - _address(root)
    return np.ndarray(array.shape, array.dtype, block.data, offset, array.strides)


def _address(array: Array) -> int:
    return int(array.__array_interface__["data"][0])
