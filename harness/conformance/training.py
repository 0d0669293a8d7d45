"""Cases of whole milestones: all checks of a training, and how it follows the reference."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from shlex import quote

from harness import config_files, on_record
from harness.backends.base import Backend
from harness.checks import all_checks, chosen, judge, probes_for
from harness.checks.base import Verdict
from harness.config import MilestoneConfig
from harness.conformance.case import Case, Engine, Finding
from harness.preparation import known_to, prepare
from harness.probes.trials.cases.pool import Pool
from harness.runner import Job, execute

REFERENCE = "follows_reference"
_SHOWN = 3


def of_milestone(name: str) -> Iterator[Case]:
    """Its training with every other check, and what the one of the reference says."""
    yield Case("L4", name, "", "", partial(_checked, name))
    yield Case("L5", name, "", "", partial(_followed, name))


def load(name: str, backend: Backend) -> MilestoneConfig:
    """A shipped milestone; raises NotSupportedError where the engine lacks what it names."""
    loaded = config_files.load(config_files.find(name), known_to(backend))
    prepare(loaded, backend)
    return loaded


def _checked(name: str, engine: Engine, pool: Pool) -> Finding:
    names = [check.name for check in all_checks() if check.scope == "milestone"]
    others = frozenset(names) - {REFERENCE}
    return _finding(name, _verdicts(name, engine, others), engine)


def _followed(name: str, engine: Engine, pool: Pool) -> Finding:
    names = chosen([REFERENCE])
    return _finding(name, _verdicts(name, engine, names), engine)


def _verdicts(name: str, engine: Engine, names: frozenset[str]) -> list[Verdict]:
    """What these checks say of a training on the first seed."""
    milestone = load(name, engine.backend)
    job = Job(milestone, 0, engine.name, probes_for("milestone", names), names)
    verdicts = judge(milestone, execute(job), on_record.load(name), names)
    return sorted((each for each in verdicts if each.check in names), key=lambda each: each.stage)


def _finding(name: str, verdicts: list[Verdict], engine: Engine) -> Finding:
    """Early causes first; what could not be judged is no failure, unless nothing could."""
    bad = [each for each in verdicts if each.status in ("fail", "error")]
    judged = [each for each in verdicts if each.status != "skip"]
    if not judged:
        return Finding(refused="; ".join(dict.fromkeys(each.reason for each in verdicts)))
    if not bad:
        return Finding()
    told = "; ".join(f"{each.check}: {each.reason}" for each in bad[:_SHOWN])
    more = f"; and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
    details = "\n".join(f"{each.check}: {each.reason} {each.hint}".rstrip() for each in bad)
    failed = f"{name}: {len(bad)} of {len(judged)} checks fail: {told}{more}"
    again = f"harness run {name} --backend {quote(_shown(engine.name))} -v"
    return Finding(failed=failed, hint=f"{bad[0].hint} See also: {again}".strip(), details=details)


def _shown(name: str) -> str:
    """A path from the current folder where the file is below it."""
    path = Path(name)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else name
