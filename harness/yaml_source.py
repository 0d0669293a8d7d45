"""YAML that says where everything stands and refuses what would be misread.

PyYAML follows YAML 1.1, where `no` is False, `012` is 10, `1:30` is 90 and `1e-3` is a
text, and it lets the last of two equal keys win. Here each of these is a problem with
its line and column.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from harness.errors import ConfigError, Problem

Plain = None | bool | int | float | str | list["Plain"] | dict[str, "Plain"]
Path_ = tuple[str | int, ...]
# The last part of the path of a key itself, where the rest is the path of its value.
KEY = "<key>"

MAX_SIZE_BYTES = 1_000_000
MAX_DEPTH = 20
MAX_DIGITS = 30

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
_EXPONENT_WITHOUT_DOT = re.compile(r"([-+]?[0-9]+)([eE][-+]?[0-9]+)")
_YAML_1_1_WORDS = {"yes", "no", "on", "off", "y", "n"}
_LOOKS_LIKE_A_NUMBER = re.compile(r"[-+]?(0[0-9_]+|0[xXoObB][0-9a-fA-F_]+|[0-9][0-9_]*[0-9]|"
                                  r"[0-9]+(:[0-9]+)+)")  # fmt: skip


@dataclass
class Source:
    """A YAML text as plain data, with the place of every key and value by its path."""

    file: str
    text: str
    data: Plain = None
    places: dict[Path_, tuple[int, int]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    # Tags, which composing would turn into types, by their places.
    tags: dict[tuple[int, int], str] = field(default_factory=dict)
    # Paths that do not come from the file, with where they do come from.
    changes: dict[Path_, str] = field(default_factory=dict)

    def problem(self, path: Path_, message: str) -> Problem:
        """`message` at the place of `path`, or of its nearest parent that has one."""
        shown = dotted(path[:-1] if path[-1:] == (KEY,) else path)
        known = path
        while known and known not in self.places and known not in self.changes:
            known = known[:-1]
        if known in self.changes:
            return Problem(self.changes[known], 0, 0, shown, message)
        line, column = self.places.get(known, (1, 1))
        return self.problem_at(line, column, message, shown)

    def mark_change(self, path: Path_, origin: str) -> None:
        """What stands at `path` comes from `origin`, not from the file."""
        self.changes[path] = self.changes[(*path, KEY)] = origin

    def problem_at(self, line: int, column: int, message: str, path: str = "") -> Problem:
        """`message` at a line and column, both counted from 1."""
        lines = self.text.splitlines()
        snippet = lines[line - 1] if 0 < line <= len(lines) and len(lines[line - 1]) < 200 else ""
        return Problem(self.file, line, column, path, message, snippet)


def dotted(path: Path_) -> str:
    """("layers", "conv1", 0) -> "layers.conv1[0]"."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def read(file: Path) -> Source:
    """The text of `file`, parsed; raises ConfigError when it is not usable YAML."""
    name = _shown(file)
    try:
        with file.open("rb") as handle:  # it may be a pipe, or have no end
            content = handle.read(MAX_SIZE_BYTES + 1)
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _unusable(name, f"is not UTF-8 text (byte {error.start})") from error
    except OSError as error:
        raise _unusable(name, f"cannot be read: {error.strerror}") from error
    if len(content) > MAX_SIZE_BYTES:
        raise _unusable(name, f"is larger than {MAX_SIZE_BYTES // 1_000_000} MB")
    return parse(text, name)


