"""`harness reference`: write what an engine does in the first steps, for others to follow."""

from __future__ import annotations

from pathlib import Path

import click

from harness.terminal import echo, names_or_all, pin_blas_threads


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME | FILE.yaml]...")
@click.option("--all", "everything", is_flag=True, help="Write that of every milestone.")
@click.option("--backend", metavar="NAME", default="torch", show_default=True,
              help="The engine that takes the steps.")  # fmt: skip
@click.option("--dtype", type=click.Choice(["float64", "float32"]), default="float64",
              show_default=True, help="The type of its numbers.")  # fmt: skip
@click.option("--steps", type=click.IntRange(min=1), default=20, show_default=True,
              help="How many steps it takes.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=None,
              metavar="DIR",
              help="Folder for NAME/reference.npz.  [default: milestones/]")  # fmt: skip
def reference(
    names: tuple[str, ...],
    everything: bool,
    backend: str,
    dtype: str,
    steps: int,
    out: Path | None,
) -> None:
    """Write weights, batches, losses and gradients of the first steps, for every run to follow."""
    pin_blas_threads()
    from harness import backends
    from harness.references.files import file_for, save
    from harness.references.making import make
    from harness.session import prepared

    engine = backends.load(backend)
    outlines = prepared(names_or_all(names, everything), backend)
    made = [make(each.config, engine, each.dataset, dtype, steps) for each in outlines]
    for outline, found in zip(outlines, made, strict=True):
        name = outline.config.name
        file = out / name / "reference.npz" if out else file_for(name)
        save(found, file)
        first, last = found.loss[0], found.loss[-1]
        echo(
            f"{name}: {steps} steps of {found.about['rows']} rows by {found.origin}, loss "
            f"{first:.4g} to {last:.4g}, {file.stat().st_size:,} bytes: {file}"
        )
