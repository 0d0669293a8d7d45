"""What an adapter must be before it is called: a Backend with a name, a version, a namespace."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from harness.backends.base import Backend, Namespace
from harness.errors import BackendError
from harness.raised import told

_NAME = re.compile(r"[A-Za-z0-9][\w.+-]{0,59}")


def require_adapter(shown: str, found: object) -> Backend:
    """`found` as a Backend; raises BackendError with what it is instead, and where."""
    if not isinstance(found, Backend):
        is_class = isinstance(found, type)
        what = f"the class {found.__name__}" if is_class else f"a {type(found).__name__}"  # type: ignore[attr-defined]  # a class has one
        raise BackendError(
            f"{shown}: BACKEND is {what}, expected an instance of a class that extends "
            "harness.backends.base.Backend",
            f"Make one: BACKEND = {found.__name__}()." if is_class else "Extend that class.",  # type: ignore[attr-defined]
        )
    _require_word(shown, found, "name", 'name = "mylib"')
    _require_word(shown, found, "version", "version = mylib.__version__")
    if not _NAME.fullmatch(found.name):
        raise BackendError(
            f"{shown}: its name is {found.name!r}, expected one word of at most 60 letters, digits "
            "and . + - _",
            "Scorecards and reports call the engine by it.",
        )
    _require_namespace(shown, found)
    return found


def require_other_name(shown: str, backend: Backend, shipped: Collection[str]) -> None:
    """A scorecard must not say that it was a shipped engine when it was another."""
    if backend.name in shipped:
        raise BackendError(
            f"{shown}: its name is '{backend.name}', which is an engine that comes with the "
            "harness",
            "Give it a name of its own: scorecards tell engines apart by it.",
        )


def _require_word(shown: str, backend: Backend, attribute: str, example: str) -> None:
    value = _attribute(shown, backend, attribute, example)
    if not isinstance(value, str) or not value.strip():
        raise BackendError(
            f"{shown}: the backend's {attribute} is {value!r}, expected a text",
            f"For example: {example}",
        )


def _attribute(shown: str, backend: Backend, attribute: str, example: str) -> object:
    try:
        return getattr(backend, attribute)
    except AttributeError as error:
        raise BackendError(
            f"{shown}: the backend has no {attribute}, which is asked of every engine",
            f"For example: {example}",
        ) from error
    except Exception as error:  # a property may raise anything
        raise BackendError(
            f"{shown}: the backend's {attribute} raised {told(error)}",
            f"A plain attribute does: {example}",
        ) from error


def _require_namespace(shown: str, backend: Backend) -> None:
    example = 'namespace = Namespace(layers={"Linear": Linear}, losses={...}, optimizers={...})'
    space = _attribute(shown, backend, "namespace", example)
    if not isinstance(space, Namespace):
        raise BackendError(
            f"{shown}: the backend's namespace is a {type(space).__name__}, expected a "
            "harness.backends.base.Namespace",
            f"For example: {example}",
        )
    for kind in ("layers", "losses", "optimizers", "ops"):
        entries = getattr(space, kind)
        if not isinstance(entries, Mapping):
            raise BackendError(
                f"{shown}: namespace.{kind} is a {type(entries).__name__}, expected a dict from "
                "PyTorch's names to factories",
                f"For example: {example}",
            )
        for name, factory in entries.items():
            if not isinstance(name, str):
                raise BackendError(
                    f"{shown}: namespace.{kind} has the key {name!r}, expected one of "
                    "PyTorch's names, as a text",
                    f"For example: {example}",
                )
            if not callable(factory):
                raise BackendError(
                    f"{shown}: namespace.{kind}[{name!r}] is a {type(factory).__name__}, expected "
                    "a function or a class that is called to make one",
                    "Name the class itself, without calling it.",
                )
