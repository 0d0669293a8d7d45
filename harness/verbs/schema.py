"""`harness schema`: what a config, a scorecard and a comparison look like."""

from __future__ import annotations

import click

from harness.terminal import echo


@click.command()
@click.argument("what", type=click.Choice(["config", "scorecard", "comparison"]), default="config")
def schema(what: str) -> None:
    """Print the JSON Schema of a config, of a scorecard or of a comparison."""
    import json

    from pydantic import BaseModel

    from harness.comparison import Comparison
    from harness.config import MilestoneConfig
    from harness.scorecard import Scorecard

    models: dict[str, type[BaseModel]] = {
        "config": MilestoneConfig,
        "scorecard": Scorecard,
        "comparison": Comparison,
    }
    echo(json.dumps(models[what].model_json_schema(by_alias=True), indent=2))
