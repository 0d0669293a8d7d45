"""The committed references, and files that are none: numbers by hand, and a sentence for each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness import config_files, datasets
from harness.backends import load as load_backend
from harness.errors import DataError, UsageError
from harness.probes.models.specimen import Specimen
from harness.references import files
from harness.references.making import make
from tests.examples import NAMES


def committed(name: str) -> files.Reference:
    return files.read(files.file_for(name))


def changed(folder: Path, **arrays: np.ndarray | None) -> Path:
    """The perceptron's file with some arrays replaced, or taken out."""
    with np.load(files.file_for("perceptron")) as found:
        kept = {**{name: found[name] for name in found.files}, **arrays}
    file = folder / "reference.npz"
    np.savez(file, **{name: each for name, each in kept.items() if each is not None})
    return file


def about(**changes: Any) -> np.ndarray:
    """What the perceptron's file says of itself, some of it changed."""
    text = json.dumps({**committed("perceptron").about, **changes})
    return np.frombuffer(text.encode(), dtype=np.uint8)


def test_perceptron_is_what_a_few_lines_of_numpy_make_of_its_start() -> None:
    """Logistic regression by gradient descent with lr 0.1: p -= 0.1 mean((s(z) - y) x)."""
    found = committed("perceptron")
    w = found.start.weights["output.weight"].astype(np.float64)  # (1, 2)
    b = found.start.weights["output.bias"].astype(np.float64)  # (1,)
    for step, (x, y) in enumerate(zip(found.start.x, found.start.y, strict=True)):
        z = x.astype(np.float64) @ w[0] + b[0]
        loss = np.mean(np.log(1.0 + np.exp(-z)) + (1.0 - y.ravel()) * z)
        residual = (1.0 / (1.0 + np.exp(-z)) - y.ravel()) / len(z)
        grad_w, grad_b = residual @ x.astype(np.float64), residual.sum()
        assert found.loss[step] == pytest.approx(loss, rel=1e-12)
        if step == 0:
            assert found.logits.ravel() == pytest.approx(z, rel=1e-12)
            assert found.gradients["output.weight"][0] == pytest.approx(grad_w, rel=1e-12)
            assert found.gradients["output.bias"] == pytest.approx([grad_b], rel=1e-12)
        w, b = w - 0.1 * grad_w, b - 0.1 * grad_b
        lengths = [np.linalg.norm(w), np.linalg.norm(b)]
        assert found.value_norm[step] == pytest.approx(lengths, rel=1e-12)
    assert step == 19


def test_committed_references_are_small_and_of_torch_in_double_precision() -> None:
    sizes = [files.file_for(name).stat().st_size for name in NAMES]
    assert sum(sizes) < 400_000
    assert all(committed(name).about["dtype"] == "float64" for name in NAMES)
    assert {committed(name).about["backend"] for name in NAMES} == {"torch"}


@pytest.mark.parametrize("name", NAMES)
def test_committed_reference_is_of_the_config_as_it_is(name: str) -> None:
    found, now = committed(name), config_files.load(config_files.find(name))
    assert found.about["config"] == now.digest
    assert found.about["data"] == datasets.load(now).digest
    assert list(found.start.weights) == list(found.gradients)
    assert found.start.steps == 20


@pytest.mark.parametrize("name", NAMES)
def test_every_layer_loss_and_optimizer_declares_its_convention(name: str) -> None:
    found, now = committed(name), config_files.load(config_files.find(name))
    words = {spec.type for spec in now.layers.values()}
    words |= {now.training.loss, now.training.optimizer, "initial weights"}
    activations = {"Tanh", "Sigmoid"}  # there is one way to compute them
    assert words - activations <= found.about["conventions"].keys()


