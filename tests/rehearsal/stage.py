"""The scratch world of a rehearsal: a bare origin, a `gh` that is a stub, and its memory."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STUB = Path(__file__).with_name("gh_stub.py")
# Who a commit is by that stands for the checkout as it is.
_AUTHOR = ["-c", "user.name=rehearsal", "-c", "user.email=rehearsal@example.org",
           "-c", "commit.gpgsign=false", "-c", "core.hooksPath=/dev/null"]  # fmt: skip
# As on GitHub, a job without the permission cannot push; hooks see the environment of who pushes.
_HOOK = """#!/bin/sh
if [ "${REHEARSAL_CONTENTS-write}" != write ]; then
    echo "403: this job has no permission contents: write" >&2
    exit 1
fi
"""


@dataclass(frozen=True)
class Stage:
    """A folder with all that stands in for GitHub."""

    folder: Path

    @property
    def origin(self) -> Path:
        """The bare repository that jobs clone, and push to."""
        return self.folder / "origin.git"

    @property
    def url(self) -> str:
        """What clones take: a file URL, so that depth is honoured."""
        return self.origin.resolve().as_uri()

    @property
    def hub(self) -> dict[str, Any]:
        """Issues, labels, and comments of pull requests."""
        text = (self.folder / "hub" / "hub.json").read_text(encoding="utf-8")
        hub: dict[str, Any] = json.loads(text)
        return hub

    @property
    def calls(self) -> list[list[str]]:
        """Every call of `gh`."""
        file = self.folder / "hub" / "calls.jsonl"
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        return [json.loads(line) for line in lines]

    def commit(self, source: Path, branch: str = "main", message: str = "Rehearse") -> str:
        """Put the files of a checkout, as they are now, on a branch of origin; gives the commit."""
        seed = self.folder / "seed"
        shutil.rmtree(seed, ignore_errors=True)
        git(self.folder, "clone", "--quiet", "--no-checkout", self.url, str(seed))
        start = f"refs/remotes/origin/{branch}"
        known = git(seed, "for-each-ref", start)
        git(seed, "checkout", "--quiet", "-B", branch, start if known else "origin/main")
        git(seed, "rm", "-r", "--quiet", "--ignore-unmatch", ".")
        for name in _files(source):
            (seed / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / name, seed / name, follow_symlinks=False)
        git(seed, "add", "--all")
        if git(seed, "status", "--porcelain"):
            git(seed, *_AUTHOR, "commit", "--quiet", "-m", message)
        git(seed, "push", "--quiet", "origin", branch)
        return git(seed, "rev-parse", "HEAD")

    def branch_file(self, branch: str, path: str) -> str | None:
        """The text of a file on a branch of origin; None where there is none."""
        done = subprocess.run(
            ["git", "-C", self.origin, "show", f"refs/heads/{branch}:{path}"],
            capture_output=True, text=True,
        )  # fmt: skip
        return done.stdout if done.returncode == 0 else None


def build(folder: Path, source: Path) -> Stage:
    """A new stage whose origin has what `source` has: all of its history on main; or one of old."""
    stage = Stage(folder)
    if stage.origin.exists():
        return stage
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "--quiet", "--bare", "--initial-branch=main", str(stage.origin))
    git(stage.origin, "config", "uploadpack.allowAnySHA1InWant", "true")
    git(source, "push", "--quiet", stage.url, "HEAD:refs/heads/main")
    hook = stage.origin / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(_HOOK, encoding="utf-8")
    hook.chmod(0o755)
    install_gh(folder)
    return stage


def install_gh(folder: Path) -> None:
    """Put the stub into `bin/` and its memory, which is empty, into `hub/`."""
    (folder / "hub").mkdir(parents=True)
    empty = {"issues": [], "labels": [], "pull_requests": {}, "last_comment": 0}
    (folder / "hub" / "hub.json").write_text(json.dumps(empty), encoding="utf-8")
    command = folder / "bin" / "gh"
    command.parent.mkdir()
    command.write_text(f"#!{sys.executable}\n{STUB.read_text(encoding='utf-8')}", encoding="utf-8")
    command.chmod(0o755)


def borrow_packages(checkout: Path) -> None:
    """Give a checkout a .venv that is ready: the packages of this one, the code of the checkout.

    `make .venv/.ready` then finds nothing to do, and no package index is asked.
    """
    folder = checkout / ".venv"
    venv.create(folder, symlinks=True, with_pip=False)
    (site,) = folder.glob("lib/python*/site-packages")
    ours = [path for path in sys.path if path.endswith("site-packages")]
    (site / "borrowed.pth").write_text("\n".join([str(checkout), *ours]) + "\n", encoding="utf-8")
    for script in Path(sys.executable).parent.iterdir():
        theirs = folder / "bin" / script.name
        if script.is_file() and not theirs.exists():
            _borrow_script(script, theirs, folder)
    for stamp in (".pins", ".ready"):
        (folder / stamp).touch()


def _borrow_script(script: Path, theirs: Path, folder: Path) -> None:
    """The same command with the Python of the new .venv; programs and links as they are."""
    text = script.read_bytes()
    if text.startswith(b"#!") and b"python" in text.splitlines()[0]:
        lines = text.split(b"\n", 1)
        theirs.write_bytes(b"#!" + os.fsencode(folder / "bin" / "python") + b"\n" + lines[1])
        theirs.chmod(0o755)
    else:
        theirs.symlink_to(script)


def git(folder: Path, *words: str) -> str:
    """What a git command prints; raises where it fails."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(["git", "-C", folder, *words], capture_output=True, text=True, env=clean)
    if done.returncode:
        raise RuntimeError(f"git {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout.strip()


def _files(source: Path) -> list[str]:
    listed = git(source, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    names = [name for name in listed.split("\0") if name]
    return [name for name in dict.fromkeys(names) if os.path.lexists(source / name)]
