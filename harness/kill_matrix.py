"""The kill matrix: which check saw which planted fault on which milestone, and the figures.

Pure: a `KillMatrix` is made of looks that were taken elsewhere, of healthy engines and of
engines with a fault in them. It says what survived, who was accused, and what a check is worth.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import median

from harness.checks.base import Check, Stage, Verdict
from harness.faults.base import Fault

ENGINE = "engine"
# The check that a job itself is: it must come to an end.
RUNS = "runs"
# Faults of this family cut the graph, so that the line that does it can be known.
GRAPH_BREAKING = "graph_broken"


@dataclass(frozen=True)
class Finding:
    """One verdict, and no more of it than the matrix needs."""

    check: str
    status: str
    stage: int
    reason: str = ""
    culprits: tuple[str, ...] = ()
    place: str = ""

    @classmethod
    def of(cls, verdict: Verdict) -> Finding:
        """The finding of a verdict; its culprits are the tensors where it names no other."""
        named = verdict.evidence.get("culprits") or verdict.evidence.get("tensors") or ()
        culprits = tuple(map(str, named)) if isinstance(named, list | tuple) else ()
        place = str(verdict.evidence.get("place") or "")
        return cls(verdict.check, verdict.status, verdict.stage, verdict.reason, culprits, place)

    @classmethod
    def of_crash(cls, reason: str) -> Finding:
        """The finding of a job that came to nothing."""
        return cls(RUNS, "error", Stage.GRADIENT, reason)

    @property
    def is_bad(self) -> bool:
        """Whether the check complains."""
        return self.status in ("fail", "error")

    def names(self, components: Sequence[str]) -> bool:
        """Whether one of these is among the culprits, or in what an error says."""
        if set(self.culprits) & set(components):
            return True
        words = [rf"(?<!\w){re.escape(name)}(?!\w)" for name in components]
        return self.status == "error" and any(re.search(word, self.reason) for word in words)


@dataclass(frozen=True)
class Look:
    """What all checks said of one thing once: of the engine, or of a milestone on one seed.

    `seconds` are those of the whole job, `probes` those of each probe. `broken` says why
    there is nothing to judge, when that is not the fault's doing.
    """

    where: str
    seed: int
    fault: str | None = None
    findings: tuple[Finding, ...] = ()
    probes: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    broken: str = ""

    def __str__(self) -> str:
        return f"{self.fault or 'healthy'} on {self.where}"

    @property
    def bad(self) -> list[Finding]:
        """The complaints, in the order of causes."""
        return sorted((f for f in self.findings if f.is_bad), key=lambda finding: finding.stage)


@dataclass(frozen=True)
class Row:
    """One fault with all looks at it, the engine's first.

    `early` are the names of the checks that judge before the first step of training. A row
    is whole when the fault was looked at wherever it can be seen.
    """

    fault: Fault
    looks: tuple[Look, ...]
    early: frozenset[str]
    is_whole: bool = True

    @cached_property
    def seen(self) -> dict[str, list[str]]:
        """The checks that complain, and where each does; early stages first."""
        found: dict[str, list[str]] = {}
        for look, finding in self._complaints():
            found.setdefault(finding.check, []).append(look.where)
        return found

    @cached_property
    def first(self) -> Finding | None:
        """The first cause: the engine's if it has one, else that of the earliest stage."""
        return next((finding for _, finding in self._complaints()), None)

    @property
    def is_caught(self) -> bool:
        """Whether any check complains."""
        return bool(self.seen)

    @property
    def is_caught_early(self) -> bool:
        """Whether one does before the first step of training."""
        return bool(self.early & self.seen.keys())

    @property
    def is_named(self) -> bool:
        """Whether the first cause names a component that is at fault."""
        return self.first is not None and self.first.names(self.fault.component)

    @property
    def is_named_first(self) -> bool:
        """Whether it names such a component before any other."""
        if self.first is None or not self.first.culprits:
            return self.is_named
        return self.first.culprits[0] in self.fault.component

    @property
    def place(self) -> str:
        """The first line of code that a complaint gives."""
        return next((finding.place for _, finding in self._complaints() if finding.place), "")

    @property
    def missed(self) -> list[str]:
        """The checks that must see it and do not; none are held to that by part of the looks."""
        return [name for name in self.fault.seen_by if name not in self.seen and self.is_whole]

    @property
    def survived(self) -> bool:
        """Whether nothing saw it although something should have."""
        must_be_seen = not self.fault.is_harmless and not self.fault.survives
        return must_be_seen and self.is_whole and not self.is_caught

    def _complaints(self) -> Iterator[tuple[Look, Finding]]:
        engine = [(look, f) for look in self.looks if look.where == ENGINE for f in look.bad]
        others = [(look, f) for look in self.looks if look.where != ENGINE for f in look.bad]
        yield from engine
        yield from sorted(others, key=lambda pair: pair[1].stage)


@dataclass(frozen=True)
class Accused:
    """A complaint about something that is in order; `fault` is the harmless variant, if any."""

    look: Look
    finding: Finding
    fault: Fault | None = None


@dataclass(frozen=True)
class Worth:
    """What a check is worth.

    Faults that it catches, that it alone catches, and of which it is the first cause; and the
    milliseconds of its probe on the engine or on all milestones together, None without one.
    """

    check: str
    catches: int
    alone: int
    first: int
    accuses: int
    milliseconds: float | None


