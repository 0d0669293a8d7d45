"""The wheel holds all that a run needs, and works from any directory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests.examples import NAMES, ROOT

pytestmark = pytest.mark.slow


def run(*command: str | Path, cwd: Path) -> str:
    """The command's output; neither the checkout nor its settings reach it."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=kept, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def pip(*arguments: str | Path, cwd: Path) -> None:
    run(sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments, cwd=cwd)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT, cwd=folder)
    (file,) = folder.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `harness` command of an environment that has the wheel and nothing of the checkout.

    Its dependencies are those of this environment: nothing is fetched.
    """
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=False)
    python = next(file for place in ("bin", "Scripts") for file in (folder / place).glob("python*"))
    site = Path(
        run(python, "-c", "import site; print(site.getsitepackages()[-1])", cwd=folder).strip()
    )
    pip("--python", python, "install", "--no-deps", "--no-index", wheel, cwd=folder)
    here = Path(pytest.__file__).resolve().parent.parent
    # Appended, so that what is installed wins; .pth files in `here` are not read.
    (site / "dependencies.pth").write_text(f"{here}\n", encoding="utf-8")
    return python.parent / "harness"


def test_wheel_holds_configs_records_and_data_and_no_tests(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for name in NAMES:
        assert f"harness/_shipped/configs/{name}.yaml" in names
        assert f"harness/_shipped/milestones/{name}/README.md" in names
        assert f"harness/_shipped/milestones/{name}/calibration.json" in names
    for name in ("digits.npz", "iris.npz", "manifest.yaml"):
        assert f"harness/_shipped/data/{name}" in names
    assert "harness/py.typed" in names
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"harness"}
    sources = {str(file.relative_to(ROOT)) for file in (ROOT / "harness").rglob("*.py")}
    assert sources <= names
    assert any("LICENSE" in name for name in names)


def test_installed_wheel_runs_from_another_directory(installed: Path, tmp_path: Path) -> None:
    printed = run(installed, "run", "perceptron", "xor", cwd=tmp_path)
    assert "2 of 2 milestones pass." in printed
    card = json.loads((tmp_path / "runs" / "latest" / "scorecard.json").read_text("utf-8"))
    assert card["status"] == "pass"
    assert card["provenance"]["commit"] is None  # it does not run from a checkout


def test_installed_wheel_is_what_runs(installed: Path, tmp_path: Path) -> None:
    python = next(installed.parent.glob("python*"))
    where = run(python, "-c", "import harness; print(harness.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(installed.parent.parent)


def test_installed_wheel_knows_its_milestones_and_records(installed: Path, tmp_path: Path) -> None:
    listed = run(installed, "list", cwd=tmp_path)
    assert [line.split()[0] for line in listed.splitlines()] == list(NAMES)
    assert "on record: " in run(installed, "show", "mlp", cwd=tmp_path)
    assert "digits" not in run(installed, "validate", "cnn", cwd=tmp_path)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