def test_what_is_written_is_read_and_the_bytes_repeat(tmp_path: Path) -> None:
    found = committed("transformer")
    files.save(found, tmp_path / "a" / "reference.npz")
    again = files.read(tmp_path / "a" / "reference.npz")
    files.save(again, tmp_path / "b.npz")
    first, second = (
        (tmp_path / "a" / "reference.npz").read_bytes(),
        (tmp_path / "b.npz").read_bytes(),
    )
    assert first == second
    assert again.about == found.about
    assert np.array_equal(again.start.x, found.start.x)
    assert again.start.x.dtype == np.int64
    assert [*tmp_path.glob("**/.reference*")] == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "damaged, or no reference"),
        (b"PK\x03\x04 nothing of a zip file", "damaged, or no reference"),
        (b"{}", "damaged, or no reference"),
    ],
)
def test_file_of_another_kind_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    file = tmp_path / "reference.npz"
    file.write_bytes(content)
    with pytest.raises(DataError, match=words) as caught:
        files.read(file)
    assert str(file) in caught.value.message
    assert "harness reference" in caught.value.hint


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_truncated_file_is_refused(tmp_path: Path, share: float) -> None:
    whole = files.file_for("cnn").read_bytes()
    file = tmp_path / "reference.npz"
    file.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(DataError, match="damaged, or no reference"):
        files.read(file)


def test_file_with_a_flipped_byte_is_refused(tmp_path: Path) -> None:
    whole = bytearray(files.file_for("cnn").read_bytes())
    whole[len(whole) // 2] ^= 0xFF
    file = tmp_path / "reference.npz"
    file.write_bytes(bytes(whole))
    with pytest.raises(DataError, match="damaged, or no reference"):
        files.read(file)


def test_pickled_objects_are_not_read(tmp_path: Path) -> None:
    file = changed(tmp_path, loss=np.array([{"a": 1}] * 20, dtype=object))
    with pytest.raises(DataError, match="damaged, or no reference"):
        files.read(file)


def test_file_of_a_newer_harness_says_so(tmp_path: Path) -> None:
    file = changed(tmp_path, about=about(schema="harness.reference/2"))
    with pytest.raises(DataError, match="written by a newer harness") as caught:
        files.read(file)
    assert caught.value.hint == "Update the harness to read it."


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"about": None}, "does not say what it is"),
        ({"about": np.frombuffer(b"[1, 2]", np.uint8)}, "does not say what it is"),
        ({"about": about(schema="harness.scorecard/3")}, "its schema is 'harness.scorecard/3'"),
        ({"about": about(shapes={"output.weight": [1, 4]})}, "'weights' does not have 4 rows"),
        ({"loss": None}, "'loss' is missing or misshapen"),
        ({"loss": np.zeros((20, 2))}, "'loss' is missing or misshapen"),
        ({"loss": np.zeros(19)}, "'loss' does not have 20 rows"),
        ({"gradients": np.zeros(2)}, "'gradients' does not have 3 rows"),
    ],
)
def test_file_that_lacks_something_says_what(
    tmp_path: Path, arrays: dict[str, np.ndarray | None], words: str
) -> None:
    with pytest.raises(DataError, match="is no reference") as caught:
        files.read(changed(tmp_path, **arrays))
    assert words in caught.value.message


def test_engine_of_another_convention_makes_no_reference() -> None:
    from harness.faults import planted

    found = config_files.load(config_files.find("transformer"))
    with (
        planted("ok_ln_eps_outside", "numpy") as ground,
        pytest.raises(UsageError, match=r"has another convention .* LayerNorm 'norm1'"),
    ):
        make(found, ground.backend, datasets.load(found))


def test_more_steps_than_there_are_make_no_reference() -> None:
    found = config_files.load(config_files.find("perceptron"))
    with pytest.raises(UsageError, match="perceptron has 200 steps, 201 were asked for"):
        make(found, load_backend("numpy"), datasets.load(found), steps=201)


def test_a_reference_has_the_weights_that_its_engine_draws() -> None:
    found = config_files.load(config_files.find("xor"))
    made = make(found, load_backend("numpy"), datasets.load(found), "float32", steps=2)
    model = Specimen(found, load_backend("numpy"), datasets.load(found), 0).model()
    assert made.about["dtype"] == "float32"
    assert made.start.weights.keys() == model.parameters.keys()
    for label, weights in made.start.weights.items():
        assert np.array_equal(weights, model.parameters[label].data)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
