"""The command: rehearse one workflow on the checkout as it is, in a scratch folder."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.rehearsal.expressions import ExpressionError
from tests.rehearsal.runner import REPOSITORY, Event, Rehearsal, run_workflow
from tests.rehearsal.stage import Stage, build, git
from tests.rehearsal.workflow import WorkflowError, read

ROOT = Path(__file__).resolve().parents[2]
_EVENTS = {"nightly": "workflow_dispatch", "ci": "pull_request"}


def main(words: Sequence[str]) -> int:
    """0 where the workflow ends green, 1 where it ends red, 2 for wrong usage."""
    asked = _parser().parse_args(words)
    folder = Path(asked.scratch or tempfile.mkdtemp(prefix="rehearsal-")).resolve()
    try:
        return _rehearse(asked, build(folder, ROOT))
    except (WorkflowError, ExpressionError) as error:
        print(f"error: {asked.workflow}.yml: {error}", file=sys.stderr)
        return 2
    finally:
        if not asked.scratch:
            shutil.rmtree(folder, ignore_errors=True)


def _rehearse(asked: argparse.Namespace, stage: Stage) -> int:
    workflow = read(ROOT / ".github" / "workflows" / f"{asked.workflow}.yml")
    name = asked.event or _EVENTS[asked.workflow]
    rehearsal = Rehearsal(
        stage=stage,
        event=_event(name, stage, _pairs(asked.input)),
        number=1 + len(list(stage.folder.glob("run-*"))),
        jobs=tuple(asked.job),
        step=asked.step,
        variables=_pairs(asked.var),
        borrow=not asked.install,
        say=lambda text: print(text, end="", flush=True),
    )
    done = run_workflow(workflow, rehearsal)
    for job in done.values():
        if job.summary:
            print(f"== summary of {job.title}\n{job.summary}")
    print(*(f"{job.title}: {job.result}" for job in done.values()), sep="\n")
    return int(any(job.result == "failure" for job in done.values()))


def _event(name: str, stage: Stage, inputs: Mapping[str, str]) -> Event:
    """The checkout as it is, on main; of a pull request, as a branch beside main."""
    if name != "pull_request":
        return Event(name, "refs/heads/main", stage.commit(ROOT), inputs=inputs)
    base = git(stage.origin, "rev-parse", "main")
    return pull_request(base, stage.commit(ROOT, branch="proposal"))


def pull_request(base: str, head: str, fork: bool = False) -> Event:
    """Pull request 7, from a branch of the same repository or from a fork of it."""
    owner: dict[str, Any] = {"full_name": "someone/else" if fork else REPOSITORY}
    payload = {
        "pull_request": {
            "number": 7,
            "base": {"sha": base},
            "head": {"sha": head, "repo": owner},
            "user": {"login": "someone"},
        }
    }
    return Event("pull_request", "refs/pull/7/merge", head, payload, read_only=fork)


def _pairs(words: Sequence[str]) -> dict[str, str]:
    return dict(word.split("=", 1) for word in words)


def _pair(word: str) -> str:
    if "=" not in word:
        raise argparse.ArgumentTypeError(f"{word!r} is not NAME=VALUE")
    return word


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=".ci/rehearse",
        description="Run the steps of a workflow for real, on the checkout as it is (a commit is "
        "made of it in a scratch clone). `gh` is a stub, four actions have stand-ins, and the "
        "packages are those of this .venv; all else is what GitHub would run.",
    )
    add = parser.add_argument
    add("workflow", choices=_EVENTS)
    add("--job", action="append", default=[], metavar="NAME", help="Only this job.")
    add("--step", default="", metavar="NAME", help="Of all scripts, only this step's.")
    add("--event", metavar="NAME", help="What has happened, such as schedule.")
    add("--input", action="append", default=[], type=_pair, metavar="NAME=VALUE",
        help="An input of a workflow that is started by hand.")  # fmt: skip
    add("--var", action="append", default=[], type=_pair, metavar="NAME=VALUE",
        help="A variable of the repository.")  # fmt: skip
    add("--scratch", metavar="DIR", help="Keep everything there; called again: the next night.")
    add("--install", action="store_true", help="Really install the packages, from their index.")
    return parser


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
