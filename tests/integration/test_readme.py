"""The README's commands are run, and what they print is what it shows, but for the numbers."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click import Context

from tests.examples import ROOT

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


Block = list[tuple[str, str]]


def blocks() -> dict[str, Block]:
    """By its last command: all commands of a console block, each with what it prints."""
    found = {}
    for block in re.findall(r"```console\n(.*?)```", TEXT, flags=re.DOTALL):
        parts = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
        pairs = [(part.partition("\n")[0], part.partition("\n")[2]) for part in parts]
        found[pairs[-1][0]] = pairs
    return found


def shape(text: str) -> list[str]:
    """The words of a text with every number as #: what may differ from machine to machine."""
    text = re.sub(r"\b[0-9a-f]{7}\b", "#", text)
    return re.sub(r"[-+]?\d+(\.\d+)?(e[-+]?\d+)?", "#", text).split()


def numbers(text: str) -> list[float]:
    """Every number but the seconds: seeds are fixed, but other BLAS libraries round differently."""
    words = re.sub(r"[\d.]+ s\b", "", text)
    return [float(word) for word in re.findall(r"\d+\.\d+|\d+", words)]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of what the commands need, with the milestone that the README writes."""
    for folder in ("harness", "configs", "data", "milestones"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignored)
    (own,) = re.findall(r"```yaml\n(.*?)```", TEXT, flags=re.DOTALL)
    (tmp_path / "and_gate.yaml").write_text(own, encoding="utf-8")
    (tmp_path / ".gitignore").write_text("/runs/\n__pycache__/\n", encoding="utf-8")
    git = ["git", "-c", "user.name=A", "-c", "user.email=a@b.example"]
    for words in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "All"]):
        subprocess.run([*git, *words], cwd=tmp_path, check=True)
    return tmp_path


def printed_by(command: str, folder: Path) -> str:
    words = command.replace("make run", "harness run --all").split(" ", 1)
    if words[0] == "harness":
        command = f"{sys.executable} -m harness {words[1]}"
    environment = {**os.environ, "PYTHONPATH": str(folder), "XDG_CACHE_HOME": str(folder / "runs")}
    done = subprocess.run(
        command, shell=True, cwd=folder, env=environment, capture_output=True, text=True, timeout=60
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    "last", [last for last, block in blocks().items() if any(shown for _, shown in block)]
)
def test_readme_command_prints_what_is_shown(last: str, copy: Path) -> None:
    for command, shown in blocks()[last]:
        printed = printed_by(command, copy)

        assert shape(printed) == shape(shown)
        assert numbers(printed) == pytest.approx(numbers(shown), rel=0.1)


def test_readme_has_output_of_several_commands() -> None:
    assert sum(any(shown for _, shown in block) for block in blocks().values()) >= 6


def test_readme_names_every_verb_and_option_of_run() -> None:
    from harness.cli import cli
    from harness.verbs.run import run

    options = [option for parameter in run.params for option in parameter.opts]
    missing = [
        word
        for word in [*(f"harness {verb}" for verb in cli.list_commands(Context(cli))), *options]
        if word.startswith(("-", "harness")) and word not in TEXT and word not in ("--quiet",)
    ]
    assert [word for word in missing if word != "--verbose"] == []


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
