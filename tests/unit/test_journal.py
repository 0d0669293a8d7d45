"""A journal gives back what was written, wherever it is kept."""

from __future__ import annotations

import gc

import numpy as np
import pytest

from harness.probes.runs import journal
from harness.probes.runs.journal import Journal

ARRAYS: list[np.ndarray] = [
    np.array([1.5, -2.0], np.float32),
    np.zeros((0, 3)),
    np.arange(6).reshape(2, 3).T,
    np.array(7.0),
    np.array([[np.nan, np.inf]]),
]


@pytest.mark.parametrize("in_memory", [0, 20, 1 << 20], ids=["file", "both", "memory"])
def test_journal_gives_back_bits_shapes_and_types(
    in_memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "_IN_MEMORY", in_memory)
    written = Journal()
    for array in ARRAYS:
        written.append(array)

    found = written.read(0, len(ARRAYS))

    assert len(written) == len(ARRAYS)
    for got, expected in zip(found, ARRAYS, strict=True):
        assert (got.dtype, got.shape) == (expected.dtype, expected.shape)
        assert got.tobytes() == expected.tobytes()


def test_journal_is_read_while_it_is_written() -> None:
    written = Journal()
    for number in range(5):
        written.append(np.array([number]))
        assert written.read(number, number + 1)[0].tolist() == [number]
        assert written.read(0, 1)[0].tolist() == [0]


def test_reading_past_the_end_gives_what_there_is() -> None:
    written = Journal()
    written.append(np.array([1.0]))
    assert [array.tolist() for array in written.read(0, 9)] == [[1.0]]
    assert written.read(1, 9) == []


def test_what_is_appended_may_change_afterwards() -> None:
    written, array = Journal(), np.array([1.0])
    written.append(array)
    array[:] = 2.0
    assert written.read(0, 1)[0].tolist() == [1.0]


@pytest.mark.filterwarnings("error")
def test_file_is_closed_with_its_journal() -> None:
    written = Journal()
    file = written._file
    written.append(np.zeros(1))
    del written
    gc.collect()
    assert file.closed


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
