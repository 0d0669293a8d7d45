"""What `harness selftest --json` found, in a few figures: does the harness see planted faults?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.errors import ScorecardError
from harness.reports.kill_matrix import FIGURES, SCHEMA


@dataclass(frozen=True)
class Figure:
    """One figure: what was counted, how many of how many."""

    what: str
    part: int
    whole: int


@dataclass(frozen=True)
class Family:
    """The faults of one family that must be seen, and how many were."""

    name: str
    caught: int
    faults: int


@dataclass(frozen=True)
class Kills:
    """A selftest: whether all came out as declared, its figures, and what did not come out.

    `survived` are faults that nothing saw, `missed` those that a check should have seen and did
    not, `accused` are alarms at healthy things.
    """

    passed: bool
    seconds: float
    figures: tuple[Figure, ...]
    families: tuple[Family, ...]
    survived: tuple[str, ...]
    missed: tuple[str, ...]
    accused: tuple[str, ...]

    @property
    def headline(self) -> str:
        """One sentence: how many of the planted faults were caught."""
        caught = next((f for f in self.figures if f.what == FIGURES["caught"]), None)
        said = f"{caught.part} of {caught.whole} planted faults are seen" if caught else "Selftest"
        return said if self.passed else f"{said}, not all came out as declared"


def read(data: Mapping[str, Any], where: str) -> Kills:
    """The selftest in plain JSON; raises ScorecardError where it is not one."""
    if data.get("schema") != SCHEMA:
        raise ScorecardError(f"{where} is not a selftest: its schema is {data.get('schema')!r}")
    try:
        return _kills(data)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = f"{type(error).__name__}: {error}"
        raise ScorecardError(
            f"{where} is not a whole selftest ({what})", "Write it with harness selftest --json."
        ) from error


def _kills(data: Mapping[str, Any]) -> Kills:
    figures = [
        Figure(what, int(data["figures"][name]["part"]), int(data["figures"][name]["whole"]))
        for name, what in FIGURES.items()
        if name in data["figures"]
    ]
    return Kills(
        passed=bool(data["passed"]),
        seconds=float(data["seconds"]),
        figures=tuple(figures),
        families=_families(data["faults"]),
        survived=tuple(map(str, data["survived"])),
        missed=tuple(f"{name} by {', '.join(map(str, by))}" for name, by in data["missed"].items()),
        accused=tuple(
            f"{each['check']} on {each['where']}"
            + (f", with {each['fault']}" if each["fault"] else "")
            for each in data["accused"]
        ),
    )


def _families(faults: list[Mapping[str, Any]]) -> tuple[Family, ...]:
    to_see = [fault for fault in faults if not fault["is_harmless"] and not fault["survives"]]
    known = Counter(str(fault["family"]) for fault in to_see)
    caught = Counter(str(fault["family"]) for fault in to_see if fault["is_caught"])
    return tuple(Family(name, caught[name], many) for name, many in known.items())
