"""Reads the arrays in data/ and holds them against the manifest."""

from __future__ import annotations

import zipfile
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
    # The manifest is plain YAML: a mapping of names to mappings.
    manifest: Any = read(folder / "manifest.yaml").data
    arrays = read_arrays(folder / f"{name}.npz")
    for key, expected in manifest[name]["arrays"].items():
        if key not in arrays or array_digest(arrays[key]) != expected["sha256"]:
            raise DataError(f"data/{name}.npz: '{key}' is not what the manifest says", _HINT)
    return arrays


def read_arrays(file: Path) -> dict[str, np.ndarray]:
    """All arrays of an .npz file, none of them pickled objects."""
    try:
        with np.load(file, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except FileNotFoundError as error:
        raise DataError(f"{file} is missing", _HINT) from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{file} cannot be read as .npz: {error}", _HINT) from error
