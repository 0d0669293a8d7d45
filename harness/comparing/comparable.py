"""Whether two sides can be compared at all: what differs in what was asked for, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from harness.comparing.side import Side
from harness.provenance import Provenance
from harness.scorecard import Result

_SHOWN_DIGITS = 8
_MACHINE = ("python", "numpy", "blas", "blas_threads", "cpu", "platform")


def differences(base: Side, head: Side, milestone: str) -> list[str]:
    """Why the numbers of a milestone cannot be held against each other; empty when they can.

    Config, data, type of number and engine must be the same, and some seed in common.
    """
    ours, theirs = base.scorecard.provenance, head.scorecard.provenance
    found = [*_config(ours, theirs, milestone), *_data(ours, theirs, milestone)]
    one, other = base.results(milestone), head.results(milestone)
    found += _of_results("type of number", lambda result: result.dtype, one, other)
    found += _of_results("backend", lambda result: result.backend, one, other)
    if not one.keys() & other.keys():
        found.append(f"no seed in common: {_seeds(one)} against {_seeds(other)}")
    return found


def _config(base: Provenance, head: Provenance, milestone: str) -> Iterator[str]:
    one, other = base.configs.get(milestone), head.configs.get(milestone)
    if one == other:
        return
    old, new = base.settings.get(milestone, {}), head.settings.get(milestone, {})
    paths = [path for path in {**old, **new} if old.get(path) != new.get(path)]
    if not old or not new or not paths:
        yield f"the config is another one (digest {_short(one)} against {_short(other)})"
        return
    for path in paths:
        yield f"{path} is {old.get(path, 'not set')} against {new.get(path, 'not set')}"


def _data(base: Provenance, head: Provenance, milestone: str) -> Iterator[str]:
    one, other = base.data.get(milestone), head.data.get(milestone)
    if one != other:
        yield f"the data are others (digest {_short(one)} against {_short(other)})"


def _short(digest: str | None) -> str:
    return digest[:_SHOWN_DIGITS] if digest else "unknown"


def _of_results(
    name: str,
    of: Callable[[Result], str],
    base: Mapping[int, Result],
    head: Mapping[int, Result],
) -> Iterator[str]:
    """Older scorecards do not tell everything: what is "" differs from nothing."""
    one, other = ({of(result) for result in side.values()} - {""} for side in (base, head))
    if one and other and one != other:
        yield f"the {name} is {', '.join(sorted(one))} against {', '.join(sorted(other))}"


def _seeds(results: Mapping[int, Result]) -> str:
    seeds = sorted(results)
    if not seeds:
        return "none"
    return f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"


def notes(base: Side, head: Side) -> list[str]:
    """What may explain a difference without forbidding the comparison: machine and versions."""
    one, other = base.scorecard.provenance, head.scorecard.provenance
    found = [
        f"{name.replace('_', ' ')} is {getattr(one, name)} against {getattr(other, name)}"
        for name in _MACHINE
        if getattr(one, name) != getattr(other, name)
    ]
    return ["another machine or environment: " + ", ".join(found)] if found else []


def targets(base: Mapping[int, Result], head: Mapping[int, Result]) -> list[str]:
    """Where one side asks for less or more than the other: its checks judge by that."""
    one, other = _targets(base), _targets(head)
    return [f"the target is {min(one):g} against {min(other):g}"] if one != other else []


def asks_less(base: Mapping[int, Result], head: Mapping[int, Result]) -> bool:
    """Whether the head's target is the lower one."""
    return min(_targets(head)) < min(_targets(base))


def _targets(results: Mapping[int, Result]) -> set[float]:
    return {result.accuracy.target for result in results.values()} or {0.0}
