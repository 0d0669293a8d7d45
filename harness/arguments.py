"""What a factory takes, held against what a config gives it: names, presence and types."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, get_type_hints

from pydantic import ConfigDict, PydanticSchemaGenerationError, TypeAdapter, ValidationError

from harness.errors import did_you_mean

# A factory may be any callable of any engine: nothing narrower is true of all of them.
Factory = Callable[..., Any]


@dataclass(frozen=True)
class Known:
    """Everything that a config may name, by name, whether or not `backend` offers it.

    `own` are the factories of a backend other than the harness's: they may take arguments that
    the harness's of the same name do not.
    """

    backend: str
    layers: Mapping[str, Factory]
    losses: Mapping[str, Factory]
    optimizers: Mapping[str, Factory]
    recipes: Mapping[str, Factory]
    own: Mapping[str, Factory] = field(default_factory=dict)

    @property
    def offered(self) -> str:
        """How a list of names is introduced."""
        return "Known" if self.own else f"backend '{self.backend}' offers"


class MisfitError(ValueError):
    """What does not fit in one part of a config, each with its path from there."""

    def __init__(self, misfits: Sequence[tuple[tuple[str, ...], str]]) -> None:
        super().__init__("; ".join(message for _, message in misfits))
        self.misfits = misfits


def require_known(kind: str, name: str, known: Mapping[str, Factory], offered_by: str) -> None:
    """Raise ValueError, with a suggestion, unless `name` is known."""
    if name not in known:
        offers = ", ".join(sorted(known))
        raise ValueError(
            f"unknown {kind} '{name}'.{did_you_mean(name, known)} {offered_by}: {offers}"
        )


def require_fit(
    name: str,
    known: Mapping[str, Factory],
    given: Mapping[str, object],
    own: tuple[str, ...],
    also: Factory | None = None,
) -> None:
    """Raise MisfitError unless the factory of that name takes what is given.

    What only `also` takes, a factory of the same name elsewhere, is no misfit.
    """
    found = [
        ((key,), f"{name}: {text}")
        for key, text in misfits(known[name], given, own)
        if also is None or key not in given or accepts(known[name], key) or not accepts(also, key)
    ]
    if found:
        raise MisfitError(found)


def misfits(
    factory: Factory, given: Mapping[str, object], own: tuple[str, ...]
) -> Iterator[tuple[str, str]]:
    """Every (argument, message) that keeps `factory(**given)` from being a good call.

    `own` are arguments that the harness hands over itself, so no config may.
    """
    takes, is_open = _signature(factory)
    names = [name for name in takes if name not in own]
    for name, value in given.items():
        if name in names:
            problem = _type_problem(factory, name, value)
            if problem:
                yield name, f"{name} {problem}"
        elif not is_open:
            known = ", ".join(names) or "no arguments"
            yield name, f"no argument '{name}'.{did_you_mean(name, names)} It takes: {known}"
    for name in names:
        if takes[name].default is inspect.Parameter.empty and name not in given:
            yield name, f"{name} is missing"


def accepts(factory: Factory, *names: str) -> bool:
    """Whether `factory` takes arguments of all these names, as its own or as any (**kwargs).

    One that does not tell what it takes may take it. This is the only notion of that: whoever
    builds a layer hands over its generator, `rng`, by it.
    """
    named, is_open = _signature(factory)
    return is_open or named.keys() >= set(names)


def may_lack(factory: Factory, name: str) -> bool:
    """Whether `factory` takes an argument of that name that can be left out."""
    named, is_open = _signature(factory)
    if name not in named:
        return is_open
    return named[name].default is not inspect.Parameter.empty


def first_argument(factory: Factory) -> str:
    """The name of what `factory` takes first, by position; "" where it does not tell."""
    return next(iter(_signature(factory)[0]), "")


@lru_cache(maxsize=512)
def _signature(factory: Factory) -> tuple[dict[str, inspect.Parameter], bool]:
    """Named parameters, and whether any other name is taken too (**kwargs)."""
    try:
        parameters = inspect.signature(factory).parameters
    except (ValueError, TypeError):  # some that are written in C do not tell
        return {}, True
    positional = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    named = {name: p for name, p in parameters.items() if p.kind not in positional}
    return named, any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())


def _type_problem(factory: Factory, name: str, value: object) -> str:
    adapter = _adapter(factory, name)
    if adapter is None:
        return ""
    try:
        adapter.validate_python(as_tuples(value), strict=True)
    except ValidationError as error:
        expected = error.errors()[0]["msg"].removeprefix("Input ")
        return f"{expected}, got {value!r}"
    return ""


@lru_cache(maxsize=512)
def _adapter(factory: Factory, name: str) -> TypeAdapter[Any] | None:
    """The judge for one argument's annotation; None when there is none to go by."""
    try:
        hints = get_type_hints(
            getattr(factory, "__init__", factory) if isinstance(factory, type) else factory
        )
        return TypeAdapter(hints[name], config=ConfigDict(arbitrary_types_allowed=True))
    except (KeyError, NameError, TypeError, AttributeError, PydanticSchemaGenerationError):
        return None


def as_tuples(value: object) -> object:
    """YAML has lists, signatures have tuples: [2, 2] -> (2, 2), at any depth."""
    return tuple(map(as_tuples, value)) if isinstance(value, list) else value
