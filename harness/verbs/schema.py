"""`harness schema`: what a config, a scorecard and a comparison look like."""

from __future__ import annotations

import click

from harness.terminal import echo


@click.command()
@click.argument("what", type=click.Choice(["config", "scorecard"]), default="config")
def schema(what: str) -> None:
    """Print the JSON Schema of a config or of a scorecard."""
    import json

    from harness.config import MilestoneConfig
    from harness.scorecard import Scorecard

    model = MilestoneConfig if what == "config" else Scorecard
    echo(json.dumps(model.model_json_schema(by_alias=True), indent=2))
