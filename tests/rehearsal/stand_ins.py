"""Stand-ins for the four actions that the workflows use; any other is refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.rehearsal.stage import Stage, borrow_packages, git
from tests.rehearsal.workflow import WorkflowError

Arguments = Mapping[str, str]


class ActionFailedError(Exception):
    """An action that would end its step red."""


@dataclass(frozen=True)
class Place:
    """Where an action runs: the job's workspace, the event's commit, what all jobs share."""

    stage: Stage
    workspace: Path
    artifacts: Path
    ref: str
    sha: str
    borrow: bool


def perform(action: str, arguments: Arguments, place: Place) -> str:
    """Do what an action does; gives a sentence about it."""
    name = action.partition("@")[0]
    if name not in _ACTIONS:
        raise WorkflowError(f"there is no stand-in for {action}: {', '.join(_ACTIONS)}")
    known, function = _ACTIONS[name]
    if unknown := sorted(arguments.keys() - known):
        raise WorkflowError(f"the stand-in for {name} does not know {', '.join(unknown)}")
    return function(arguments, place)


def _checkout(arguments: Arguments, place: Place) -> str:
    """With the history that `fetch-depth` asks for: 1 commit unless told otherwise, 0 for all."""
    depth, wanted = arguments.get("fetch-depth", "1"), arguments.get("ref") or place.sha
    here = place.workspace
    git(here, "init", "--quiet", f"--initial-branch={place.ref.rpartition('/')[2]}")
    git(here, "remote", "add", "origin", place.stage.url)
    if depth == "0":
        git(here, "fetch", "--quiet", "origin", "+refs/heads/*:refs/remotes/origin/*",
            "+refs/tags/*:refs/tags/*")  # fmt: skip
        git(here, "fetch", "--quiet", "--no-tags", "origin", wanted)
    else:
        git(here, "fetch", "--quiet", "--no-tags", f"--depth={depth}", "origin", wanted)
    git(here, "-c", "advice.detachedHead=false", "checkout", "--quiet", "--detach", "FETCH_HEAD")
    return f"commit {git(here, 'rev-parse', '--short', 'HEAD')}, depth {depth}"


def _setup_python(arguments: Arguments, place: Place) -> str:
    """Nothing is installed; the checkout gets a .venv that is ready, unless that is unwanted."""
    if place.borrow and (place.workspace / "Makefile").exists():
        borrow_packages(place.workspace)
        return "the Python and the packages that are here, not those asked for"
    return "the Python that is here, not the one asked for"


def _upload(arguments: Arguments, place: Place) -> str:
    """Copies what is in the folder that `path` names, or the one file."""
    target, source = place.artifacts / arguments["name"], place.workspace / arguments["path"]
    if target.exists():
        raise ActionFailedError(f"an artifact named {target.name} is there already")
    if not source.exists():
        if arguments.get("if-no-files-found") == "error":
            raise ActionFailedError(f"there is no {arguments['path']}")
        return f"warning: there is no {arguments['path']}, so there is no artifact"
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns(".*"))
    else:
        target.mkdir(parents=True)
        shutil.copy2(source, target)
    return f"{target.name}: {sum(each.is_file() for each in target.rglob('*'))} files"


def _download(arguments: Arguments, place: Place) -> str:
    source = place.artifacts / arguments["name"]
    if not source.exists():
        raise ActionFailedError(f"there is no artifact named {source.name}")
    shutil.copytree(source, place.workspace / arguments.get("path", "."), dirs_exist_ok=True)
    return source.name


_ACTIONS: Mapping[str, tuple[set[str], Callable[[Arguments, Place], str]]] = {
    "actions/checkout": ({"fetch-depth", "ref", "persist-credentials"}, _checkout),
    "actions/setup-python": ({"python-version"}, _setup_python),
    "actions/upload-artifact": ({"name", "path", "if-no-files-found", "retention-days"}, _upload),
    "actions/download-artifact": ({"name", "path"}, _download),
}
