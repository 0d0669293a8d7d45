"""Expected failures of an engine, which live in a file beside it: read, and held against the cases.

[[xfail]]
id = "L1/max/gradient/tied*"      # an id of `harness conform --list`; * and ? are wildcards
reason = "all of a tie gets the whole gradient, as numpy's maximum has it"
strict = false                    # optional: whether it passes may depend on the machine
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from harness import backends
from harness.errors import ConfigError, Problem, UsageError, did_you_mean

SUFFIX = ".xfails.toml"
_KEYS = {"id": str, "reason": str, "strict": bool}
_HEADER = re.compile(r"\s*\[\[\s*xfail\s*\]\]")
_PLACE = re.compile(r"\(at line (\d+), column (\d+)\)")
_HINT = 'An entry is [[xfail]] with id = "..." and reason = "...".'


@dataclass(frozen=True)
class ExpectedFailure:
    """One entry: cases that fail, and why they may. `place` is file:line."""

    id: str
    reason: str
    place: str
    strict: bool = True

    def fits(self, id_: str) -> bool:
        """Whether it is about that case."""
        if id_ == self.id:
            return True
        words = "".join({"*": ".*", "?": "."}.get(each, re.escape(each)) for each in self.id)
        return re.fullmatch(words, id_) is not None


def file_beside(backend: str) -> Path | None:
    """Where the expected failures of an engine would be; None when its file is not known."""
    if backend in backends.available():
        return Path(backends.__file__).parent / f"{backend}{SUFFIX}"
    if backend.endswith(".py"):
        return Path(backend).with_suffix(SUFFIX)
    try:
        spec = find_spec(backend)
    except (ImportError, ValueError):
        return None
    return Path(spec.origin).with_suffix(SUFFIX) if spec and spec.origin else None


def load(backend: str, file: Path | None, ids: Sequence[str]) -> tuple[ExpectedFailure, ...]:
    """The expected failures of an engine, from `file` or from the file beside it, if any.

    Raises ConfigError, with all problems at once, for a file that cannot be used: it is not
    TOML, an entry is no entry, or an id is that of no case.
    """
    if file is None:
        beside = file_beside(backend)
        if beside is None or not beside.is_file():
            return ()
        file = beside
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError(f"{file} cannot be read: {why}", _HINT) from error
    return _Reading(shown(file), text).entries(ids)


def shown(file: Path) -> str:
    """The path from the current folder where the file is below it."""
    return str(file.relative_to(Path.cwd())) if file.is_relative_to(Path.cwd()) else str(file)


class _Reading:
    """One file, with the lines that its entries stand in."""

    def __init__(self, file: str, text: str) -> None:
        self.file, self.lines = file, text.splitlines()
        self.headers = [i for i, line in enumerate(self.lines) if _HEADER.match(line)]
        try:
            self.data = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigError([self._not_toml(str(error))], _HINT) from error

    def entries(self, ids: Sequence[str]) -> tuple[ExpectedFailure, ...]:
        """All entries; raises ConfigError with everything that is wrong with any of them."""
        problems = [
            self._problem(self._line_of(key), f"unknown key '{key}'.{did_you_mean(key, ['xfail'])}")
            for key in self.data
            if key != "xfail"
        ]
        given = self.data.get("xfail", [])
        if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
            problems.append(self._problem(self._line_of("xfail"), "xfail is no list of entries"))
            given = []
        found = []
        for number, each in enumerate(given):
            own = list(self._problems_of(number, each))
            problems += own
            if not own:
                place = f"{self.file}:{self._line(number)}"
                entry = ExpectedFailure(
                    each["id"], each["reason"].strip(), place, each.get("strict", True)
                )
                problems += self._unmatched(number, entry, ids)
                found.append(entry)
        if problems:
            raise ConfigError(problems, _HINT)
        return tuple(found)

    def _problems_of(self, number: int, entry: dict[str, object]) -> Iterator[Problem]:
        line = self._line(number)
        for key, value in entry.items():
            if key not in _KEYS:
                message = f"unknown key '{key}'.{did_you_mean(key, _KEYS)}"
                yield self._problem(self._line_of(key, line), message)
            elif not isinstance(value, _KEYS[key]):
                kind = {str: "a text", bool: "true or false"}[_KEYS[key]]
                message = f"{key} is {value!r}, expected {kind}"
                yield self._problem(self._line_of(key, line), message)
        for key in ("id", "reason"):
            if key not in entry:
                yield self._problem(line, f"the entry has no {key}")
            elif isinstance(entry[key], str) and not str(entry[key]).strip():
                yield self._problem(self._line_of(key, line), f"{key} is empty")

    def _unmatched(
        self, number: int, entry: ExpectedFailure, ids: Sequence[str]
    ) -> Iterator[Problem]:
        if not any(map(entry.fits, ids)):
            message = f"id '{entry.id}' is that of no case.{did_you_mean(entry.id, ids)}"
            yield self._problem(self._line_of("id", self._line(number)), message)

    def _line(self, number: int) -> int:
        """The line of an entry's header; the first line where entries are written otherwise."""
        return self.headers[number] + 1 if number < len(self.headers) else 1

    def _line_of(self, key: str, start: int = 1) -> int:
        """The line of a key, from that line on."""
        begins = re.compile(rf'\s*(\[\[?\s*)?["\']?{re.escape(key)}\b')
        later = enumerate(self.lines[start - 1 :], start)
        return next((number for number, line in later if begins.match(line)), start)

    def _problem(self, line: int, message: str) -> Problem:
        snippet = self.lines[line - 1] if line <= len(self.lines) else ""
        column = len(snippet) - len(snippet.lstrip()) + 1
        return Problem(self.file, line, column, "", message, snippet)

    def _not_toml(self, message: str) -> Problem:
        place = _PLACE.search(message)
        line = int(place[1]) if place else max(len(self.lines), 1)
        return self._problem(line, f"this is not TOML: {_PLACE.sub('', message).strip()}")
