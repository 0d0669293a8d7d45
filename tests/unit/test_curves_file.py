"""The arrays beside a scorecard, read back: all of them, none, or a sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.errors import ScorecardError
from harness.scorecard import CURVES_NAME, FILE_NAME, load_curves, save
from tests.examples import judged, scorecard_of
from tests.sides import record


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save(scorecard_of(judged(record(3))), [record(3)], tmp_path)
    return tmp_path


@pytest.mark.parametrize("by", ["folder", "file"])
def test_curves_are_found_beside_the_scorecard(folder: Path, by: str) -> None:
    found = load_curves(folder if by == "folder" else folder / FILE_NAME)
    np.testing.assert_array_equal(found["small/3/loss"], record(3).loss)
    np.testing.assert_array_equal(
        found["small/3/checkpoints/value_crc"], record(3).checkpoints.value_crc
    )
    assert found["small/3/checkpoints/gradient_crc"].dtype == np.uint64


def test_without_a_file_there_are_no_curves(tmp_path: Path) -> None:
    assert load_curves(tmp_path) == {}


@pytest.mark.parametrize("bytes_", [b"", b"no zip", b"PK\x03\x04 and no more", b"half"])
def test_damaged_file_is_a_sentence(folder: Path, bytes_: bytes) -> None:
    file = folder / CURVES_NAME
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2] if bytes_ == b"half" else bytes_)
    with pytest.raises(ScorecardError, match=r"curves\.npz cannot be read: "):
        load_curves(folder)


def test_file_that_holds_objects_is_refused(folder: Path) -> None:
    np.savez(folder / CURVES_NAME, odd=np.array([{}], dtype=object))
    with pytest.raises(ScorecardError, match="cannot be read"):
        load_curves(folder)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
