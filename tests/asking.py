"""A verb called in this process, and all that it says."""

from __future__ import annotations

from click.testing import CliRunner

from harness.cli import cli
from harness.errors import HarnessError


def said_by(verb: str, *words: str) -> tuple[int, str]:
    """The exit code of the verb, and what it says; where it raises, the message and the hint."""
    result = CliRunner().invoke(cli, [verb, *words], standalone_mode=False)
    if isinstance(result.exception, HarnessError):
        return result.exception.exit_code, f"{result.exception.message} {result.exception.hint}"
    if result.exception is not None:
        return 2, str(result.exception)
    return int(result.return_value or 0), result.output
