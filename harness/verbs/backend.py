"""`harness backend`: the engines there are, and a start for one of your own."""

from __future__ import annotations

from pathlib import Path

import click

from harness.errors import OutputError, UsageError
from harness.terminal import echo, pin_blas_threads


@click.group()
def backend() -> None:
    """List the engines that can be judged, or write an adapter for another one."""


@backend.command("list")
def list_() -> None:
    """List the engines that come with the harness or that installed packages announce."""
    pin_blas_threads()
    from harness import backends

    shipped = {name: _state(name) for name in backends.available()}
    announced = {name: f"announced by {p.value}" for name, p in backends.announced().items()}
    everything = {**announced, **shipped}
    width = max(map(len, everything))
    for name, told in everything.items():
        echo(f"{name:{width}}  {told}")


def _state(name: str) -> str:
    """Whether a shipped engine can be used; its library, not imported here, has its name."""
    from importlib.metadata import PackageNotFoundError, version

    from harness.backends import VOCABULARY

    if name == VOCABULARY:
        return "the harness's own"
    try:
        return f"installed, {version(name)}"
    except PackageNotFoundError:
        return f"not installed: pip install 'milestone-harness[{name}]'"


@backend.command()
@click.argument("name")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    metavar="FILE",
    help="The file to write.  [default: NAME_backend.py]",
)
def new(name: str, out: Path | None) -> None:
    """Write an adapter for an engine called NAME: it runs as it is, and waits for yours."""
    pin_blas_threads()
    from harness import backends
    from harness.backends.skeletons import adapter

    if not name.isidentifier() or not name.isascii():
        raise UsageError(
            f"'{name}' cannot be the name of an engine: expected letters, digits and _, a letter "
            "first",
            "For example: harness backend new mylib",
        )
    if backends.is_shipped(name):
        raise UsageError(
            f"'{name}' is the name of an engine that comes with the harness",
            "Scorecards tell engines apart by their names: choose another.",
        )
    file = out or Path(f"{name}_backend.py")
    _write(file, adapter(name))
    echo(f"{file}: try it with `harness run --backend {_as_path(file)} perceptron`")


def _write(file: Path, text: str) -> None:
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError as error:
        raise OutputError(
            f"{file} is there already, and is left as it is", "Name another one with --out FILE."
        ) from error
    except OSError as error:
        raise OutputError(f"cannot write {file}: {error.strerror}") from error


def _as_path(file: Path) -> str:
    return str(file) if len(file.parts) > 1 else f"./{file}"
