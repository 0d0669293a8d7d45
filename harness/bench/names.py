"""Who can be asked to train: the backends, and two that are none."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from harness import backends
from harness.errors import UsageError, did_you_mean

# A PyTorch loop written by hand, and a training step compiled by JAX.
TORCH_SCRIPT = "torch-script"
JAX = "jax"
# Compared with the built-in engine where it is installed.
_RIVAL = "torch"


def contender_names(asked: Sequence[str]) -> list[str]:
    """Each contender once; without any, the built-in engine and PyTorch where it is installed,
    both through the harness and by hand.

    A name that nobody has is a UsageError; one that looks like a module or a file is left to
    the worker that loads it.
    """
    if not asked:
        rivals = [_RIVAL, TORCH_SCRIPT] if find_spec(_RIVAL) else []
        return ["numpy", *rivals]
    known = [*backends.available(), *backends.announced(), TORCH_SCRIPT, JAX]
    for name in asked:
        if name not in known and not any(mark in name for mark in "./\\"):
            raise UsageError(
                f"unknown backend '{name}'.{did_you_mean(name, known)}",
                f"Known: {', '.join(known)}; a module or a .py file works too.",
            )
    found = list(dict.fromkeys(backends.located(name) for name in asked))
    shown = [display_name(name) for name in found]
    for name in shown:
        if shown.count(name) > 1:
            raise UsageError(f"two of the backends are called '{name}'", "Rename one of the files.")
    return found


def base_of(names: Sequence[str]) -> str:
    """Whom the others are held against: PyTorch by hand, else PyTorch, else the first."""
    return next((name for name in (TORCH_SCRIPT, _RIVAL) if name in names), names[0])


def is_backend(name: str) -> bool:
    """Whether a contender is an engine that a milestone can be trained with."""
    return name not in (TORCH_SCRIPT, JAX)


def display_name(name: str) -> str:
    """A contender's name in tables: that of a file without its folders and ending."""
    return Path(name).stem if name.endswith(".py") else name
