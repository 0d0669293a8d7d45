"""What is on record of a milestone is current: its config, its data, its bands, its README."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from harness import config_files
from harness.on_record import SCHEMA, load
from harness.preparation import Outline
from harness.reports import outline as report
from harness.session import prepared
from tests.examples import NAMES, ROOT

WITH_CONTROLS = [
    (name, label) for name in NAMES for label in config_files.load(config_files.find(name)).controls
]


def readme(name: str) -> str:
    return (ROOT / "milestones" / name / "README.md").read_text(encoding="utf-8")


def on_record(name: str) -> dict[str, Any]:
    file = ROOT / "milestones" / name / "calibration.json"
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def outline(name: str) -> Outline:
    (found,) = prepared([name], "numpy")
    return found


def test_configs_records_and_tests_have_the_same_stems() -> None:
    stems = {file.stem for file in (ROOT / "configs").glob("*.yaml")}
    folders = {folder.name for folder in (ROOT / "milestones").iterdir() if folder.is_dir()}
    text = (ROOT / "tests/milestones/test_learning_verification.py").read_text(encoding="utf-8")
    tests = set(re.findall(r"^def test_(\w+)_learning\(\) -> None:", text, flags=re.MULTILINE))
    assert stems == folders == tests == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_config_is_named_like_its_file(name: str) -> None:
    assert config_files.load(config_files.find(name)).name == name


@pytest.mark.parametrize("name", NAMES)
def test_calibration_is_of_the_current_config_and_data(name: str) -> None:
    found, current = on_record(name), outline(name)
    assert found["schema"] == SCHEMA
    assert found["milestone"] == name
    assert found["config"] == current.config.digest
    assert found["data"] == current.dataset.digest
    assert found["target"] == current.config.targets.accuracy


@pytest.mark.parametrize("name", NAMES)
def test_every_one_of_200_seeds_passes(name: str) -> None:
    found = on_record(name)
    assert found["seeds"] >= 200
    assert found["failing_seeds"] == []
    assert found["accuracy"]["lowest"] >= found["target"]


def test_every_milestone_has_something_that_must_fail_beside_it() -> None:
    assert {name for name, _ in WITH_CONTROLS} == set(NAMES)
    assert len([label for name, label in WITH_CONTROLS if name == "transformer"]) == 2


@pytest.mark.parametrize(("name", "label"), WITH_CONTROLS)
def test_every_control_fails_on_every_one_of_20_seeds(name: str, label: str) -> None:
    found, control = on_record(name), config_files.load(config_files.find(name)).controls[label]
    measured = found["controls"][label]
    assert measured["accuracy"]["highest"] < found["target"]
    assert measured["accuracy"]["highest"] <= (control.at_most or 1.0)
    assert control.layers is None or measured["seeds"] >= 20


@pytest.mark.parametrize("name", NAMES)
def test_time_to_target_is_measured_in_at_least_thirty_points(name: str) -> None:
    every = config_files.load(config_files.find(name)).training.evaluate_every
    assert on_record(name)["steps_to_target"]["median"] / every >= 30


@pytest.mark.parametrize("name", NAMES)
def test_readme_tells_the_history_and_why_the_target_is_what_it_is(name: str) -> None:
    text, milestone = readme(name), config_files.load(config_files.find(name))
    assert text.startswith("# ")
    assert str(milestone.year) in text.splitlines()[0]
    assert re.search(rf"target is {milestone.targets.accuracy:g}", text, flags=re.IGNORECASE)
    assert milestone.people[0].split()[-1] in text
    for label in milestone.controls:
        assert label in text or milestone.controls[label].why in text


@pytest.mark.parametrize("name", NAMES)
def test_readme_gives_the_measured_bands(name: str) -> None:
    text, found = readme(name), on_record(name)
    assert str(found["seeds"]) in text
    for key in ("lowest", "highest"):
        value = found["accuracy"][key]
        assert f"{value:.3f}" in text or f"{value:g}" in text
    for control in found["controls"].values():
        assert f"{control['accuracy']['highest']:.3f}" in text


@pytest.mark.parametrize("name", NAMES)
def test_readme_draws_the_current_shapes(name: str) -> None:
    """What stands there is what `harness show` prints."""
    shown = report.render(outline(name), load(name)).strip()
    block = re.search(rf"\$ harness show {name}\n(.*?)```", readme(name), flags=re.DOTALL)
    assert block is not None
    assert block[1].strip() == shown


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
