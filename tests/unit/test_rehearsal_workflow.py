"""Workflow files are read as they are, and keys that a rehearsal would ignore are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.rehearsal.workflow import Workflow, WorkflowError, read

TEXT = """
name: small
on:
  workflow_dispatch:
    inputs:
      seeds: {default: "5"}
      accept: {type: boolean, default: false}
  schedule: [{cron: "1 2 * * *"}]
jobs:
  last:
    needs: [first, middle]
    runs-on: x
    steps: [{run: echo last}]
  middle:
    needs: first
    runs-on: x
    strategy: {matrix: {python: ["3.11", "3.14"], size: [1, 2]}}
    steps: [{name: Say, run: echo middle}]
  first:
    runs-on: x
    steps: [{uses: actions/checkout@abc}, {run: echo first}]
"""


def written(folder: Path, text: str) -> Workflow:
    file = folder / "small.yml"
    file.write_text(text, encoding="utf-8")
    return read(file)


def test_jobs_come_after_what_they_need_once_for_each_place_of_their_matrix(
    tmp_path: Path,
) -> None:
    workflow = written(tmp_path, TEXT)

    assert [job.title for job in workflow.jobs] == [
        "first", "middle (3.11, 1)", "middle (3.11, 2)", "middle (3.14, 1)", "middle (3.14, 2)",
        "last",
    ]  # fmt: skip
    assert workflow.jobs[2].matrix == {"python": "3.11", "size": 2}
    assert set(workflow.triggers) == {"workflow_dispatch", "schedule"}


def test_steps_are_called_by_their_name_or_their_action(tmp_path: Path) -> None:
    jobs = {job.id: job for job in written(tmp_path, TEXT).jobs}

    assert [step.name for step in jobs["first"].steps] == ["actions/checkout@abc", "step 2"]
    assert [step.name for step in jobs["middle"].steps] == ["Say"]


def test_inputs_have_their_defaults_by_hand_and_no_value_on_a_schedule(tmp_path: Path) -> None:
    workflow = written(tmp_path, TEXT)

    by_hand = workflow.inputs("workflow_dispatch", {"accept": "true"})
    assert by_hand == {"seeds": "5", "accept": True}
    assert workflow.inputs("schedule", {}) == {"seeds": None, "accept": None}
    with pytest.raises(WorkflowError, match="has no input sedes"):
        workflow.inputs("workflow_dispatch", {"sedes": "1"})


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("runs-on: x\n    steps: [{run: echo last}]", "container: x\n    steps: []", "container"),
        ("{run: echo last}", "{run: echo last, timeout: 3}", "timeout"),
        ("{run: echo last}", "{run: echo last, uses: x}", "either run or uses"),
        ("{run: echo last}", "{name: idle}", "either run or uses"),
        (
            "name: small",
            "name: small\ndefaults: {run: {working-directory: x}}",
            "working-directory",
        ),
        ("size: [1, 2]", "include: [{a: 1}]", "include"),
        (
            "first:\n    runs-on: x",
            "first:\n    needs: last\n    runs-on: x",
            "wait for each other",
        ),
    ],
)
def test_what_would_be_ignored_is_refused(
    old: str, new: str, complaint: str, tmp_path: Path
) -> None:
    assert old in TEXT
    with pytest.raises(WorkflowError, match=complaint):
        written(tmp_path, TEXT.replace(old, new))


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