@dataclass(frozen=True)
class Share:
    """So many of so many."""

    part: int
    whole: int

    @property
    def value(self) -> float | None:
        """The share as a number from 0 to 1; None of nothing."""
        return self.part / self.whole if self.whole else None

    def __str__(self) -> str:
        text = f"{self.part} of {self.whole}"
        return text if self.value is None else f"{text} ({self.value:.1%})"


@dataclass(frozen=True)
class KillMatrix:
    """All looks at healthy and at faulty engines."""

    checks: tuple[Check, ...]
    healthy: tuple[Look, ...]
    rows: tuple[Row, ...]
    seed: int = 0
    seconds: float = 0.0

    # --- rows ---------------------------------------------------------------------------

    @property
    def faults(self) -> list[Row]:
        """The rows of what is wrong."""
        return [row for row in self.rows if not row.fault.is_harmless]

    @property
    def harmless(self) -> list[Row]:
        """The rows of what is right in another way."""
        return [row for row in self.rows if row.fault.is_harmless]

    @property
    def survived(self) -> list[Row]:
        """Faults that nothing saw although something should have."""
        return [row for row in self.rows if row.survived]

    @property
    def survived_as_declared(self) -> list[Row]:
        """Faults that nothing saw, as they say themselves."""
        return [row for row in self.faults if row.fault.survives and not row.is_caught]

    @property
    def not_as_declared(self) -> list[Row]:
        """Faults that are said to survive and do not."""
        return [row for row in self.faults if row.fault.survives and row.is_caught]

    @property
    def missed(self) -> list[Row]:
        """Faults that were not seen by a check that must see them."""
        return [row for row in self.rows if row.missed]

    @property
    def named_wrongly(self) -> list[Row]:
        """Faults whose first cause names no component that is at fault."""
        return [row for row in self.faults if row.is_caught and not row.is_named]

    @property
    def placeless(self) -> list[Row]:
        """Faults that cut the graph, without a line of code that does."""
        return [row for row in self._graph_breaking if not row.place]

    @property
    def _graph_breaking(self) -> list[Row]:
        return [row for row in self.faults if row.fault.family == GRAPH_BREAKING]

    # --- figures ------------------------------------------------------------------------

    @property
    def figures(self) -> dict[str, Share]:
        """What it all comes to, by name."""
        faults, caught = self.faults, [row for row in self.faults if row.is_caught]
        cut = self._graph_breaking
        accused = {each.fault.name for each in self.accused if each.fault}
        alarmed = {id(each.look) for each in self.accused if not each.fault}
        return {
            "caught": Share(len(caught), len(faults)),
            "caught_before_training": _share([row.is_caught_early for row in faults]),
            "named": _share([row.is_named for row in caught]),
            "named_first": _share([row.is_named_first for row in caught]),
            "graph_breaking_with_line": Share(len(cut) - len(self.placeless), len(cut)),
            "harmless_accused": Share(len(accused), len(self.harmless)),
            "healthy_accused": Share(len(alarmed), len(self.healthy)),
        }

    @cached_property
    def accused(self) -> list[Accused]:
        """Complaints about healthy engines and harmless variants."""
        healthy = [Accused(look, f) for look in self.healthy for f in look.bad]
        variants = [
            Accused(look, f, row.fault) for row in self.harmless for look in row.looks
            for f in look.bad
        ]  # fmt: skip
        return healthy + variants

    @property
    def broken(self) -> list[Look]:
        """Looks that came to nothing for a reason of the harness's own."""
        looks = [*self.healthy, *(look for row in self.rows for look in row.looks)]
        return [look for look in looks if look.broken]

    @property
    def worths(self) -> list[Worth]:
        """What each check is worth, early stages first; RUNS only where it says something."""
        names = [check.name for check in self.checks]
        if any(RUNS in row.seen for row in self.rows):
            names.append(RUNS)
        return [self._worth(name) for name in names]

    def _worth(self, name: str) -> Worth:
        caught = [row for row in self.faults if name in row.seen]
        return Worth(
            check=name,
            catches=len(caught),
            alone=sum(len(row.seen) == 1 for row in caught),
            first=sum(row.first is not None and row.first.check == name for row in caught),
            accuses=sum(each.finding.check == name for each in self.accused),
            milliseconds=self._cost(next((c for c in self.checks if c.name == name), None)),
        )

    def _cost(self, check: Check | None) -> float | None:
        """Milliseconds of its probe: the median of healthy looks, summed over where it looked."""
        if check is None or check.probe is None:
            return None
        spent: dict[str, list[float]] = {}
        for look in self.healthy:
            if check.probe in look.probes and (look.where == ENGINE) == (check.scope == "engine"):
                spent.setdefault(look.where, []).append(look.probes[check.probe])
        return 1000.0 * sum(median(values) for values in spent.values())

    @property
    def passed(self) -> bool:
        """Whether every fault was seen by whom it says, and nothing else was accused."""
        return not (self.survived or self.missed or self.accused)

    @property
    def exit_code(self) -> int:
        """0 as it should be, 1 something survived or was accused, 3 something was not looked at."""
        return 1 if not self.passed else 3 if self.broken else 0


def early_checks(checks: Sequence[Check]) -> frozenset[str]:
    """Those that judge before the first step of training: they need a probe of what is then."""
    return frozenset(check.name for check in checks if check.probe and not check.of_training)


def _share(answers: Sequence[bool]) -> Share:
    return Share(sum(answers), len(answers))
