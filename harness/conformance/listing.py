"""The list of all cases: the names that the harness's own engine has, in a fixed order.

It does not depend on the engine under test, so that ids are the same for all engines.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache

from harness import backends
from harness.arguments import accepts
from harness.config_files import milestone_files
from harness.conformance.case import LEVELS, Case
from harness.conformance.owing import (
    of_backward,
    of_clipping,
    of_dropout,
    of_layer,
    of_optimizer,
)
from harness.conformance.training import of_milestone
from harness.conformance.trying import cases_of
from harness.errors import UsageError, did_you_mean
from harness.probes.trials.cases import CONTAINERS, OPS


@cache
def all_cases() -> tuple[Case, ...]:
    """Every case, level by level, small parts before what is made of them; no id twice."""
    found = sorted(_cases(), key=lambda case: case.level)
    counts: Counter[str] = Counter()
    for i, case in enumerate(found):
        counts[case.id] += 1
        if counts[case.id] > 1:
            found[i] = replace(case, words=f"{case.words}#{counts[case.id]}")
    return tuple(found)


def _cases() -> Iterator[Case]:
    space = backends.load("numpy").namespace
    for name in (each for each in OPS if each in space.ops):
        yield from cases_of("ops", name)
    yield of_dropout()
    for name in sorted(space.layers, key=lambda name: (name in CONTAINERS, name)):
        yield from cases_of("layers", name)
        yield from of_layer(name, accepts(space.layers[name], "rng"))
    for name in space.losses:
        yield from cases_of("losses", name)
    yield from of_backward()
    for name in space.optimizers:
        yield from of_optimizer(name)
    yield from of_clipping()
    for name in milestone_files():
        yield from of_milestone(name)


@cache
def by_id() -> dict[str, Case]:
    """Every case by its id."""
    return {case.id: case for case in all_cases()}


def find(id_: str) -> Case:
    """The case of that id; raises UsageError, with a suggestion, when there is none."""
    known = by_id()
    if id_ not in known:
        raise UsageError(
            f"unknown case '{id_}'.{did_you_mean(id_, known)}",
            "'harness conform --list' shows all.",
        )
    return known[id_]


def selected(levels: Sequence[str] = (), text: str = "") -> list[Case]:
    """The cases of these levels, all when none is named, whose id has `text` in it.

    Raises UsageError for a level that there is not, or when nothing is left.
    """
    for level in levels:
        if level not in LEVELS:
            raise UsageError(
                f"unknown level '{level}'.{did_you_mean(level, LEVELS)}",
                f"Levels are {', '.join(f'{name} ({what})' for name, what in LEVELS.items())}.",
            )
    chosen = [each for each in all_cases() if not levels or each.level in levels]
    left = [each for each in chosen if text in each.id]
    if not left:
        # Ops come before layers of the same name: the last that is close is suggested.
        known = [part for each in reversed(chosen) for part in (each.aspect, each.subject) if part]
        raise UsageError(
            f"no case has '{text}' in its id.{did_you_mean(text, known)}",
            "'harness conform --list' shows all ids; upper and lower case differ.",
        )
    return left
