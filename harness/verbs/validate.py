"""`harness validate`: check configs without training."""

from __future__ import annotations

import click

from harness.terminal import echo, pin_blas_threads


@click.command()
@click.argument("files", nargs=-1, metavar="[NAME | FILE.yaml]...")
def validate(files: tuple[str, ...]) -> None:
    """Check configs without training: all shipped ones when none is named."""
    pin_blas_threads()
    from harness.config_files import milestone_files
    from harness.session import prepared

    for outline in prepared(files or list(milestone_files()), "numpy"):
        declared, found = outline.config.expectations.count, len(outline.parameters)
        doubt = "" if found == declared else f", but expectations.tensors declares {declared}"
        echo(f"{outline.config.name}: valid, {found} tensors{doubt}")
