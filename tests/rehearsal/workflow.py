"""A workflow file, read into jobs and steps; a key that would not be honoured is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import yaml

_WORKFLOW = {"name", "on", "permissions", "concurrency", "env", "defaults", "jobs", "run-name"}
_JOB = {"name", "needs", "if", "runs-on", "timeout-minutes", "permissions", "env", "outputs",
        "steps", "strategy", "concurrency"}  # fmt: skip
_STEP = {"name", "id", "if", "uses", "with", "run", "env", "continue-on-error", "shell",
         "working-directory", "timeout-minutes"}  # fmt: skip


class WorkflowError(Exception):
    """A workflow that the rehearsal cannot run as GitHub would."""


@dataclass(frozen=True)
class Step:
    """One step: either `uses` an action or has a script to `run`."""

    name: str
    keys: Mapping[str, Any]

    @property
    def id(self) -> str:
        """What expressions call it, "" where it has no id."""
        return str(self.keys.get("id", ""))


@dataclass(frozen=True)
class Job:
    """One job, for one combination of its matrix."""

    id: str
    matrix: Mapping[str, Any]
    keys: Mapping[str, Any]
    steps: tuple[Step, ...]

    @property
    def title(self) -> str:
        """Its id, with the values of the matrix."""
        values = ", ".join(map(str, self.matrix.values()))
        return f"{self.id} ({values})" if values else self.id

    @property
    def needs(self) -> list[str]:
        """Ids of the jobs that come first."""
        needs = self.keys.get("needs", [])
        return [needs] if isinstance(needs, str) else list(needs)


@dataclass(frozen=True)
class Workflow:
    """Jobs in an order in which each comes after what it needs."""

    name: str
    triggers: Mapping[str, Any]
    env: Mapping[str, Any]
    shell: str | None
    jobs: tuple[Job, ...]

    def inputs(self, event: str, given: Mapping[str, str]) -> dict[str, Any]:
        """All inputs: as given or by default when started by hand, else none has a value."""
        declared = (self.triggers.get("workflow_dispatch") or {}).get("inputs") or {}
        if unknown := sorted(given.keys() - declared.keys()):
            raise WorkflowError(f"{self.name} has no input {', '.join(unknown)}: {list(declared)}")
        if event != "workflow_dispatch":
            return dict.fromkeys(declared)
        values = {name: given.get(name, one.get("default")) for name, one in declared.items()}
        flags = {name for name, one in declared.items() if one.get("type") == "boolean"}
        return {n: str(v).lower() == "true" if n in flags else v for n, v in values.items()}


def read(file: Path) -> Workflow:
    """The workflow in a file; raises WorkflowError for what would not be honoured."""
    data = yaml.safe_load(file.read_text(encoding="utf-8"))
    data["on"] = data.pop(True, data.get("on"))  # YAML 1.1 takes the word for a truth value
    _only(data, _WORKFLOW, file.name)
    defaults = data.get("defaults") or {}
    _only(defaults.get("run") or {}, {"shell"}, f"{file.name}: defaults.run")
    triggers = data["on"] if isinstance(data["on"], dict) else dict.fromkeys([data["on"]])
    jobs = [job for name, keys in data["jobs"].items() for job in _jobs(name, keys)]
    return Workflow(
        name=str(data.get("name", file.stem)),
        triggers=triggers,
        env=data.get("env") or {},
        shell=(defaults.get("run") or {}).get("shell"),
        jobs=tuple(_in_order(jobs)),
    )


def _jobs(name: str, keys: Mapping[str, Any]) -> list[Job]:
    _only(keys, _JOB, name)
    strategy = keys.get("strategy") or {}
    _only(strategy, {"matrix", "fail-fast"}, f"{name}: strategy")
    axes = strategy.get("matrix") or {}
    _only(axes, axes.keys() - {"include", "exclude"}, f"{name}: matrix")
    steps = tuple(_step(name, number, step) for number, step in enumerate(keys["steps"], 1))
    return [
        Job(name, dict(zip(axes, values, strict=True)), keys, steps)
        for values in product(*axes.values())
    ]


def _step(job: str, number: int, keys: Mapping[str, Any]) -> Step:
    name = str(keys.get("name") or keys.get("uses") or f"step {number}")
    _only(keys, _STEP, f"{job}: {name}")
    if ("run" in keys) == ("uses" in keys):
        raise WorkflowError(f"{job}: {name}: a step has either run or uses")
    return Step(name, keys)


def _only(keys: Mapping[str, Any], known: Any, where: str) -> None:
    if unknown := sorted(map(str, keys.keys() - known)):
        raise WorkflowError(f"{where}: the rehearsal does not honour {', '.join(unknown)}")


def _in_order(jobs: list[Job]) -> list[Job]:
    done: list[Job] = []
    while waiting := [job for job in jobs if job not in done]:
        names = {job.id for job in waiting}
        ready = [job for job in waiting if not names & set(job.needs)]
        if not ready:
            raise WorkflowError(f"jobs that wait for each other: {sorted(names)}")
        done += ready
    return done
