"""Reads the arrays in data/ and holds them against the manifest."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from harness.datasets.base import array_digest
from harness.errors import DataError
from harness.resources import root
from harness.yaml_source import read

_HINT = "Restore data/ from the repository, or install the package again."


def shipped_arrays(name: str) -> dict[str, np.ndarray]:
    """The arrays of `data/<name>.npz`, each as the manifest describes it."""
    folder = root("data")
    arrays = read_arrays(folder / f"{name}.npz", _HINT)
    for key, expected in _digests(folder, name).items():
        if key not in arrays or array_digest(arrays[key]) != expected:
            raise DataError(f"data/{name}.npz: '{key}' is not what the manifest says", _HINT)
    return arrays


def _digests(folder: Path, name: str) -> dict[str, str]:
    """The sha256 of each array of one file, from the manifest."""
    # The manifest is plain YAML: a mapping of names to mappings.
    manifest: Any = read(folder / "manifest.yaml").data
    try:
        found = {key: array["sha256"] for key, array in manifest[name]["arrays"].items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"data/manifest.yaml does not describe {name}.npz", _HINT) from error
    return found


def read_arrays(file: Path, hint: str) -> dict[str, np.ndarray]:
    """All arrays of an .npz file, none of them pickled objects; `hint` goes with any error."""
    try:
        with file.open("rb") as handle:
            if not zipfile.is_zipfile(handle):
                raise DataError(f"{file} is not an .npz file", hint)
            handle.seek(0)
            with np.load(handle, allow_pickle=False) as archive:
                return {key: archive[key] for key in archive.files}
    except FileNotFoundError as error:
        raise DataError(f"{file} is missing", hint) from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{file} cannot be read: {error}", hint) from error
