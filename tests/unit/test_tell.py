"""One issue for all red nights and one comment a pull request, whoever else has written there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.examples import ROOT
from tests.rehearsal.stage import Stage, install_gh

Tell = Callable[..., tuple[int, str]]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    install_gh(tmp_path / "stage")
    return Stage(tmp_path / "stage")


@pytest.fixture
def tell(stage: Stage) -> Tell:
    def call(*words: object, script: str = "tell.py", **more: str) -> tuple[int, str]:
        environment = {
            **os.environ,
            "PATH": os.pathsep.join([str(stage.folder / "bin"), os.environ["PATH"]]),
            "GH_TOKEN": "x",
            "GITHUB_REPOSITORY": "owner/repository",
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_RUN_ID": "12",
            "REHEARSAL_HUB": str(stage.folder / "hub"),
            "REHEARSAL_PERMISSIONS": '{"issues": "write"}',
            **more,
        }
        program = [sys.executable] if script.endswith(".py") else []
        command = [*program, str(ROOT / ".ci" / script), *map(str, words)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        return done.returncode, done.stderr

    return call


@pytest.fixture
def summary(tmp_path: Path) -> Path:
    file = tmp_path / "summary.md"
    file.write_text("<!-- mark -->\n# Red\n", encoding="utf-8")
    return file


def texts(stage: Stage) -> list[tuple[str, str, list[str]]]:
    return [(i["state"], i["title"], i["comments"]) for i in stage.hub["issues"]]


def test_red_nights_share_an_issue_until_one_is_green(
    stage: Stage, tell: Tell, summary: Path
) -> None:
    assert tell("issue", "red", "Red night: cnn", summary) == (0, "")
    assert texts(stage) == [("open", "Red night: cnn", [])]
    assert stage.hub["issues"][0]["body"] == "<!-- mark -->\n# Red\n"

    tell("issue", "red", "Red night: cnn, mlp", summary)
    assert texts(stage) == [("open", "Red night: cnn, mlp", ["<!-- mark -->\n# Red\n"])]

    tell("issue", "green", "Green night: all pass")
    ((state, _, comments),) = texts(stage)
    assert state == "closed"
    address = "https://github.com/owner/repository/actions/runs/12"
    assert comments[-1] == f"Green night: all pass. {address}"

    tell("issue", "red", "Red night: xor", summary)
    assert [state for state, _, _ in texts(stage)] == ["closed", "open"]


def test_green_night_after_green_nights_writes_nothing(stage: Stage, tell: Tell) -> None:
    assert tell("issue", "green", "Green night") == (0, "")

    assert stage.hub["issues"] == []
    assert [call[:2] for call in stage.calls] == [["issue", "list"]]


def test_comment_is_updated_in_place_and_others_are_left_alone(
    stage: Stage, tell: Tell, summary: Path
) -> None:
    file = stage.folder / "hub" / "hub.json"
    hub: dict[str, Any] = stage.hub
    hub["pull_requests"]["7"] = [
        {"id": 101, "user": {"login": "somebody"}, "body": "<!-- mark -->\nquoted"},
        {
            "id": 102,
            "user": {"login": "github-actions[bot]"},
            "body": "other <!-- mark -->",
        },
    ]
    file.write_text(json.dumps(hub), encoding="utf-8")

    assert tell("comment", 7, summary) == (0, "")
    summary.write_text("<!-- mark -->\n# Green\n", encoding="utf-8")
    assert tell("comment", 7, summary) == (0, "")

    bodies = [comment["body"] for comment in stage.hub["pull_requests"]["7"]]
    assert bodies == [
        "<!-- mark -->\nquoted", "other <!-- mark -->", "<!-- mark -->\n# Green\n"
    ]  # fmt: skip


def test_comment_without_a_marker_is_refused(stage: Stage, tell: Tell, summary: Path) -> None:
    summary.write_text("# No marker\n", encoding="utf-8")

    code, said = tell("comment", 7, summary)

    assert code == 1
    assert "the first line is no marker: '# No marker'" in said
    assert stage.calls == []


def test_what_gh_refuses_ends_red(tell: Tell, summary: Path) -> None:
    code, said = tell("issue", "red", "Red", summary, REHEARSAL_PERMISSIONS="{}")

    assert code == 1
    assert "403" in said


@pytest.mark.parametrize(
    ("verdict", "selftest", "title", "body"),
    [
        ("red", "success", "Red night: cnn", "# Red"),
        ("", "failure", "Red night: the harness does not see every planted fault", "1 survived"),
        ("", "success", "Red night: the workflow itself failed", "actions/runs/12"),
        # Green milestones, and then a later job has failed: the night was not kept.
        ("green", "success", "Red night: the workflow itself failed", "No night was kept"),
    ],
)
def test_a_night_that_is_not_green_is_told_by_what_there_is(
    verdict: str, selftest: str, title: str, body: str, stage: Stage, tell: Tell, summary: Path
) -> None:
    (summary.parent / "selftest.md").write_text("# Seen?\n\n1 survived\n", encoding="utf-8")
    words = {"VERDICT": verdict, "SELFTEST": selftest, "TITLE": "Red night: cnn"}

    assert tell(summary.parent, script="tell-red", **words) == (0, "")

    (issue,) = stage.hub["issues"]
    assert issue["title"].startswith(title)
    assert body in issue["body"]


def test_a_job_that_died_early_is_told_without_any_file(
    stage: Stage, tell: Tell, tmp_path: Path
) -> None:
    words = {"VERDICT": "", "SELFTEST": "cancelled", "TITLE": ""}

    assert tell(tmp_path / "none", script="tell-red", **words) == (0, "")

    assert "has the logs" in stage.hub["issues"][0]["body"]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
