"""`harness calibrate`: measure what a correct engine does."""

from __future__ import annotations

from pathlib import Path

import click

from harness.terminal import cpus, echo, jobs_option, names_or_all, pin_blas_threads


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--all", "everything", is_flag=True, help="Calibrate every milestone.")
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=200,
    show_default=True,
    help="Seeds for each milestone.",
)
@click.option(
    "--control-seeds",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="Seeds for each control.",
)
@jobs_option("How many processes train at once.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=None,
              help="Folder for NAME/calibration.json.  [default: milestones/]")  # fmt: skip
def calibrate(
    names: tuple[str, ...],
    everything: bool,
    seeds: int,
    control_seeds: int,
    jobs: int | None,
    out: Path | None,
) -> None:
    """Measure what milestones and their controls do on many seeds, and put it on record."""
    pin_blas_threads()
    from harness import calibrating, on_record
    from harness.session import prepared

    for outline in prepared(names_or_all(names, everything), "numpy"):
        measured = calibrating.calibrate(outline, seeds, control_seeds, jobs or cpus())
        name = outline.config.name
        file = out / name / "calibration.json" if out else on_record.file_for(name)
        on_record.save(measured, file)
        band = measured["accuracy"]
        passed = seeds - len(measured["failing_seeds"])
        echo(
            f"{name}: {passed}/{seeds} seeds pass, accuracy {band['lowest']:.3f} to "
            f"{band['highest']:.3f} (target {measured['target']:g})"
        )
        for label, control in measured["controls"].items():
            echo(f"  control {label}: at most {control['accuracy']['highest']:.3f}")
