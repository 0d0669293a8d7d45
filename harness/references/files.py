"""The file of a reference, `milestones/<name>/reference.npz`: written whole, read or refused."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from harness.atomic_files import replacing
from harness.errors import DataError, OutputError
from harness.references.course import Start
from harness.references.whole import ARRAYS, Json, require_whole
from harness.resources import root

SCHEMA_NAME, SCHEMA_VERSION = "harness.reference", 1
FILE_NAME = "reference.npz"


@dataclass(frozen=True)
class Reference:
    """A course that another engine took: s steps, t tensors, l layers, w numbers a sketch.

    `about` is where it comes from and what it declares. `gradients` by label and `logits` are
    those of the first step, `loss` (s,) the harness's own; `output_*` (l, ...) are fingerprints
    of the first step's layers, those in a container before it, `gradient_*` and `value_*`
    (s, t, ...) of every step's tensors.
    """

    about: Json
    start: Start
    logits: np.ndarray
    loss: np.ndarray
    gradients: Mapping[str, np.ndarray]
    output_norm: np.ndarray
    output_sketch: np.ndarray
    gradient_norm: np.ndarray
    gradient_sketch: np.ndarray
    value_norm: np.ndarray
    value_sketch: np.ndarray

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of every tensor by label."""
        return {name: array.shape for name, array in self.start.weights.items()}

    @property
    def origin(self) -> str:
        """Such as "torch 2.13.0 in float64"."""
        about = self.about
        return f"{about['backend']} {about['backend_version']} in {about['dtype']}"

    def first(self, steps: int) -> Reference:
        """Only so many of its steps, if it has more."""
        start = replace(self.start, x=self.start.x[:steps], y=self.start.y[:steps])
        kept = ("loss", "gradient_norm", "gradient_sketch", "value_norm", "value_sketch")
        return replace(self, start=start, **{name: vars(self)[name][:steps] for name in kept})


def file_for(name: str) -> Path:
    """Where the reference of a shipped milestone is kept."""
    return root("milestones") / name / FILE_NAME


def save(reference: Reference, file: Path) -> None:
    """Write a reference, whole or not at all: the same bytes for the same numbers."""
    text = json.dumps(reference.about, indent=1, ensure_ascii=False)
    start = reference.start
    arrays = {
        "about": np.frombuffer(text.encode(), dtype=np.uint8),
        "weights": _end_to_end(start.weights),
        "x": _small(start.x),
        "y": _small(start.y),
        "gradients": _end_to_end(reference.gradients),
        **{name: array for name, array in vars(reference).items() if name in ARRAYS
           and name != "gradients"},
    }  # fmt: skip
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file) as new:
            np.savez_compressed(new, **arrays)
    except OSError as error:
        raise OutputError(f"cannot write {file}: {error.strerror}") from error
    _load.cache_clear()


def _end_to_end(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    return np.concatenate([array.ravel() for array in arrays.values()])


def _small(array: np.ndarray) -> np.ndarray:
    """The same numbers in the smallest type that has them exactly."""
    kinds = (np.uint8, np.int32, np.float32) if array.dtype.kind in "iu" else (np.uint8, np.float32)
    for kind in kinds:
        with np.errstate(invalid="ignore"):
            small = array.astype(kind)
        if np.array_equal(small, array):
            return small
    return array


def load(name: str) -> Reference | None:
    """The reference of a shipped milestone; None when there is none.

    Raises DataError for a file that is none, is damaged, or is of a newer harness.
    """
    file = file_for(name)
    # A link that leads nowhere is no reference that was never made.
    return _load(file) if file.exists() or file.is_symlink() else None


@lru_cache(maxsize=32)
def _load(file: Path) -> Reference:
    return read(file)


def read(file: Path) -> Reference:
    """The reference in a file; raises DataError, with the reason, when there is none in it."""
    try:
        arrays = _arrays(file)
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror or error}", _RENEW) from error
    except _DAMAGED as error:
        raise DataError(f"{file} is damaged, or no reference: {error}", _RENEW) from error
    about = _about(arrays, file)
    try:
        require_whole(about, arrays)
        return _reference(arrays, about)
    except ValueError as error:
        raise DataError(f"{file} is no reference: {error}", _RENEW) from error


# What numpy raises for a file that is none of its own, or is cut.
_DAMAGED = (ValueError, TypeError, EOFError, AttributeError, KeyError, NotImplementedError,
            zipfile.BadZipFile, zlib.error)  # fmt: skip
_RENEW = "`harness reference NAME` writes it anew."


def _arrays(file: Path) -> dict[str, np.ndarray]:
    # Opened here: np.load leaves a broken file open.
    with file.open("rb") as stream:
        found = np.load(stream, allow_pickle=False)
        if isinstance(found, np.ndarray):
            raise ValueError("it has one array without a name")
        with found:
            return {name: found[name] for name in found.files}


def _about(arrays: Mapping[str, np.ndarray], file: Path) -> Json:
    try:
        about = json.loads(arrays["about"].tobytes().decode())
        name, _, number = str(about["schema"]).partition("/")
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{file} is no reference: it does not say what it is", _RENEW) from error
    if name != SCHEMA_NAME or not number.isdecimal():
        raise DataError(f"{file} is no reference: its schema is {about['schema']!r}", _RENEW)
    if int(number) != SCHEMA_VERSION:
        is_newer = int(number) > SCHEMA_VERSION
        raise DataError(
            f"{file} was written by {'a newer' if is_newer else 'an older'} harness "
            f"(schema {number}, this one reads {SCHEMA_VERSION})",
            "Update the harness to read it." if is_newer else _RENEW,
        )
    return dict(about)


def _reference(arrays: Mapping[str, np.ndarray], about: Json) -> Reference:
    shapes = {label: tuple(shape) for label, shape in about["shapes"].items()}
    weights, gradients = (_apart(arrays[name], shapes) for name in ("weights", "gradients"))
    tokens = arrays["x"].dtype.kind != "f" and about["x_dtype"][0] in "iu"
    x = arrays["x"].astype(about["x_dtype"]) if tokens else arrays["x"].astype(np.float32)
    start = Start(weights, x, arrays["y"].astype(about["y_dtype"]), int(about["planned_steps"]))
    others = {name: arrays[name] for name in ARRAYS
              if name not in ("weights", "x", "y", "gradients")}  # fmt: skip
    return Reference(about=about, start=start, gradients=gradients, **others)


def _apart(flat: np.ndarray, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes.values()])[:-1]
    parts = np.split(flat, ends)
    return {name: part.reshape(shapes[name]) for name, part in zip(shapes, parts, strict=True)}
