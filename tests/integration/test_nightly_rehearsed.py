"""Six nights of nightly.yml as a rehearsal: green, green, red, red, green, and a blind selftest.

All steps are run for real. To be affordable the nights train one seed, compare one milestone
without timing, and plant one fault; the inputs of the workflow say so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.examples import ROOT
from tests.rehearsal.runner import Event, JobDone, Rehearsal, run_workflow
from tests.rehearsal.stage import Stage, build, git
from tests.rehearsal.workflow import read

pytestmark = pytest.mark.slow
BRANCH = "harness-history"
OPS = Path("harness", "autograd", "ops", "convolution.py")
RIGHT = "super().__init__(x, weight, bias)"
# As `sed` would do it, and marked so that it can be undone: the other call without a bias is right.
WRONG = "super().__init__(x, weight)  # tidier"
SMALL = {
    "seeds": "1",
    "selftest": "--fault linear_bias_dropped --healthy 1 --jobs 2",
    "compare": "cnn --seeds 2 --no-timing",
}
# A harness that takes no complaint for one.
MATRIX = Path("harness", "kill_matrix.py")
SEES = 'return self.status in ("fail", "error")'
BLIND = "return False"
CHANGES = [
    (OPS, RIGHT, RIGHT, "Note"),
    (OPS, RIGHT, WRONG, "Tidy up"),
    (OPS, WRONG, WRONG, "Note"),
    (OPS, WRONG, RIGHT, "Repair"),
    (MATRIX, SEES, BLIND, "Look away"),
]


@dataclass(frozen=True)
class Night:
    """What one night left: its jobs, and the branch of nights and the issues after it."""

    commit: str
    jobs: dict[str, JobDone]
    nights: list[str]
    last_good: str | None
    issues: list[tuple[str, str, int]]

    @property
    def results(self) -> dict[str, str]:
        return {name: job.result for name, job in self.jobs.items()}

    @property
    def summary(self) -> str:
        return self.jobs["milestones"].summary

    @property
    def log(self) -> str:
        return "\n".join(step.log for job in self.jobs.values() for step in job.steps)


def night(stage: Stage, number: int, commit: str) -> Night:
    event = Event("workflow_dispatch", "refs/heads/main", commit, inputs=SMALL)
    workflow = read(ROOT / ".github" / "workflows" / "nightly.yml")
    jobs = run_workflow(workflow, Rehearsal(stage, event, number))
    return Night(
        commit,
        jobs,
        git(stage.origin, "ls-tree", "--name-only", BRANCH, "nights/").split(),
        (stage.branch_file(BRANCH, "last-good") or "").strip() or None,
        [(i["state"], i["title"], len(i["comments"])) for i in stage.hub["issues"]],
    )


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return build(tmp_path_factory.mktemp("nightly") / "stage", ROOT)


@pytest.fixture(scope="module")
def nights(stage: Stage) -> list[Night]:
    """Each on a commit of its own: the checkout as it is, and then one after each change."""
    author = stage.folder / "author"
    commit = stage.commit(ROOT)
    git(stage.folder, "clone", "--quiet", stage.url, str(author))
    told = [night(stage, 1, commit)]
    for number, (file, old, new, subject) in enumerate(CHANGES, 2):
        (author / "notes.txt").write_text(f"{number}\n", encoding="utf-8")
        text = (author / file).read_text(encoding="utf-8")
        assert old in text
        (author / file).write_text(text.replace(old, new), encoding="utf-8")
        told.append(night(stage, number, stage.commit(author, message=subject)))
    return told


def test_first_night_is_green_and_makes_the_branch(nights: list[Night]) -> None:
    first = nights[0]

    assert set(first.results.values()) == {"success"}, first.log
    assert len(first.nights) == 1
    assert first.last_good == first.commit
    assert first.issues == []
    assert first.summary.startswith("<!-- harness-night -->\n# Green night: all milestones pass")
    skipped = first.jobs["milestones"].step("Compare with the last good night")
    assert skipped.outcome == "skipped"


def test_second_night_is_compared_with_the_first(nights: list[Night]) -> None:
    first, second = nights[:2]

    assert set(second.results.values()) == {"success"}, second.log
    assert len(second.nights) == 2
    assert second.last_good == second.commit != first.commit
    assert "## Against the last good night" in second.summary
    assert first.commit[:7] in second.summary
    assert "IDENTICAL" in second.summary
    assert second.issues == []


def test_red_night_says_what_broke_where_since_when_and_how_to_see_it(nights: list[Night]) -> None:
    third = nights[2]

    assert third.results == {
        "selftest": "failure", "milestones": "failure", "history": "success", "tell": "success"
    }, third.log  # fmt: skip
    rows = dict(re.findall(r"^\| ([\w ]+) \| (.*) \|$", third.summary, flags=re.MULTILINE))
    assert "conv2d" in rows["why"]
    assert "`conv1.bias`" in rows["in which tensor"]
    assert rows["on which line"].startswith("`harness/autograd/ops/convolution.py:")
    assert rows["since which commit"].startswith(f"`{third.commit[:7]}` Tidy up, the only one")
    assert re.search(r"`git checkout \w+ && .* run cnn --seed 0`", rows["reproduce"])
    assert "REGRESSED" in third.summary


def test_red_night_is_kept_and_moves_no_mark_and_opens_one_issue(nights: list[Night]) -> None:
    second, third = nights[1:3]

    assert len(third.nights) == 3
    assert third.last_good == second.commit
    ((state, title, comments),) = third.issues
    assert (state, comments) == ("open", 0)
    assert title.startswith("Red night: engine: ")
    assert title.endswith("conv1.bias")


def test_next_red_night_adds_to_the_same_issue(nights: list[Night]) -> None:
    second, fourth = nights[1], nights[3]

    assert fourth.results["milestones"] == "failure"
    assert len(fourth.nights) == 4
    assert fourth.last_good == second.commit
    ((state, _, comments),) = fourth.issues
    assert (state, comments) == ("open", 1)
    assert "one of 2, listed below" in fourth.summary


def test_green_night_closes_the_issue(nights: list[Night]) -> None:
    fifth = nights[4]

    assert set(fifth.results.values()) == {"success"}, fifth.log
    assert fifth.last_good == fifth.commit
    ((state, _, comments),) = fifth.issues
    assert (state, comments) == ("closed", 2)


def test_blind_harness_stops_the_night_and_is_told(nights: list[Night], stage: Stage) -> None:
    fifth, sixth = nights[4:]

    assert sixth.results == {
        "selftest": "failure", "milestones": "skipped", "history": "skipped", "tell": "success"
    }  # fmt: skip
    assert sixth.nights == fifth.nights
    state, title, _ = sixth.issues[-1]
    assert (state, title.split(":")[0]) == ("open", "Red night")
    assert "does not see every planted fault" in title
    assert "`linear_bias_dropped` was seen by nothing" in stage.hub["issues"][-1]["body"]


def test_page_is_drawn_every_night_also_on_a_red_one(nights: list[Night], stage: Stage) -> None:
    pages = [stage.folder / f"run-{n}" / "artifacts" / "night" / "page.html" for n in range(1, 6)]

    assert [page.exists() for page in pages] == [True] * 5
    assert "conv1.bias" in pages[2].read_text(encoding="utf-8")


def test_selftest_that_accuses_the_engine_as_it_is_lets_the_milestones_say_why(
    nights: list[Night],
) -> None:
    third = nights[2]

    assert "that may be broken: see the milestones" in third.jobs["selftest"].summary
    assert "ops_differentiate_right" in third.jobs["selftest"].summary


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
