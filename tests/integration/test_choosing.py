"""--checks, --skip and --profile, used as a stranger would."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.checks import all_checks


def harness(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "harness", *arguments],
        cwd=folder, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def scorecard(folder: Path) -> Any:
    return json.loads((folder / "runs/latest/scorecard.json").read_text(encoding="utf-8"))


def statuses(card: Any) -> dict[str, str]:
    verdicts = card["results"][0]["verdicts"] + (card["engine"] or {"verdicts": []})["verdicts"]
    return {verdict["check"]: verdict["status"] for verdict in verdicts}


def test_run_does_every_check_by_default(tmp_path: Path) -> None:
    done = harness(tmp_path, "run", "xor")
    assert done.returncode == 0, done.stdout + done.stderr
    found = statuses(scorecard(tmp_path))
    assert found.keys() == {check.name for check in all_checks()}
    assert set(found.values()) <= {"pass", "skip"}


def test_chosen_checks_run_and_the_others_are_listed_as_not_run(tmp_path: Path) -> None:
    done = harness(tmp_path, "run", "xor", "--checks", "loss_falls, target_reached")
    assert done.returncode == 0, done.stdout + done.stderr
    card = scorecard(tmp_path)
    passed = {name for name, status in statuses(card).items() if status == "pass"}
    assert passed == {"loss_falls", "target_reached"}
    assert card["engine"] is None
    assert card["results"][0]["probe_seconds"] == {}
    words = " ".join(done.stdout.split())
    assert "parameters_move" in words[words.index("not run: ") :]


def test_skipped_checks_are_named_in_the_report(tmp_path: Path) -> None:
    done = harness(tmp_path, "run", "xor", "--skip", "gradients_agree,loss_falls")
    assert done.returncode == 0, done.stdout + done.stderr
    found = statuses(scorecard(tmp_path))
    assert (found["gradients_agree"], found["loss_falls"]) == ("skip", "skip")
    assert (found["gradients_arrive"], found["target_reached"]) == ("pass", "pass")
    words = " ".join(done.stdout.split())
    assert "loss_falls" in words[words.index("not run: ") : words.index("(not asked for)")]


@pytest.mark.parametrize("option", ["--checks", "--skip"])
def test_mistyped_check_trains_nothing_and_says_what_was_meant(tmp_path: Path, option: str) -> None:
    done = harness(tmp_path, "run", "xor", option, "gradient_agree")
    assert done.returncode == 2
    assert "unknown check 'gradient_agree'. Did you mean 'gradients_agree'?" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_every_seed_is_probed_where_nothing_else_is_asked_for(tmp_path: Path) -> None:
    done = harness(tmp_path, "run", "xor", "--seeds", "2", "--checks", "forward_agrees")
    assert done.returncode == 0, done.stdout + done.stderr
    results = scorecard(tmp_path)["results"]
    assert [result["status"] for result in results] == ["pass", "pass"]
    assert all("forward" in result["probe_seconds"] for result in results)


def test_only_the_first_seed_is_probed(tmp_path: Path) -> None:
    done = harness(tmp_path, "run", "xor", "--seeds", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    first, second = scorecard(tmp_path)["results"]
    assert first["probe_seconds"]
    assert second["probe_seconds"] == {}
    assert "first seed only" not in done.stdout


def test_profile_says_where_the_time_went(tmp_path: Path) -> None:
    done = harness(tmp_path, "run", "xor", "--profile")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "evaluating" in done.stdout
    assert "slopes" in done.stdout
    assert "training one seed of each" in done.stdout.splitlines()[-1]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
