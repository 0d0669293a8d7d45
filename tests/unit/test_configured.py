"""What is trained against what is declared, and both against what is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness import config_files, datasets
from harness.backends import load
from harness.checks.base import Verdict
from harness.checks.configured import config_is_as_written
from harness.config import MilestoneConfig
from harness.probes.milestone import declared
from harness.probes.models.specimen import Specimen
from tests.examples import healthy, small_file

SHIPPED = config_files.load(config_files.find("transformer"))


def verdict(
    trained: MilestoneConfig,
    asked: MilestoneConfig = SHIPPED,
    calibration: dict[str, object] | None = None,
) -> Verdict:
    """Of a job that was told `asked`, and trains something else."""
    record = healthy()
    specimen = Specimen(trained, load("numpy"), datasets.load(asked), 0)
    record.probed.measured["declared"] = list(declared.measure(specimen))
    return config_is_as_written(asked, record, calibration)


def altered(change: Callable[[dict[str, Any]], object]) -> MilestoneConfig:
    values = SHIPPED.model_dump(exclude_none=True)
    change(values)
    return MilestoneConfig.model_validate(values)


def test_config_that_is_trained_as_written_passes() -> None:
    assert verdict(SHIPPED).status == "pass"
    assert verdict(altered(lambda d: d.update(title="Another"))).status == "pass"


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], object], list[str]]] = {
    "training.lr: 0.02 is trained, 0.01 is declared":
        (lambda d: d["training"].update(lr=0.02), ["training.lr"]),
    'training.lr_decay: null is trained, "linear" is declared':
        (lambda d: d["training"].pop("lr_decay"), ["training.lr_decay", "Adam"]),
    "training.evaluate_rows: null is trained, 64 is declared":
        (lambda d: d["training"].pop("evaluate_rows"), ["training.evaluate_rows"]),
    "data.train_rows: 7999 is trained, 8000 is declared":
        (lambda d: d["data"].update(train_rows=7999), ["data.train_rows", "the data"]),
    "layers.attention.num_heads: 4 is trained, 2 is declared":
        (lambda d: d["layers"]["attend"]["layers"]["attention"].update(num_heads=4),
         ["layers.attention.num_heads", "attention", "MultiHeadAttention"]),
    "layers.attention.is_causal: nothing is trained, true is declared":
        (lambda d: d["layers"]["attend"]["layers"]["attention"].pop("is_causal"),
         ["layers.attention.is_causal"]),
    'layers.relu.type: "GELU" is trained, "ReLU" is declared':
        (lambda d: d["layers"]["think"]["layers"]["relu"].update(type="GELU"),
         ["layers.relu.type", "relu", "ReLU"]),
}  # fmt: skip


@pytest.mark.parametrize("reason", CHANGES)
def test_setting_that_is_trained_otherwise_is_named(reason: str) -> None:
    change, culprits = CHANGES[reason]
    failed = verdict(altered(change))
    assert failed.status == "fail"
    assert failed.reason == f"the config: {reason}"
    assert failed.evidence["culprits"][0] == "the config"  # type: ignore[index]
    assert set(culprits) <= set(failed.evidence["culprits"])  # type: ignore[call-overload]


def test_layers_in_another_order_are_named_by_what_they_are_in() -> None:
    def turn(values: dict[str, Any]) -> None:
        think = values["layers"]["think"]
        think["layers"] = dict(reversed(think["layers"].items()))

    assert verdict(altered(turn)).reason.startswith("the config: layers.think.order: ")


def test_layer_that_is_lost_is_named_before_the_order() -> None:
    failed = verdict(altered(lambda d: d["layers"].pop("positions")))
    assert failed.reason.startswith(
        'the config: layers.positions.type: nothing is trained, "SinusoidalPositions" is declared'
    )


# --- the reader ---------------------------------------------------------------------------


def test_value_that_is_not_what_is_written_is_the_readers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness import yaml_source

    right = yaml_source._scalar
    monkeypatch.setattr(
        yaml_source,
        "_scalar",
        lambda source, text, path: 79 if text == "80" else right(source, text, path),
    )
    found = config_files.load(small_file(tmp_path))
    failed = verdict(found, found)
    assert failed.reason == "the config reader: training.epochs: 79 was read, '80' is written"
    assert failed.evidence["culprits"] == ["the config reader", "training.epochs"]


@pytest.mark.parametrize(
    ("written", "digest", "status"),
    [
        (SHIPPED.written, SHIPPED.digest, "pass"),
        (SHIPPED.written, "another", "fail"),
        ("another", "another", "pass"),
        (None, "another", "pass"),
    ],
)
def test_same_text_of_other_values_on_record_is_the_readers(
    written: str | None, digest: str, status: str
) -> None:
    calibration: dict[str, object] = {"config": digest}
    if written is not None:
        calibration["written"] = written
    found = verdict(SHIPPED, calibration=calibration)
    assert found.status == status
    if status == "fail":
        assert found.evidence["culprits"] == ["the config reader"]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
