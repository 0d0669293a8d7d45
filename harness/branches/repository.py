"""The user's git repository, as far as a comparison looks at it, and never more.

Nothing here changes the checkout, the index, HEAD or a branch: git takes no optional lock, runs
no hook, and hears nothing of what the user's environment says of other repositories.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from harness.errors import BranchError, UsageError, did_you_mean

# What a training is made of; anything else in a checkout does not touch its numbers.
FOLDERS = ("harness", "configs", "data", "milestones")
# What decides how trainings are judged.
JUDGES = ("harness/checks", "harness/probes", "harness/oracles", "milestones")
_SECONDS = 120.0
# Sparse patterns would leave files out of a new worktree, a monitor would stay behind.
_SETTINGS = {
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "core.sparseCheckout": "false",
    "submodule.recurse": "false",
    "gc.auto": "0",
}


def for_git(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that git, or a program that calls git, may see."""
    kept = {key: value for key, value in environment.items() if not key.startswith("GIT_")}
    return {**kept, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}


def git_command(folder: Path, *words: str) -> list[str]:
    """A git command in `folder` that runs no hook and leaves nothing behind."""
    settings = [word for key, value in _SETTINGS.items() for word in ("-c", f"{key}={value}")]
    return ["git", "-C", str(folder), *settings, *words]


@dataclass(frozen=True)
class Repository:
    """A repository by the root of its checkout."""

    root: Path
    environment: Mapping[str, str]

    def git(self, *words: str) -> str:
        """What a git command prints, without the last newline; raises BranchError when it fails."""
        done = self._call(words)
        if done.returncode:
            raise BranchError(f"git {words[0]} failed: {last_line(done.stderr)}")
        return done.stdout.rstrip("\n")

    def commit_of(self, ref: str) -> str | None:
        """The full number of the commit that a ref stands for; None when there is none."""
        done = self._call(
            ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
        )
        return done.stdout.strip() if done.returncode == 0 and ref else None

    def refs(self) -> list[str]:
        """The short names of all branches and tags."""
        listed = self.git("for-each-ref", "--format=%(refname:short)",
                          "refs/heads", "refs/tags", "refs/remotes")  # fmt: skip
        return listed.splitlines()

    def files(self, commit: str, folder: str) -> list[str]:
        """The names of what a commit has in a folder; none when it has no such folder."""
        listed = self.git("ls-tree", "-z", "--name-only", commit, f"{folder}/")
        return [name.removeprefix(f"{folder}/") for name in listed.split("\0") if name]

    def is_clean(self) -> bool:
        """Whether the checkout holds what HEAD does, and nothing else that a training may read.

        Files that git ignores count, too: Python imports them all the same.
        """
        if self.git("status", "--porcelain", "--untracked-files=no"):
            return False
        others = self.git("ls-files", "-z", "--others", "--", *FOLDERS).split("\0")
        return not [name for name in others if name and "__pycache__" not in Path(name).parts]

    def digest_of_files(self) -> str:
        """A checksum of all files in the checkout that a training may read."""
        digest = sha256()
        for file in sorted(f for folder in FOLDERS for f in (self.root / folder).rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(f"{file}\n".encode())
                digest.update(sha256(file.read_bytes()).digest())
        return digest.hexdigest()

    def changed_judges(self, base: str, head: str | None) -> list[str]:
        """What judges, and is not the same in a commit and another, or the checkout for None.

        Folders of code, and single files of what is on record.
        """
        commits = [base] if head is None else [base, head]
        names = self.git("diff", "--name-only", "-z", *commits, "--", *JUDGES).split("\0")
        folders = [name if name.startswith("milestones/") else name.rpartition("/")[0]
                   for name in names if name and not name.endswith(".md")]  # fmt: skip
        return sorted(dict.fromkeys(folders))

    def common_folder(self) -> Path:
        """Where git keeps what all worktrees share."""
        return Path(self.git("rev-parse", "--path-format=absolute", "--git-common-dir"))

    def _call(self, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return _call(git_command(self.root, *words), for_git(self.environment))


def repository_at(folder: Path, environment: Mapping[str, str]) -> Repository:
    """The repository whose checkout a folder is in; raises UsageError when it is in none."""
    done = _call(git_command(folder, "rev-parse", "--show-toplevel"), for_git(environment))
    if done.returncode:
        raise UsageError(
            f"branches are compared inside a git repository, and {folder} is in none: "
            f"{last_line(done.stderr)}",
            "Go to a checkout of the project, or compare two scorecards.",
        )
    return Repository(Path(done.stdout.rstrip("\n")), environment)


def unknown_ref(repository: Repository, ref: str, milestones: Sequence[str] = ()) -> UsageError:
    """What to say of a word that is no ref, no scorecard and no milestone."""
    known = ["HEAD", *repository.refs(), *milestones]
    is_shallow = repository.git("rev-parse", "--is-shallow-repository").strip() == "true"
    deeper = " The clone is shallow: 'git fetch --unshallow' brings the rest." if is_shallow else ""
    return UsageError(
        f"'{ref}' is no branch, tag or commit of {repository.root}, and no scorecard."
        f"{did_you_mean(ref, known)}",
        f"'git branch --all' and 'git tag' list what there is.{deeper}",
    )


def last_line(text: str) -> str:
    """What a program complained of: its first line with "error:" or "fatal:", else its last."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for line in lines:
        if line.startswith(("error: ", "fatal: ")):
            return line.partition(": ")[2]
    return lines[-1] if lines else "it said nothing"


def _call(
    command: Sequence[str], environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
        )
    except FileNotFoundError as error:
        raise UsageError(
            "branches are compared with git, which is not installed",
            "Install git, or compare two scorecards.",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise BranchError(f"git gave no answer in {_SECONDS:g} s: {' '.join(command)}") from error
