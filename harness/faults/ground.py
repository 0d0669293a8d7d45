"""`Ground`: where a fault is planted, for one job, and taken out again afterwards.

Most faults swap an entry of the namespace. What has no name there, the inside of an op or
of the training loop, is patched in this process, through `patch` and `replace` only.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from copy import copy
from dataclasses import replace
from importlib import import_module
from pkgutil import iter_modules
from types import FunctionType, ModuleType
from typing import Any

from harness import datasets, probes
from harness import model as models
from harness.backends.base import Backend, Factory
from harness.config import MilestoneConfig
from harness.datasets.base import Dataset
from harness.model import Model

_MISSING = object()
# What an engine is made of.
_ENGINE = ("harness.autograd", "harness.backends")


class Ground:
    """One job's own backend, config and data, and what was patched in its process."""

    def __init__(self, backend: Backend) -> None:
        self.backend = copy(backend)
        self._change_config: Callable[[MilestoneConfig], MilestoneConfig] = lambda config: config
        self._change_data: Callable[[Dataset], Dataset] = lambda dataset: dataset
        self._undo: list[tuple[Any, str, Any]] = []
        self._swapped = self._changed = False

    def of(self, config: MilestoneConfig) -> tuple[MilestoneConfig, Dataset]:
        """The config and the data that the job works on."""
        changed = self._change_config(config)
        return changed, self._change_data(datasets.load(changed))

    @property
    def reaches_engine(self) -> bool:
        """Whether the engine by itself may be another now, apart from any milestone.

        It is not when all that is known to be changed is elsewhere in the harness.
        """
        known = self._changed or bool(self._undo)
        return self._swapped or not known or any(_is_engine(owner) for owner, _, _ in self._undo)

    # --- ways to plant ------------------------------------------------------------------

    def swap(self, kind: str, name: str, factory: Factory) -> None:
        """Another factory for one name; `kind` is layers, losses, optimizers or ops."""
        space = self.backend.namespace
        entries = {**getattr(space, kind), name: factory}
        self.backend.namespace = replace(space, **{kind: entries})
        self._swapped = True

    def change_config(self, change: Callable[[MilestoneConfig], MilestoneConfig]) -> None:
        """The job trains another config than it says."""
        self._change_config, self._changed = change, True

    def change_data(self, change: Callable[[Dataset], Dataset]) -> None:
        """The job trains on other data than the recipe gives."""
        self._change_data, self._changed = change, True

    def change_model(self, change: Callable[[Model], None]) -> None:
        """Every model of the job is changed in place as soon as it is built."""
        right = models.build

        def build(*args: Any, **kwargs: Any) -> Model:
            model = right(*args, **kwargs)
            change(model)
            return model

        self.replace(right, build)

    def patch(self, owner: Any, name: str, value: Any) -> None:
        """Set an attribute of a class, a module or an object until the job ends."""
        before = vars(owner).get(name, _MISSING)
        _pass_for(value, before)
        self._undo.append((owner, name, before))
        setattr(owner, name, value)

    def replace(self, function: Any, replacement: Any) -> None:
        """`replacement` wherever the harness or the namespace holds `function`."""
        _pass_for(replacement, function)
        for module in _modules():
            for name, value in list(vars(module).items()):
                if value is function:
                    self.patch(module, name, replacement)
        space = self.backend.namespace
        for kind in ("layers", "losses", "optimizers", "ops"):
            for name, value in getattr(space, kind).items():
                if value is function:
                    self.swap(kind, name, replacement)

    def restore(self) -> None:
        """Take out whatever was patched, last first."""
        while self._undo:
            owner, name, before = self._undo.pop()
            if before is _MISSING:
                delattr(owner, name)
            else:
                setattr(owner, name, before)


def _is_engine(owner: Any) -> bool:
    """Whether something is a part of an engine; numpy, for one, is a part of it, too."""
    is_module = isinstance(owner, ModuleType)
    module = owner.__name__ if is_module else getattr(owner, "__module__", None) or ""
    return module.startswith(_ENGINE) or not module.startswith("harness")


def _pass_for(replacement: Any, function: Any) -> None:
    """Take over the name too: a trace shows what it would show had the original been edited."""
    is_of_a_fault = isinstance(replacement, FunctionType) and replacement.__module__.startswith(
        __package__
    )
    if is_of_a_fault and hasattr(function, "__qualname__"):
        name, qualname = function.__name__, function.__qualname__
        replacement.__name__, replacement.__qualname__ = name, qualname
        code = replacement.__code__
        replacement.__code__ = code.replace(co_name=name, co_qualname=qualname)


def _modules() -> list[ModuleType]:
    """Every module of the harness but the families of faults, which keep what is right.

    Those that are loaded on use are loaded now: later, they would take a replacement for
    the real thing, and keep it.
    """
    for package in (*(f"harness.probes.{kind}" for kind in probes.KINDS), "harness.datasets"):
        for found in iter_modules(import_module(package).__path__):
            import_module(f"{package}.{found.name}")
    return [
        module
        for name, module in list(sys.modules.items())
        if name.split(".")[0] == "harness" and not name.startswith("harness.faults.")
    ]
