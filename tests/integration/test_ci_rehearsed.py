"""The workflow ci.yml as a rehearsal: a branch that breaks a gradient, and the comment on it."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from tests.examples import ROOT
from tests.rehearsal.__main__ import pull_request
from tests.rehearsal.runner import JobDone, Rehearsal, run_workflow
from tests.rehearsal.stage import build, git
from tests.rehearsal.workflow import read

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("git") is None, reason="git is missing"),
]
RIGHT = "super().__init__(x, weight, bias)"
WRONG = "super().__init__(x, weight)"
OPTIONS = {"HARNESS_COMPARE_OPTIONS": "cnn --seeds 2 --no-timing --no-cache"}


@pytest.fixture(scope="module")
def proposed(tmp_path_factory: pytest.TempPathFactory) -> Rehearsal:
    """A pull request against the checkout as it is that leaves a bias out of a gradient."""
    folder = tmp_path_factory.mktemp("ci")
    stage = build(folder / "stage", ROOT)
    base = stage.commit(ROOT)
    author = folder / "author"
    git(folder, "clone", "--quiet", stage.url, str(author))
    file = author / "harness" / "autograd" / "ops" / "convolution.py"
    text = file.read_text(encoding="utf-8")
    assert RIGHT in text
    file.write_text(text.replace(RIGHT, WRONG), encoding="utf-8")
    event = pull_request(base, stage.commit(author, branch="proposal", message="Tidy up"))
    return Rehearsal(stage, event, jobs=("compare", "comment"), variables=OPTIONS)


@pytest.fixture(scope="module")
def done(proposed: Rehearsal) -> dict[str, JobDone]:
    return run_workflow(read(ROOT / ".github" / "workflows" / "ci.yml"), proposed)


def test_broken_branch_ends_red_and_its_summary_says_which_tensor(
    done: dict[str, JobDone],
) -> None:
    job = done["compare"]

    assert job.result == "failure", [step.log for step in job.steps]
    outcomes = {step.name: step.outcome for step in job.steps}
    assert outcomes["Compare with where the branch began"] == "failure"
    assert outcomes["Show what came out"] == "success", job.step("Show what came out").log
    assert "REGRESSED" in job.summary
    assert "conv1.bias" in job.summary
    assert "::error" in job.step("Show what came out").log


def test_comment_is_written_once_and_then_updated(
    proposed: Rehearsal, done: dict[str, JobDone]
) -> None:
    assert done["comment"].result == "success", [step.log for step in done["comment"].steps]
    (comment,) = proposed.stage.hub["pull_requests"]["7"]
    assert comment["body"].startswith("<!-- harness-compare -->\n")
    assert comment["body"] == done["compare"].summary


def test_fork_gets_no_comment_but_the_same_summary(
    proposed: Rehearsal, done: dict[str, JobDone]
) -> None:
    parts = proposed.event.payload["pull_request"]
    event = pull_request(parts["base"]["sha"], parts["head"]["sha"], fork=True)
    calls = len(proposed.stage.calls)

    again = run_workflow(
        read(ROOT / ".github" / "workflows" / "ci.yml"), replace(proposed, event=event, number=2)
    )

    assert again["comment"].result == "skipped"
    assert len(proposed.stage.calls) == calls
    assert "conv1.bias" in again["compare"].summary


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
