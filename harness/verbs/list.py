"""`harness list`: the milestones."""

from __future__ import annotations

import click

from harness.terminal import echo


@click.command("list")
def list_() -> None:
    """List the milestones."""
    from harness.config_files import load, milestone_files

    for name, file in milestone_files().items():
        config = load(file)
        echo(
            f"{name:12} {config.year}  {config.title:12} {config.expectations.count:3} tensors  "
            f"target {config.targets.accuracy:g}  {config.summary}"
        )
