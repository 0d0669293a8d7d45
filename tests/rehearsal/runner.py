"""Runs the jobs of a workflow: every `run:` for real, with the variables that GitHub sets."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.rehearsal.expressions import Context, Silent, as_text, filled, holds
from tests.rehearsal.stage import Stage
from tests.rehearsal.stand_ins import ActionFailedError, Place, perform
from tests.rehearsal.workflow import Job, Step, Workflow, WorkflowError

SHELLS = {
    None: ["bash", "-e"],
    "bash": ["bash", "--noprofile", "--norc", "-eo", "pipefail"],
    "sh": ["sh", "-e"],
}
REPOSITORY = "owner/repository"
# What of this machine a step gets to see: the rest of the environment stays out.
_KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "SYSTEMROOT")


@dataclass(frozen=True)
class Event:
    """What has happened: its name, its payload, and the commit that it is about."""

    name: str
    ref: str
    sha: str
    payload: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    # Of a pull request from a fork: a token that only reads.
    read_only: bool = False


@dataclass(frozen=True)
class Done:
    """One step or job: success, failure or skipped, before and after continue-on-error."""

    name: str
    outcome: str
    conclusion: str
    log: str = ""
    outputs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class JobDone:
    """One job with its steps, its outputs and the summary that it wrote."""

    title: str
    result: str
    steps: tuple[Done, ...] = ()
    outputs: Mapping[str, str] = field(default_factory=dict)
    summary: str = ""

    def step(self, name: str) -> Done:
        """A step by its name."""
        return next(each for each in self.steps if each.name == name)


@dataclass(frozen=True)
class Rehearsal:
    """What was asked for: which jobs and steps, and variables of the repository."""

    stage: Stage
    event: Event
    number: int = 1
    jobs: tuple[str, ...] = ()
    step: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    borrow: bool = True
    say: Callable[[str], None] = lambda _: None

    @property
    def folder(self) -> Path:
        """Of this run of the workflow."""
        return self.stage.folder / f"run-{self.number}"


def run_workflow(workflow: Workflow, rehearsal: Rehearsal) -> dict[str, JobDone]:
    """All jobs one after the other; a job that was not asked for is skipped."""
    _refuse_unknown(workflow, rehearsal)
    done: dict[str, JobDone] = {}
    results: dict[str, dict[str, Any]] = {}
    for job in workflow.jobs:
        needs = {name: results[name] for name in job.needs}
        asked = not rehearsal.jobs or job.id in rehearsal.jobs
        rehearsal.say(f"== {job.title}\n")
        finished = _JobRun(workflow, job, rehearsal, needs).run(asked)
        rehearsal.say(f"== {job.title}: {finished.result}\n\n")
        done[job.title] = finished
        outputs = finished.outputs if finished.result != "skipped" else Silent()
        results[job.id] = {"result": _worst(results.get(job.id), finished), "outputs": outputs}
    return done


def _refuse_unknown(workflow: Workflow, rehearsal: Rehearsal) -> None:
    if rehearsal.event.name not in workflow.triggers:
        raise WorkflowError(f"{workflow.name} does not start on {rehearsal.event.name}")
    if unknown := set(rehearsal.jobs) - {job.id for job in workflow.jobs}:
        raise WorkflowError(f"{workflow.name} has no job {', '.join(sorted(unknown))}")
    names = {step.name for job in workflow.jobs for step in job.steps}
    if rehearsal.step and rehearsal.step not in names:
        raise WorkflowError(f"no step {rehearsal.step!r}; there are {', '.join(sorted(names))}")


def _worst(before: Mapping[str, Any] | None, job: JobDone) -> str:
    """Of a job's matrix: failed if any has."""
    return "failure" if before and before["result"] == "failure" else job.result


