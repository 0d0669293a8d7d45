"""`harness show`: a milestone, layer by layer."""

from __future__ import annotations

import click

from harness.terminal import echo, pin_blas_threads


@click.command()
@click.argument("name", metavar="NAME | FILE.yaml")
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="As for run.")
@click.option("--backend", metavar="NAME", default="numpy", show_default=True, help="As for run.")
def show(name: str, changes: tuple[str, ...], backend: str) -> None:
    """Show a milestone: layers, shapes, tensors, target, baseline, controls."""
    pin_blas_threads()
    from harness import on_record
    from harness.reports.outline import render
    from harness.session import prepared

    (outline,) = prepared([name], backend, changes)
    echo(render(outline, on_record.load(outline.config.name)))
