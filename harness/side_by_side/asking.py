"""From the words of `harness compare --backend A --backend B` to a request that makes sense."""

from __future__ import annotations

from collections.abc import Sequence

from harness.config_files import find, milestone_files
from harness.errors import UsageError

_EXAMPLE = "For example: harness compare --backend numpy --backend torch cnn."


def two_of(backends: Sequence[str]) -> tuple[str, str]:
    """The two engines; raises UsageError for any other number of them."""
    if len(backends) != 2:
        engines = "engine" if len(backends) == 1 else "engines"
        raise UsageError(
            f"--backend names {len(backends)} {engines}, a comparison needs two", _EXAMPLE
        )
    return backends[0], backends[1]


def milestones(words: Sequence[str]) -> list[str]:
    """The milestones that are named, all of them by default; raises UsageError for a ref."""
    for word in words:
        try:
            find(word)
        except UsageError as error:
            raise UsageError(
                f"{error.message} With --backend, only milestones are named",
                "Branches, tags, commits and scorecards are compared without --backend.",
            ) from error
    return list(words or milestone_files())


def require_unused(options: Sequence[str], format_: str) -> None:
    """Raises UsageError for an option that only means something for two branches."""
    known = "With --backend, there are --dtype, --jobs, --timeout, --out and --format text or json."
    if options:
        name = options[0].replace("_", "-")
        raise UsageError(f"--{name} is for two branches, not for two engines", known)
    if format_ not in ("text", "json"):
        raise UsageError(f"two engines cannot be compared in the format '{format_}'", known)
