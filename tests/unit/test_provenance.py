"""Where numbers come from: the commit of a checkout, and nothing where there is none."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from harness import provenance
from harness.provenance import Provenance, gather


def told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Provenance:
    """The provenance of a run whose package stands in `folder`."""
    monkeypatch.setattr(provenance, "_PACKAGE", folder / "harness")
    return gather(
        backend="numpy",
        seeds=range(3, 6),
        configs={"a": "b"},
        data={"a": "c"},
        settings={"a": {"training.lr": "0.1"}},
        modified=["training.lr=0.1"],
        blas_threads=1,
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A git repository with one commit and one file."""
    (tmp_path / "file").write_text("one", encoding="utf-8")
    for words in (["init", "-q"], ["add", "file"], ["commit", "-q", "-m", "One"]):
        git(tmp_path, *words)
    return tmp_path


def git(folder: Path, *words: str) -> str:
    named = {f"GIT_{who}_{what}": "a@b.example" for who in ("AUTHOR", "COMMITTER")
             for what in ("NAME", "EMAIL")}  # fmt: skip
    alone = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(
        ["git", "-C", str(folder), *words], env={**os.environ, **named, **alone},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def test_commit_and_dirt_of_a_checkout_are_told(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean = told(checkout, monkeypatch)
    assert (clean.commit, clean.dirty) == (git(checkout, "rev-parse", "HEAD"), False)
    (checkout / "file").write_text("two", encoding="utf-8")
    assert told(checkout, monkeypatch).dirty is True


def test_results_of_a_run_are_no_dirt(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (checkout / "runs").mkdir()
    (checkout / "runs" / "scorecard.json").write_text("{}", encoding="utf-8")
    assert told(checkout, monkeypatch).dirty is False


def test_installed_package_in_somebodys_repository_has_no_commit(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """site-packages inside another project's checkout: its commit is not ours."""
    inside = checkout / ".venv" / "lib" / "site-packages"
    inside.mkdir(parents=True)
    found = told(inside, monkeypatch)
    assert (found.commit, found.dirty) == (None, None)


@pytest.mark.parametrize("kind", ["no repository", "no commit", "no git"])
def test_without_a_commit_nothing_is_told(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind != "no repository":
        git(tmp_path, "init", "-q")
    if kind == "no git":
        monkeypatch.setenv("PATH", str(tmp_path))
    found = told(tmp_path, monkeypatch)
    assert (found.commit, found.dirty) == (None, None)


def test_machine_and_request_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = told(tmp_path, monkeypatch)
    assert found.numpy == np.__version__
    assert found.seeds == [3, 4, 5]
    assert found.configs == {"a": "b"}
    assert found.data == {"a": "c"}
    assert found.modified == ["training.lr=0.1"]
    assert all([found.python, found.blas, found.cpu, found.platform, found.harness])


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
