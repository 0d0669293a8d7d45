"""Classes that are written once and made for an engine by giving them what is its own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def bound(kinds: Iterable[type[Any]], **own: object) -> dict[str, type[Any]]:
    """A subclass of each of these under its name, with `own` as attributes of the class."""
    return {kind.__name__: type(kind.__name__, (kind,), dict(own)) for kind in kinds}
