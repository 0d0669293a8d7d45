"""The YAML files of milestones: found by name, read with `--set` changes, or refused.

`load(file)` gives a `MilestoneConfig` or raises ConfigError with every problem and its line.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ValidationError

from harness.arguments import Known
from harness.config import Control, Expectations, MilestoneConfig, Origin, Targets, Training
from harness.config_problems import all_problems
from harness.errors import ConfigError, Problem, UsageError, did_you_mean
from harness.plain_reading import digest_of, misreadings, read_words
from harness.resources import root
from harness.yaml_source import Plain, Source, parse, read


def load(file: Path, known: Known | None = None, changes: Sequence[str] = ()) -> MilestoneConfig:
    """The milestone defined in `file`, with `--set` changes like `training.lr=0.1` applied.

    Layers, losses, optimizers and recipes are held against `known` when it is given.
    """
    source = read(file)
    for change in changes:
        _apply(source, change)
    try:
        config = MilestoneConfig.model_validate(source.data, context=known)
    except ValidationError as error:
        raise ConfigError(all_problems(source, error, _keys_at)) from error
    if source.problems:
        raise ConfigError(source.problems)
    words = read_words(source.text, changes)
    misread = tuple(misreadings(words, config.model_dump()))
    written, read_as = digest_of(words), config.digest
    return config.read_from(Origin(source, file.parent, tuple(changes), misread, written, read_as))


def milestone_files() -> dict[str, Path]:
    """The shipped milestones: name -> YAML, in the order of history."""
    files = {file.stem: file for file in root("configs").glob("*.yaml")}
    years = {name: _year(file) for name, file in files.items()}
    return dict(sorted(files.items(), key=lambda item: (years[item[0]], item[0])))


def _year(file: Path) -> int:
    """The year of a milestone without checking the rest of its file."""
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith("year:"):
            word = line.removeprefix("year:").split("#")[0].strip()
            return int(word) if word.isdigit() else 9999
    return 9999


def find(name: str) -> Path:
    """The YAML of a milestone by name, or by path when it looks like one."""
    if name.endswith((".yaml", ".yml")) or "/" in name:
        return Path(name)
    files = milestone_files()
    if name not in files:
        raise UsageError(
            f"unknown milestone '{name}'.{did_you_mean(name, files)}",
            f"Known are {', '.join(files)}; a path to a .yaml file works too.",
        )
    return files[name]


def _apply(source: Source, change: str) -> None:
    """Put one `key=value` into the data, read by the same rules as the file."""
    path, equals, text = change.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise UsageError(
            f"--set {change}: expected key=value", "For example: --set training.lr=0.05"
        )
    parsed = parse(text, f"--set {change}") if text.strip() else Source("", "")
    origin = f"--set {change}"
    shown = ".".join(keys)
    source.problems += [Problem(origin, 0, 0, shown, each.message) for each in parsed.problems]
    node: Plain = source.data
    for depth, key in enumerate(keys[:-1], start=1):
        if isinstance(node, dict) and key not in node:
            source.mark_change(tuple(keys[:depth]), origin)
        node = node.setdefault(key, {}) if isinstance(node, dict) else None
    if not isinstance(node, dict):
        raise UsageError(f"--set {change}: '{path}' is not a key of {source.file}")
    node[keys[-1]] = parsed.data
    source.mark_change(tuple(keys), origin)


def _keys_at(path: tuple[str | int, ...]) -> list[str]:
    """The keys that the model takes at a path, for suggestions."""
    parts: dict[str, type[BaseModel]] = {
        "training": Training,
        "targets": Targets,
        "expectations": Expectations,
        "controls": Control,
    }
    return list((parts[str(path[0])] if path else MilestoneConfig).model_fields)
