"""The `harness` command: finds its verbs in `harness/verbs/`, and turns errors into exit codes."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from importlib import import_module
from io import TextIOWrapper
from pkgutil import iter_modules
from traceback import extract_tb

import click

from harness import __version__, verbs
from harness.errors import HarnessError, UsageError, did_you_mean
from harness.terminal import INTERRUPTED, complain, stop_printing

NO_VERDICT = 3


def main() -> None:
    """The entry point: every HarnessError becomes a sentence and its exit code."""
    try:
        _main()
    except SystemExit as left:
        # A thread that an engine started while it was imported would keep this process for ever.
        if any(each is not threading.main_thread() and not each.daemon
               for each in threading.enumerate()):  # fmt: skip
            _end_now(left.code)
        raise


def _end_now(code: object) -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # closed: there is nothing to lose
            stream.flush()
    os._exit(code if isinstance(code, int) else 1 if code else 0)


def _main() -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # an arrow is not worth a crash
    try:
        code = cli(sys.argv[1:] or ["--help"], standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except HarnessError as error:
        complain(error.message, error.hint)
        sys.exit(error.exit_code)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        path = context.command_path if context else "harness"
        complain(error.format_message(), f"'{path} --help' lists what there is.")
        sys.exit(2)
    except OSError as error:
        stop_printing()
        complain(str(error))
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        complain("interrupted")
        sys.exit(INTERRUPTED)
    except Exception as error:  # an engine may raise anything while it is imported or shown
        last = extract_tb(error.__traceback__)[-1]
        where = f"{last.filename}:{last.lineno} in {last.name}"
        complain(
            f"{type(error).__name__}: {error} ({where})", "A bug, in the engine or in the harness."
        )
        sys.exit(NO_VERDICT)


class _Verbs(click.Group):
    """A group whose commands are the files of a folder, each imported when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(module.name for module in iter_modules(verbs.__path__))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        known = self.list_commands(ctx)
        if cmd_name not in known:
            raise UsageError(
                f"there is no verb '{cmd_name}'.{did_you_mean(cmd_name, known)}",
                f"Verbs are {', '.join(known)}; 'harness --help' says what they do.",
            )
        module = import_module(f"{verbs.__name__}.{cmd_name}")
        found = [each for each in vars(module).values() if isinstance(each, click.Command)]
        return next(each for each in found if each.name == cmd_name)


@click.group(
    cls=_Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 all pass, 1 a check failed or a regression is shown, 2 usage or config "
    "error (nothing was trained), 3 no verdict (crash, timeout, killed, not comparable), 4 too "
    "little evidence (compare --strict), 130 interrupted.",
)
@click.version_option(__version__, prog_name="harness")
def cli() -> None:
    """Train the milestones of neural network history and check that they really learn."""