def _shown(file: Path) -> str:
    """The path as a person would type it: relative to where they are, if below it."""
    try:
        return str(file.resolve().relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(file)


def _unusable(name: str, message: str) -> ConfigError:
    return ConfigError([Problem(name, 0, 0, "", message)], "A milestone is a small YAML file.")


def parse(text: str, name: str) -> Source:
    """Plain data with places; raises ConfigError when the text is not YAML at all.

    What is YAML but may be misread is left in `problems`, for the caller to raise together
    with its own.
    """
    source = Source(name, text)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        _require_simple(source, loader)
        node = yaml.compose(text, Loader=loader)
    except yaml.YAMLError as error:
        raise ConfigError([_syntax_problem(source, error)]) from error
    if node is None:
        raise _unusable(name, "is empty")
    source.data = _plain(source, node, ())
    return source


def _syntax_problem(source: Source, error: yaml.YAMLError) -> Problem:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    message = f"not valid YAML: {getattr(error, 'problem', None) or error}"
    if mark is None:
        return Problem(source.file, 0, 0, "", message)
    return source.problem_at(*_place(mark), message)


def _place(mark: Any) -> tuple[int, int]:
    """Line and column from 1. `Any`: PyYAML has two classes of marks without a common base."""
    return mark.line + 1, mark.column + 1


def _require_simple(source: Source, loader: type[yaml.SafeLoader]) -> None:
    """Refuse, event by event, what would overflow a stack or a memory once it is composed."""
    depth = 0
    for event in yaml.parse(source.text, Loader=loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if tag := getattr(event, "tag", None):
            source.tags[_place(event.start_mark)] = tag
        if depth > MAX_DEPTH:
            message = f"nested more than {MAX_DEPTH} levels deep"
        elif isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            message = "anchors and aliases (& and *) are not taken; write the value out"
        else:
            continue
        raise ConfigError([source.problem_at(*_place(event.start_mark), message)])


def _plain(source: Source, node: yaml.Node, path: Path_) -> Plain:
    place = _place(node.start_mark)
    source.places.setdefault(path, place)
    if place in source.tags:
        message = f"tags such as {source.tags[place]} are not taken"
        source.problems.append(source.problem(path, message))
    if isinstance(node, yaml.MappingNode):
        return _mapping(source, node, path)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(source, item, (*path, i)) for i, item in enumerate(node.value)]
    if isinstance(node, yaml.ScalarNode) and node.style in ("'", '"', "|", ">"):
        return str(node.value)
    return _scalar(source, str(node.value), path)


def _mapping(source: Source, node: yaml.MappingNode, path: Path_) -> dict[str, Plain]:
    result: dict[str, Plain] = {}
    for key_node, value_node in node.value:
        key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
        line, column = _place(key_node.start_mark)
        if (line, column) in source.tags:
            message = f"tags such as {source.tags[line, column]} are not taken"
            source.problems.append(source.problem_at(line, column, message, dotted(path)))
        if key is None:
            problem = source.problem_at(line, column, "a key must be a word", dotted(path))
            source.problems.append(problem)
            continue
        if key in result:
            message = f"the key '{key}' stands here twice"
            source.problems.append(source.problem_at(line, column, message, dotted(path)))
            continue
        result[key] = _plain(source, value_node, (*path, key))
        source.places[(*path, key, KEY)] = (line, column)
    return result


def _scalar(source: Source, text: str, path: Path_) -> Plain:
    """An unquoted word as null, bool, number or text; ambiguous ones are problems."""
    if text in ("", "~", "null"):
        return None
    if text in ("true", "false"):
        return text == "true"
    if _INTEGER.fullmatch(text) and len(text) <= MAX_DIGITS:
        return int(text)
    if _FLOAT.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    doubt = _doubt(text)
    if doubt:
        source.problems.append(source.problem(path, doubt))
    return text


def _doubt(text: str) -> str:
    """Why an unquoted word may be misread, or nothing."""
    exponent = _EXPONENT_WITHOUT_DOT.fullmatch(text)
    if exponent:
        return (
            f"is the text '{text}', expected a number. "
            f"YAML needs the dot: {exponent[1]}.0{exponent[2]}"
        )
    if text.lower() in _YAML_1_1_WORDS:
        return f"'{text}' may mean a truth value; write true or false, or '{text}' in quotes"
    if text.lower() in ("true", "false", "null"):
        return f"write {text.lower()} in lower case, or '{text}' in quotes"
    if _LOOKS_LIKE_A_NUMBER.fullmatch(text):
        return f"'{text}' may mean several numbers; write it in plain decimal, or in quotes"
    if _INTEGER.fullmatch(text):
        return f"a number of {len(text)} digits is not taken"
    if text.lower().lstrip("+-") in (".inf", ".nan") or _FLOAT.fullmatch(text):
        return f"'{text}' is not a finite number"
    return ""
