"""data/ is what scikit-learn has and the manifest says; anything else is refused."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from harness import resources
from harness.datasets import files
from harness.datasets.base import array_digest
from harness.errors import DataError
from harness.yaml_source import read
from tests.examples import ROOT

DATA = ROOT / "data"


@pytest.fixture(scope="module")
def build() -> ModuleType:
    """data/build.py, which makes the files out of scikit-learn's copies."""
    spec = importlib.util.spec_from_file_location("build", DATA / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_files_hold_what_scikit_learn_has(build: ModuleType) -> None:
    rebuilt = build.arrays()
    assert {file.stem for file in DATA.glob("*.npz")} == rebuilt.keys()
    for name, expected in rebuilt.items():
        found = files.read_arrays(DATA / f"{name}.npz", "")
        assert found.keys() == expected.keys()
        for key, array in expected.items():
            assert found[key].dtype == array.dtype
            np.testing.assert_array_equal(found[key], array)


def test_manifest_is_that_of_the_files(build: ModuleType) -> None:
    assert read(DATA / "manifest.yaml").data == build.manifest(build.arrays())


@pytest.mark.parametrize("name", ["digits", "iris"])
def test_manifest_names_licence_source_rows_and_split(name: str) -> None:
    entry = read(DATA / "manifest.yaml").data[name]
    assert entry["licence"] == "CC BY 4.0"
    assert "doi" in entry["source"]
    assert entry["attribution"]
    assert entry["split"]
    found = files.read_arrays(DATA / f"{name}.npz", "")
    assert {len(array) for array in found.values()} == {entry["rows"]}
    for key, array in found.items():
        assert entry["arrays"][key] == {
            "shape": list(array.shape),
            "dtype": array.dtype.name,
            "sha256": array_digest(array),
        }


@pytest.fixture
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of data/ that a test may spoil, in the place of data/."""
    folder = Path(shutil.copytree(DATA, tmp_path / "data"))
    monkeypatch.setattr(files, "root", lambda name: folder)
    return folder


def test_changed_data_file_is_refused(own_data: Path) -> None:
    found = files.read_arrays(own_data / "iris.npz", "")
    found["measurements"][7, 1] += 1
    np.savez(own_data / "iris.npz", **found)
    with pytest.raises(DataError, match=r"data/iris.npz: 'measurements' is not what the manifest"):
        files.shipped_arrays("iris")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short", b"not an archive"])
def test_broken_data_file_is_refused(own_data: Path, content: bytes) -> None:
    (own_data / "iris.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"iris.npz is not an .npz file") as caught:
        files.shipped_arrays("iris")
    assert "Restore data/" in caught.value.hint


@pytest.mark.parametrize("kept", [100, -100])
def test_truncated_data_file_is_refused(own_data: Path, kept: int) -> None:
    content = (own_data / "digits.npz").read_bytes()
    (own_data / "digits.npz").write_bytes(content[:kept])
    with pytest.raises(DataError, match=r"is not an \.npz file"):
        files.shipped_arrays("digits")


def test_flipped_byte_is_refused(own_data: Path) -> None:
    content = bytearray((own_data / "digits.npz").read_bytes())
    content[len(content) // 2] ^= 1
    (own_data / "digits.npz").write_bytes(bytes(content))
    with pytest.raises(DataError):
        files.shipped_arrays("digits")


def test_missing_data_file_is_refused(own_data: Path) -> None:
    (own_data / "iris.npz").unlink()
    with pytest.raises(DataError, match=r"iris.npz is missing"):
        files.shipped_arrays("iris")


@pytest.mark.parametrize("text", ["digits: {arrays: {}}\n", "[1]\n", "iris: 3\n"])
def test_manifest_without_the_file_is_refused(own_data: Path, text: str) -> None:
    (own_data / "manifest.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(DataError):
        files.shipped_arrays("iris")


def test_missing_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path / "harness")
    with pytest.raises(DataError, match="the folder 'data' is neither in the installed package"):
        resources.root("data")


def test_pickled_objects_are_never_loaded(tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", train_x=np.array([{"a": 1}], dtype=object))
    with pytest.raises(DataError, match="cannot be read"):
        files.read_arrays(tmp_path / "mine.npz", "")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
