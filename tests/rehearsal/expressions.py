"""The expressions of workflows, `${{ ... }}`, as far as ours use them; anything else is refused.

A name that is not there is an error here, where GitHub would silently take it for nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Context = Mapping[str, Any]
Term = Callable[[Context], Any]
STATUS_FUNCTIONS = ("success", "failure", "always", "cancelled")

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>\d+(?:\.\d+)?\b)|(?P<name>[A-Za-z_][\w-]*)"
    r"|(?P<sign>&&|\|\||==|!=|[!().]))"
)


class ExpressionError(Exception):
    """An expression that is not understood, or names what is not there."""


class Silent(dict[str, Any]):
    """The outputs of what did not run to its end: a name that is missing is empty."""


def filled(text: str, context: Context) -> str:
    """A text with every `${{ ... }}` in it replaced."""
    found = re.fullmatch(r"\$\{\{(.*?)\}\}", text.strip(), flags=re.DOTALL)
    if found and "${{" not in found[1]:
        return as_text(evaluate(found[1], context))
    return re.sub(r"\$\{\{(.*?)\}\}", lambda m: as_text(evaluate(m[1], context)), text)


def holds(condition: str | bool | None, context: Context) -> bool:
    """Whether an `if:` lets its step or job run: only after success, unless it asks for it."""
    text = "success()" if condition is None else str(condition).strip()
    inner = re.fullmatch(r"\$\{\{(.*)\}\}", text, flags=re.DOTALL)
    text = inner[1] if inner else text
    if not re.search(rf"\b({'|'.join(STATUS_FUNCTIONS)})\(", text):
        text = f"success() && ({text.lower() if text in ('True', 'False') else text})"
    return bool(evaluate(text, context))


def evaluate(text: str, context: Context) -> Any:
    """The value of one expression, without its braces."""
    tokens = list(_tokens(text))
    term = _parse_or(tokens)
    if tokens:
        raise ExpressionError(f"{text.strip()!r}: {tokens[0]!r} is more than is understood")
    return term(context)


def as_text(value: Any) -> str:
    """A value the way it appears in a text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    raise ExpressionError(f"{value!r} is no text")


def _tokens(text: str) -> Iterator[str]:
    place, text = 0, text.rstrip()
    while place < len(text):
        found = _TOKEN.match(text, place)
        if not found:
            raise ExpressionError(f"{text.strip()!r}: {text[place:].strip()!r} is not understood")
        place = found.end()
        yield found[0].strip()


def _parse_or(tokens: list[str]) -> Term:
    term = _parse_and(tokens)
    while tokens[:1] == ["||"]:
        tokens.pop(0)
        term = _either(term, _parse_and(tokens))
    return term


def _parse_and(tokens: list[str]) -> Term:
    term = _parse_equality(tokens)
    while tokens[:1] == ["&&"]:
        tokens.pop(0)
        term = _both(term, _parse_equality(tokens))
    return term


def _parse_equality(tokens: list[str]) -> Term:
    left = _parse_unary(tokens)
    if tokens[:1] not in (["=="], ["!="]):
        return left
    wanted = tokens.pop(0) == "=="
    right = _parse_unary(tokens)
    return lambda context: _equal(left(context), right(context)) is wanted


def _parse_unary(tokens: list[str]) -> Term:
    if not tokens:
        raise ExpressionError("the expression ends too early")
    first = tokens.pop(0)
    if first == "!":
        inner = _parse_unary(tokens)
        return lambda context: not inner(context)
    if first == "(":
        inner = _parse_or(tokens)
        _expect(tokens, ")")
        return inner
    return _parse_value(first, tokens)


def _parse_value(first: str, tokens: list[str]) -> Term:
    if first.startswith("'"):
        return lambda _: first[1:-1].replace("''", "'")
    if first[0].isdigit():
        return lambda _: float(first) if "." in first else int(first)
    if first in ("true", "false", "null"):
        return lambda _: {"true": True, "false": False, "null": None}[first]
    if tokens[:1] == ["("]:
        if first not in STATUS_FUNCTIONS:
            raise ExpressionError(f"the function {first}() is not known here")
        tokens.pop(0)
        _expect(tokens, ")")
        return lambda context: context[f"{first}()"]
    path = [first]
    while tokens[:1] == ["."]:
        tokens.pop(0)
        path.append(tokens.pop(0) if tokens else "")
    return lambda context: _look_up(context, path)


def _expect(tokens: list[str], sign: str) -> None:
    if tokens[:1] != [sign]:
        raise ExpressionError(f"{sign!r} is missing before {tokens[:1]}")
    tokens.pop(0)


def _look_up(context: Context, path: list[str]) -> Any:
    value: Any = context
    for name in path:
        if isinstance(value, Silent):
            return value.get(name, "")
        if not isinstance(value, Mapping) or name not in value:
            raise ExpressionError(f"{'.'.join(path)}: there is no {name!r}")
        value = value[name]
    return value


def _either(left: Term, right: Term) -> Term:
    return lambda context: left(context) or right(context)


def _both(left: Term, right: Term) -> Term:
    return lambda context: left(context) and right(context)


def _equal(left: Any, right: Any) -> bool:
    """As GitHub compares: texts without their case, other pairs of types as numbers."""
    if isinstance(left, str) and isinstance(right, str):
        return left.lower() == right.lower()
    return left == right if type(left) is type(right) else _number(left) == _number(right)


def _number(value: Any) -> float:
    try:
        return float(value or 0)
    except (TypeError, ValueError):
        return float("nan")
