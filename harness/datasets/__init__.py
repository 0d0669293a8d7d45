"""Recipes: each file makes one kind of dataset as numpy arrays, under its own name.

A recipe is a function named like its file, with keyword arguments that a config gives
and a `Dataset` as its result.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from traceback import extract_tb

import numpy as np

from harness.arguments import accepts, as_tuples
from harness.config import MilestoneConfig
from harness.datasets.base import Dataset
from harness.errors import DataError, HarnessError, UsageError, did_you_mean
from harness.raised import told

Recipe = Callable[..., Dataset]
_NOT_RECIPES = ("base", "files", "summary")


def available() -> list[str]:
    """Names of all recipes."""
    return [module.name for module in iter_modules(__path__) if module.name not in _NOT_RECIPES]


def recipe(name: str) -> Recipe:
    """The recipe of that name; raises UsageError when there is none."""
    names = available()
    if name not in names:
        raise UsageError(
            f"unknown recipe '{name}'.{did_you_mean(name, names)}", f"Known: {', '.join(names)}"
        )
    function: Recipe = getattr(import_module(f"{__name__}.{name}"), name)
    return function


def load(config: MilestoneConfig) -> Dataset:
    """The data of a milestone, checked; raises DataError when it is missing or unfit."""
    arguments = tuple((key, as_tuples(value)) for key, value in config.data.arguments.items())
    dataset = _load(config.data.recipe, arguments, config.folder)
    _require_usable(dataset, config)
    return dataset


@lru_cache(maxsize=16)
def _load(name: str, arguments: tuple[tuple[str, object], ...], folder: Path) -> Dataset:
    function = recipe(name)
    given = dict(arguments)
    if accepts(function, "folder"):
        given["folder"] = folder
    try:
        return function(**given)
    except HarnessError:
        raise
    except (MemoryError, OverflowError) as error:
        raise DataError(f"the data of recipe '{name}' do not fit into memory: {error}") from error
    except Exception as error:  # a recipe may be anybody's
        line = extract_tb(error.__traceback__)[-1]
        place = f"{Path(line.filename).name}:{line.lineno}"
        raise DataError(f"recipe '{name}' raised {told(error)} ({place})") from error


def _require_usable(dataset: Dataset, config: MilestoneConfig) -> None:
    for part in ("train_x", "train_y", "held_out_x", "held_out_y"):
        array: np.ndarray = getattr(dataset, part)
        if array.ndim == 0 or len(array) == 0:
            raise DataError(f"{config.name}: {part} holds no examples")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise DataError(
                f"{config.name}: {part} holds {int((~np.isfinite(array)).sum())} numbers that are "
                "not finite",
                "Training on them would give NaN everywhere; clean the data first.",
            )
    for half in ("train", "held_out"):
        x, y = getattr(dataset, f"{half}_x"), getattr(dataset, f"{half}_y")
        if len(x) != len(y):
            raise DataError(f"{config.name}: {half} has {len(x)} inputs but {len(y)} targets")
    trained = dataset.epoch(np.random.default_rng(0))[0].shape[1:]
    if trained != dataset.held_out_x.shape[1:]:
        raise DataError(
            f"{config.name}: held_out_x has examples of shape {dataset.held_out_x.shape[1:]}, "
            f"train_x of shape {trained}"
        )
