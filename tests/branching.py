"""A repository with a small milestone and some branches of the harness, and the command in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.examples import ROOT, SMALL, small_file

PATIENCE = 120.0
TRAINING = "harness/training.py"
GRADIENT = ("harness/autograd/ops/matmul.py", "grad_weight = np.dot(g.T, as_matrix(x.data))",
            "grad_weight = 0.5 * np.dot(g.T, as_matrix(x.data))")  # fmt: skip
BACKWARD = "outputs, targets = learner.backward(x, y)"
FIRST_LINE = "from __future__ import annotations\n"


def clean_environment() -> dict[str, str]:
    """Our variables without those of git, and git without the user's settings."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    who = {f"GIT_{role}_{what}": "nobody@example.org" for role in ("AUTHOR", "COMMITTER")
           for what in ("NAME", "EMAIL")}  # fmt: skip
    return {**kept, **who, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}


def git(root: Path, *words: str) -> str:
    """What git prints in a repository."""
    done = subprocess.run(["git", *words], cwd=root, env=clean_environment(),
                          capture_output=True, text=True, timeout=PATIENCE)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def make_repository(root: Path) -> Path:
    """The harness with one milestone, "small", committed on main."""
    for folder in ("harness", "data", "milestones"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, root / folder, ignore=ignored)
    (root / "configs").mkdir()
    small_file(root / "configs")
    (root / ".gitignore").write_text("__pycache__/\n", encoding="utf-8")
    git(root, "init", "--quiet", "--initial-branch", "main")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message", "all is well")
    return root


def branch(root: Path, name: str, file: str, old: str, new: str) -> None:
    """A branch off main in which `old`, which stands once in a file, is `new`."""
    edit(root / file, old, new)
    git(root, "checkout", "--quiet", "-b", name)
    git(root, "commit", "--quiet", "--all", "--message", name)
    git(root, "checkout", "--quiet", "main")


def edit(file: Path, old: str, new: str) -> None:
    """Replace the first `old` of a file."""
    text = file.read_text(encoding="utf-8")
    assert old in text, f"{old!r} is not in {file.name}"
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


def add_milestone(root: Path, name: str, text: str = SMALL) -> None:
    """A branch off main, named like the milestone that it adds."""
    git(root, "checkout", "--quiet", "-b", f"with-{name}")
    file = root / "configs" / f"{name}.yaml"
    file.write_text(text.replace("name: small", f"name: {name}"), encoding="utf-8")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message", name)
    git(root, "checkout", "--quiet", "main")


def everything(root: Path) -> dict[str, bytes]:
    """All files of a checkout and of its repository, byte by byte, and all folders."""
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() else b""
        for path in root.rglob("*")
    }


@contextmanager
def started(
    root: Path, home: Path, *words: str, before: Callable[[], None] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """`harness compare`, begun in a checkout, with its temporary files and its cache in `home`."""
    process = subprocess.Popen(
        [sys.executable, "-m", "harness", "compare", *words, "--no-timing",
         "--out", str(home / "out")],
        cwd=root,
        env=variables(home),
        preexec_fn=before,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    with process:
        try:
            yield process
        finally:
            process.kill()


def variables(home: Path) -> Mapping[str, str]:
    """The environment of a comparison that keeps all it makes in `home`."""
    (home / "temporary").mkdir(exist_ok=True)
    return {
        **clean_environment(),
        "PYTHONPATH": str(ROOT),
        "TMPDIR": str(home / "temporary"),
        "XDG_CACHE_HOME": str(home / "cache"),
    }


def compared(root: Path, home: Path, *words: str) -> tuple[int, str, str]:
    """`harness compare`, to its end: (exit code, stdout, stderr)."""
    with started(root, home, *words) as process:
        said, complaints = process.communicate(timeout=PATIENCE)
    return process.returncode, said, complaints


def nothing_is_left(home: Path) -> bool:
    """Whether no temporary file and no process of a comparison is there any more."""
    return not list((home / "temporary").iterdir()) and not processes_of(home, "")


def processes_of(home: Path, words: str) -> list[int]:
    """The numbers of the processes of a comparison whose command has these words."""
    command = ["ps", "-e", "-ww", "-o", "pid=,args="]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    lines = [line for line in listed.splitlines() if str(home) in line and words in line]
    return [int(line.split()[0]) for line in lines]