class _JobRun:
    """One job while it runs: what its steps have said so far."""

    def __init__(
        self, workflow: Workflow, job: Job, rehearsal: Rehearsal, needs: Mapping[str, Any]
    ) -> None:
        self.workflow, self.job, self.rehearsal, self.needs = workflow, job, rehearsal, needs
        self.folder = rehearsal.folder / job.title.replace(" ", "-")
        self.workspace = self.folder / "workspace"
        self.done: list[Done] = []
        self.steps: dict[str, Any] = {}
        self.exported: dict[str, str] = {}
        self.paths: list[str] = []

    def run(self, asked: bool) -> JobDone:
        results = [each["result"] for each in self.needs.values()]
        status = {
            "success()": all(result == "success" for result in results),
            "failure()": "failure" in results,
        }
        # A job that was asked for without those it needs has nobody to ask whether it may run.
        alone = asked and bool(set(self.job.needs) - set(self.rehearsal.jobs or self.job.needs))
        if not asked or not (alone or holds(self.job.keys.get("if"), self._context(status))):
            return JobDone(self.job.title, "skipped", outputs=Silent())
        self.workspace.mkdir(parents=True)
        for step in self.job.steps:
            self._take(step)
        context = self._context({})
        declared = self.job.keys.get("outputs") or {}
        outputs = {name: filled(str(text), context) for name, text in declared.items()}
        result = "failure" if any(d.conclusion == "failure" for d in self.done) else "success"
        summary = "".join(
            file.read_text(encoding="utf-8") for file in sorted(self.folder.glob("*/summary"))
        )
        return JobDone(self.job.title, result, tuple(self.done), outputs, summary)

    def _take(self, step: Step) -> None:
        failed = any(each.conclusion == "failure" for each in self.done)
        context = self._context({"success()": not failed, "failure()": failed})
        only = self.rehearsal.step
        wanted = not only or step.name == only or "uses" in step.keys
        if not wanted or not holds(step.keys.get("if"), context):
            self._note(Done(step.name, "skipped", "skipped", outputs=Silent()), step)
            return
        self.rehearsal.say(f"-- {step.name}\n")
        code, log, outputs = self._perform(step, context)
        outcome = "failure" if code else "success"
        spared = filled(str(step.keys.get("continue-on-error", "")), context).lower() == "true"
        conclusion = "success" if spared else outcome
        self.rehearsal.say(log + (f"-- exit code {code}\n" if code else ""))
        kept = outputs if not code else Silent(outputs)
        self._note(Done(step.name, outcome, conclusion, log, kept), step)

    def _note(self, done: Done, step: Step) -> None:
        self.done.append(done)
        if step.id:
            self.steps[step.id] = {
                "outcome": done.outcome, "conclusion": done.conclusion, "outputs": done.outputs,
            }  # fmt: skip

    def _perform(self, step: Step, context: Context) -> tuple[int, str, dict[str, str]]:
        files = self.folder / f"{len(self.done):02}"
        files.mkdir()
        for name in ("output", "env", "path", "summary"):
            (files / name).touch()
        if "uses" in step.keys:
            arguments = {
                name: filled(as_text(value), context)
                for name, value in (step.keys.get("with") or {}).items()
            }
            try:
                return 0, perform(str(step.keys["uses"]), arguments, self._place()) + "\n", {}
            except ActionFailedError as failed:
                return 1, f"{failed}\n", {}
        code, log = self._run_script(step, context, files)
        self.exported |= read_pairs((files / "env").read_text(encoding="utf-8"))
        self.paths += (files / "path").read_text(encoding="utf-8").split()
        return code, log, read_pairs((files / "output").read_text(encoding="utf-8"))

    def _run_script(self, step: Step, context: Context, files: Path) -> tuple[int, str]:
        script = files / "script.sh"
        script.write_text(filled(str(step.keys["run"]), context), encoding="utf-8")
        shell = step.keys.get("shell", self.workflow.shell)
        if shell not in SHELLS:
            raise WorkflowError(f"{step.name}: the shell {shell!r} is not known here")
        done = subprocess.run(
            [*SHELLS[shell], str(script)],
            cwd=self.workspace / filled(str(step.keys.get("working-directory", ".")), context),
            env=self._environment(step, context, files),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=60 * float(self.job.keys.get("timeout-minutes", 360)),
        )
        return done.returncode, done.stdout

    def _environment(self, step: Step, context: Context, files: Path) -> dict[str, str]:
        event, stage = self.rehearsal.event, self.rehearsal.stage
        payload = files / "event.json"
        payload.write_text(json.dumps(event.payload), encoding="utf-8")
        given = [self.workflow.env, self.job.keys.get("env"), step.keys.get("env")]
        permissions = self._permissions()
        github = {key: as_text(self._github()[key]) for key in _SHOWN}
        found = {name: os.environ[name] for name in _KEPT if name in os.environ}
        return {
            **found,
            "PATH": os.pathsep.join([str(stage.folder / "bin"), *self.paths, found["PATH"]]),
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            **{f"GITHUB_{name.upper()}": value for name, value in github.items()},
            "GITHUB_EVENT_PATH": str(payload),
            "GITHUB_OUTPUT": str(files / "output"),
            "GITHUB_ENV": str(files / "env"),
            "GITHUB_PATH": str(files / "path"),
            "GITHUB_STEP_SUMMARY": str(files / "summary"),
            "RUNNER_TEMP": str(files),
            "RUNNER_OS": "Linux",
            # Every job starts on a new machine, without what others have cached.
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "REHEARSAL_HUB": str(stage.folder / "hub"),
            "REHEARSAL_PERMISSIONS": json.dumps(permissions),
            "REHEARSAL_CONTENTS": permissions.get("contents", "none"),
            **self.exported,
            **{n: filled(as_text(v), context) for each in given for n, v in (each or {}).items()},
        }

    def _permissions(self) -> dict[str, str]:
        held = {
            name: str(level) for name, level in (self.job.keys.get("permissions") or {}).items()
        }
        return dict.fromkeys(held, "read") if self.rehearsal.event.read_only else held

    def _place(self) -> Place:
        event = self.rehearsal.event
        return Place(
            self.rehearsal.stage, self.workspace, self.rehearsal.folder / "artifacts",
            event.ref, event.sha, self.rehearsal.borrow,
        )  # fmt: skip

    def _github(self) -> dict[str, Any]:
        event = self.rehearsal.event
        return {
            "event_name": event.name,
            "event": event.payload,
            "ref": event.ref,
            "ref_name": event.ref.removeprefix("refs/heads/"),
            "sha": event.sha,
            "repository": REPOSITORY,
            "server_url": "https://github.com",
            "run_id": str(self.rehearsal.number),
            "run_number": str(self.rehearsal.number),
            "run_attempt": "1",
            "workflow": self.workflow.name,
            "job": self.job.id,
            "workspace": str(self.workspace),
            "token": "a-token-of-the-rehearsal",
        }

    def _context(self, status: Mapping[str, bool]) -> dict[str, Any]:
        event = self.rehearsal.event
        return {
            "github": self._github(),
            "inputs": self.workflow.inputs(event.name, event.inputs),
            "vars": Silent(self.rehearsal.variables),
            "needs": self.needs,
            "steps": self.steps,
            "matrix": self.job.matrix,
            "always()": True,
            "cancelled()": False,
            **status,
        }


_SHOWN = ("event_name", "ref", "ref_name", "sha", "repository", "server_url", "run_id",
          "run_number", "run_attempt", "workflow", "job", "workspace")  # fmt: skip


def read_pairs(text: str) -> dict[str, str]:
    """What was written to GITHUB_OUTPUT or GITHUB_ENV: name=value, or name<<END ... END."""
    found: dict[str, str] = {}
    lines = iter(text.splitlines())
    for line in lines:
        name, sign, rest = line.partition("<<") if "<<" in line.split("=")[0] else (line, "", "")
        if sign:
            value: list[str] = []
            for each in lines:
                if each == rest:
                    break
                value.append(each)
            else:
                raise WorkflowError(f"{name}: the end mark {rest!r} never comes")
            found[name] = "\n".join(value)
        elif line:
            name, sign, rest = line.partition("=")
            if not sign:
                raise WorkflowError(f"neither name=value nor name<<END: {line!r}")
            found[name] = rest
    return found
