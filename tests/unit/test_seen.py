"""A night goes on where the harness sees planted faults, or says that the engine is broken."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.examples import ROOT

ALARM = {"fault": None, "where": "engine", "seed": 0, "check": "ops_behave", "reason": "a_b @all"}
HARMLESS = {**ALARM, "fault": "gelu_fast"}
GOOD: dict[str, Any] = {
    "passed": True,
    "figures": {"caught": {"part": 2, "whole": 3}, "healthy_accused": {"part": 0, "whole": 4}},
    "survived": [],
    "missed": {},
    "accused": [],
}


def seen(folder: Path, text: str | None, code: int) -> tuple[str, str]:
    """What is printed for $GITHUB_OUTPUT, and the summary."""
    if text is not None:
        (folder / "selftest.json").write_text(text, encoding="utf-8")
    command = [sys.executable, str(ROOT / ".ci" / "seen.py"), str(folder), str(code)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), (folder / "selftest.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "code", "sees", "told"),
    [
        ({}, 0, True, "It sees what it should, and accuses nothing"),
        ({"passed": False, "survived": ["relu"]}, 1, False, "`relu` was seen by nothing"),
        ({"passed": False, "missed": {"tanh_bwd": ["gradients_agree"]}}, 1, False,
         "`tanh_bwd` was not seen by gradients_agree"),
        ({"passed": False, "accused": [HARMLESS]}, 1, False, "gelu_fast was accused on engine"),
        ({"passed": False, "accused": [ALARM]}, 1, True, "that may be broken: see the milestones"),
        ({"passed": False, "accused": [ALARM], "survived": ["x"]}, 1, True, "`x` was seen by no"),
        ({}, 3, False, "not everything was looked at: the exit code was 3"),
    ],
)  # fmt: skip
def test_answer_follows_from_what_was_seen(
    change: dict[str, Any], code: int, sees: bool, told: str, tmp_path: Path
) -> None:
    printed, summary = seen(tmp_path, json.dumps({**GOOD, **change}), code)

    assert printed == f"sees={str(sees).lower()}"
    assert told in summary
    assert "| planted faults caught | 2 of 3 |" in summary


@pytest.mark.parametrize("text", [None, "", '{"passed": tr', "[1, 2]"])
def test_what_cannot_be_read_is_blind(text: str | None, tmp_path: Path) -> None:
    printed, summary = seen(tmp_path, text, 2)

    assert printed == "sees=false"
    assert "printed nothing that can be read; its exit code was 2" in summary


def test_reasons_are_no_markup_and_long_lists_are_cut(tmp_path: Path) -> None:
    found = {**GOOD, "passed": False, "accused": [ALARM], "survived": [f"f{n}" for n in range(30)]}

    _, summary = seen(tmp_path, json.dumps(found), 1)

    assert "`f19` was seen by nothing" in summary
    assert "`f20`" not in summary
    assert "- and 11 more, in selftest.json" in summary
    _, summary = seen(tmp_path, json.dumps({**found, "survived": []}), 1)
    assert r"`ops_behave`: a\_b @&#8203;all" in summary


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
