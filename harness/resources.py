"""Where configs, records and data are: in the installed package or in the checkout.

The only module that knows; everything else is given a path.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from harness.errors import DataError

_PACKAGE = Path(__file__).resolve().parent


def root(folder: Literal["configs", "milestones", "data"]) -> Path:
    """The folder of that name, as shipped with the wheel or beside the package."""
    for candidate in (_PACKAGE / "_shipped" / folder, _PACKAGE.parent / folder):
        if candidate.is_dir():
            return candidate
    raise DataError(
        f"the folder '{folder}' is neither in the installed package nor beside it",
        "Install the package again, or run from a complete checkout.",
    )
