"""Where numbers come from: code, data, machine. Two scorecards differ for a reason."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

import harness

_PACKAGE = Path(harness.__file__).resolve().parent


class Provenance(BaseModel):
    """Where the numbers come from; what may explain a difference between two scorecards."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    harness: str
    commit: str | None = None
    dirty: bool | None = None
    python: str
    numpy: str
    blas: str
    blas_threads: int | None
    cpu: str
    platform: str
    backend: str
    backend_version: str = ""
    backend_from: str = Field(default="", description="what --backend was given, if it was")
    seeds: list[int]
    configs: dict[str, str] = Field(description="milestone -> digest of what decides its numbers")
    data: dict[str, str] = Field(description="milestone -> digest of its arrays")
    settings: dict[str, dict[str, str]] = Field(
        default={}, description="milestone -> all that its config's digest is made of, by path"
    )
    modified: list[str] = Field(default=[], description="--set changes, none in a normal run")


def gather(
    *,
    backend: str,
    backend_version: str = "",
    backend_from: str = "",
    seeds: Iterable[int],
    configs: Mapping[str, str],
    data: Mapping[str, str],
    settings: Mapping[str, Mapping[str, str]],
    modified: Iterable[str],
    blas_threads: int | None,
) -> Provenance:
    """What is known about this run; a commit only where the code runs from a checkout."""
    commit, dirty = _commit(_PACKAGE.parent)
    return Provenance(
        harness=harness.__version__,
        commit=commit,
        dirty=dirty,
        python=platform.python_version(),
        numpy=np.__version__,
        blas=_blas(),
        blas_threads=blas_threads,
        cpu=_cpu(),
        platform=f"{platform.system()} {platform.machine()}",
        backend=backend,
        backend_version=backend_version,
        backend_from=backend_from,
        seeds=list(seeds),
        configs=dict(configs),
        data=dict(data),
        settings={name: dict(each) for name, each in settings.items()},
        modified=list(modified),
    )


def _commit(folder: Path) -> tuple[str | None, bool | None]:
    """The commit of a checkout and whether files differ from it; (None, None) elsewhere."""
    if not (folder / ".git").exists():
        return None, None
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        return commit, bool(_git(folder, "status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):
        return None, None


def _git(folder: Path, *words: str) -> str:
    # Asking must not refresh the index, which is the user's.
    command = ["git", "--no-optional-locks", "-C", str(folder), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()


def _blas() -> str:
    """Name and version of the linear algebra library that numpy was built with."""
    # numpy's stubs have no type for what is inside.
    config: dict[str, Any] = dict(np.show_config(mode="dicts") or {})
    blas = config.get("Build Dependencies", {}).get("blas", {})
    return f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip()


def _cpu() -> str:
    """The processor's model name where Linux tells it, else what Python knows."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"
