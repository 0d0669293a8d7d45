"""What pydantic finds wrong in a config, in our words and with the place in the file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from harness.arguments import MisfitError
from harness.errors import Problem, did_you_mean
from harness.yaml_source import KEY, Path_, Source


def all_problems(
    source: Source, error: ValidationError, keys_at: Callable[[Path_], list[str]]
) -> list[Problem]:
    """What was misread and what does not fit, in the order of the file, one a place."""
    problems = [*source.problems]
    for entry in error.errors(include_url=False):
        problems += _problems(source, dict(entry), keys_at)
    by_place = {(problem.file, problem.line, problem.path): problem for problem in problems[::-1]}
    return sorted(
        by_place.values(), key=lambda problem: (problem.file, problem.line, problem.column)
    )


# pydantic's words, turned into ours: the message says what was expected and what was got.
_MESSAGES = {
    "missing": "is missing",
    "greater_than": "must be greater than {gt:g}, got {input!r}",
    "greater_than_equal": "must be at least {ge:g}, got {input!r}",
    "less_than": "must be less than {lt:g}, got {input!r}",
    "less_than_equal": "must be at most {le:g}, got {input!r}",
    "int_type": "must be a whole number, got {input!r}",
    "float_type": "must be a number, got {input!r}",
    "bool_type": "must be true or false, got {input!r}",
    "string_type": "must be text, got {input!r}",
    "string_too_short": "must not be empty",
    "string_pattern_mismatch": "must be lower-case letters, digits and _, got {input!r}",
    "dict_type": "must be a mapping of keys to values, got {input!r}",
    "model_type": "must be a mapping of keys to values, got {input!r}",
    "literal_error": "must be {expected}, got {input!r}",
    "list_type": "must be a list, got {input!r}",
}


def _problems(
    source: Source, entry: dict[str, Any], keys_at: Callable[[Path_], list[str]]
) -> list[Problem]:
    path: Path_ = entry["loc"]
    kind, given = entry["type"], entry["input"]
    context = entry.get("ctx", {})
    if isinstance(context.get("error"), MisfitError):
        misfits = context["error"].misfits
        return [source.problem((*path, *inner), message) for inner, message in misfits]
    if kind == "value_error":
        return [source.problem(path, str(context["error"]))]
    if path[-1:] == ("[key]",):
        message = f"a label {_MESSAGES[kind].format(input=given)}"
        return [source.problem((*path[:-1], KEY), message)]
    if kind == "extra_forbidden":
        known = keys_at(path[:-1])
        close = did_you_mean(str(path[-1]), known) or f" Known: {', '.join(known)}"
        return [source.problem((*path, KEY), f"unknown key.{close}")]
    template = _MESSAGES.get(kind, "{msg}, got {input!r}")
    return [source.problem(path, template.format(**context, input=given, msg=entry["msg"]))]
