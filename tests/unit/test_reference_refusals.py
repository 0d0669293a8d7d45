"""Files that say they are a reference and are none: the file is blamed, and no engine."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.errors import DataError
from harness.references import files
from tests.references import verdict
from tests.specimens import shipped

Arrays = dict[str, np.ndarray]
Change = Callable[[Arrays, dict[str, Any]], None]


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the reference of xor is looked for."""
    file = tmp_path / "reference.npz"
    monkeypatch.setattr(files, "file_for", lambda name: file)
    return file


def write(file: Path, change: Change) -> None:
    """The committed file of xor with something changed in its arrays or its JSON."""
    with np.load(files.root("milestones") / "xor" / "reference.npz") as found:
        arrays = {name: found[name] for name in found.files}
    about = json.loads(arrays["about"].tobytes())
    change(arrays, about)
    arrays["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    np.savez(file, **arrays)  # type: ignore[arg-type]  # by name


def said(**changes: object) -> Change:
    """Entries of its JSON."""
    return lambda arrays, about: about.update(changes)


def lacking(name: str) -> Change:
    return lambda arrays, about: about.pop(name)


def cut(name: str, axis: int) -> Change:
    """One fewer along an axis."""

    def change(arrays: Arrays, about: dict[str, Any]) -> None:
        arrays[name] = np.delete(arrays[name], 0, axis)

    return change


def spoiled(name: str, number: float) -> Change:
    def change(arrays: Arrays, about: dict[str, Any]) -> None:
        arrays[name] = arrays[name].copy()
        arrays[name].flat[0] = number

    return change


def backwards(arrays: Arrays, about: dict[str, Any]) -> None:
    about["shapes"] = dict(reversed(about["shapes"].items()))


BAD: dict[str, tuple[Change, str]] = {
    **{f"without {name}": (lacking(name), f"it lacks '{name}'") for name in (
        "config", "backend", "backend_version", "dtype", "steps", "rows", "planned_steps",
        "x_dtype", "y_dtype", "shapes", "layers", "engine_loss")},
    "no planned steps": (said(planned_steps=0), "its planned_steps is 0"),
    "planned steps in words": (said(planned_steps="many"), "its planned_steps is 'many'"),
    "steps that are true": (said(steps=True), "its steps is True"),
    "loss in words": (said(engine_loss="small"), "its engine_loss is 'small'"),
    "half precision": (said(dtype="float16"), "its dtype is 'float16', expected float32 or"),
    "unknown type": (said(x_dtype="number"), "its x_dtype is 'number'"),
    "text for y": (said(y_dtype="U3"), "its y_dtype is 'U3'"),
    "shape of text": (said(shapes={"a": ["b"]}), "its shapes is"),
    "layers the other way": (said(layers=["output", "tanh", "hidden"]),
                             "its layers are output, tanh, hidden, expected hidden, tanh, output"),
    "tensors the other way": (backwards, "its tensors are in another order than its layers"),
    "gradient norms cut": (cut("gradient_norm", 1), "'gradient_norm' has (3,) a step"),
    "sketches cut": (cut("gradient_sketch", 2), "'gradient_sketch' has (4, 7) a step"),
    "sketches of fewer tensors": (cut("value_sketch", 1), "'value_sketch' has (3, 8) a step"),
    "output sketches cut": (cut("output_sketch", 1), "'output_sketch' does not have 8 numbers"),
    "x of fewer features": (cut("x", 2), "a row of its x is (1,), in the data it is (2,)"),
    "x of fewer rows": (cut("x", 1), "'x' has the shape (20, 3, 2), expected 4 rows a step"),
    "y of fewer rows": (cut("y", 1), "'y' has the shape (20, 3), expected 4 rows a step"),
    "fewer logits": (cut("logits", 0), "'logits' has another number of rows than the targets"),
    "loss that is no number": (spoiled("loss", np.nan), "'loss' has numbers that are not finite"),
    "infinite weight": (spoiled("weights", np.inf), "'weights' has numbers that are not finite"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_file_is_blamed_and_the_engine_is_not(kept: Path, what: str) -> None:
    change, words = BAD[what]
    write(kept, change)
    found = verdict(shipped("xor"))
    assert (found.status, found.evidence["culprits"]) == ("fail", ["the reference"])
    assert found.reason.startswith(f"{kept} is no reference")
    assert words in found.reason
    assert found.hint == "`harness reference NAME` writes the file anew."


def test_file_as_it_is_passes(kept: Path) -> None:
    write(kept, said())
    assert verdict(shipped("xor")).status == "pass"


def test_newer_file_calls_for_a_newer_harness(kept: Path) -> None:
    write(kept, said(schema="harness.reference/2"))
    found = verdict(shipped("xor"))
    assert "was written by a newer harness (schema 2, this one reads 1)" in found.reason
    assert found.hint == "Update the harness to read it."


def test_single_array_under_that_name_is_refused(kept: Path) -> None:
    with kept.open("wb") as stream:
        np.save(stream, np.zeros(3))
    with pytest.raises(DataError, match="it has one array without a name") as caught:
        files.read(kept)
    assert str(kept) in caught.value.message


def test_link_that_leads_nowhere_cannot_be_read(kept: Path, tmp_path: Path) -> None:
    kept.symlink_to(tmp_path / "gone.npz")
    found = verdict(shipped("xor"))
    assert found.status == "fail"
    assert found.reason == f"{kept} cannot be read: No such file or directory"


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
