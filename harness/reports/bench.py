"""A bench as one table: ratios with their spread, microseconds, and what the project asks."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from statistics import median

from rich.text import Text

from harness.bench.bars import backward_exponent, flatness, kinds, rise, seconds_a_flop
from harness.bench.results import Bar, Bench, Cold, Curve, Measured, Timing
from harness.reports.console import console_to

# What a cold pair is, in words.
_COLD = {
    "help": ("harness --help", "import numpy"),
    "run_all": ("run --all --seeds 1", "import torch"),
    "run_20_seeds": ("run --all --seeds 20", "a PyTorch script"),
    "memory": ("peak of run --all", "numpy, yaml, data"),
    "jobs": ("100 seeds, 2 jobs", "1 job"),
}
_STYLES = {"met": "green", "MISSED": "red"}

Line = tuple[str, str]  # text and style


def render(bench: Bench, *, colour: bool = False, width: int = 100) -> str:
    """Text for a terminal."""
    out = StringIO()
    console = console_to(out, colour=colour, width=width)
    for text, style in lines(bench):
        console.print(Text(text, style=style), soft_wrap=True)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def markdown(bench: Bench) -> str:
    """The same table for a page, as it is."""
    text = "\n".join(line for line, _ in lines(bench))
    return f"```\n{text}\n```\n"


def lines(bench: Bench) -> Iterator[Line]:
    """Every line, with its style."""
    bars = {bar.name: bar for bar in bench.bars}
    if bench.steps:
        yield from _steps(bench, bars)
    if bench.steps and (flat := bars.get("flat")) and flat.value is not None:
        yield from _flat(bench, flat)
    if bench.growth:
        yield "", ""
        yield from _growth(bench, bars)
    if bench.watching or bench.cold:
        yield "", ""
        yield from _whole(bench, bars)
    for note in [*_problems(bench), *bench.notes]:
        yield f"not measured  {note}", "yellow"
    if alone := _alone(bench):
        yield alone, "yellow"
    yield "", ""
    yield _verdict(bench.bars), "bold"
    for line in _provenance(bench):
        yield line, "dim"


def _steps(bench: Bench, bars: dict[str, Bar]) -> Iterator[Line]:
    base = bench.base
    names = _width(bench)
    head = f"{'one training step':18}{base + ' us':>12}  {'contender':{names}}{'us':>9}  "
    yield f"{head}{'ratio  95 %':22}{'forward':>8}{'backward':>9}{'optim.':>8}  bar", "bold"
    for measured in bench.steps:
        first = measured.of(base)
        shown = f"{first.microseconds:.1f}" if first else "-"
        others = [each for each in measured.timings if each.contender != base]
        for timing in others or measured.timings:
            bar = _of(timing.contender, bars.get(f"steps.{measured.workload}"))
            if timing.failed:
                yield (
                    f"{measured.workload:18}{shown:>12}  {timing.contender:{names}}{'-':>9}",
                    "yellow",
                )
                continue
            word, text = _held(bar)
            yield f"{measured.workload:18}{shown:>12}  {_timing(timing, names)}  {text}", word


def _timing(timing: Timing, names: int) -> str:
    ratio = timing.ratio
    shown = f"{ratio.value:6.3f}  {ratio.low:.3f} to {ratio.high:.3f}" if ratio else ""
    parts = timing.parts
    apart = ["-"] * 3
    if parts:
        lists = (parts.forward, parts.backward, parts.optimizer)
        apart = [f"{median(seconds) * 1e6:.1f}" for seconds in lists]
    forward, backward, optimizer = apart
    return (f"{timing.contender:{names}}{timing.microseconds:9.1f}  {shown:22}"
            f"{forward:>8}{backward:>9}{optimizer:>8}")  # fmt: skip


def _width(bench: Bench) -> int:
    """Of a column of contenders."""
    return max(13, 1 + max(map(len, bench.contenders), default=0))


def _of(contender: str, bar: Bar | None) -> Bar | None:
    """The bar, where it is about this contender."""
    return bar if bar is not None and bar.contender == contender else None


def _held(bar: Bar | None) -> tuple[str, str]:
    """A style, and what is to be said of a bar."""
    if bar is None or bar.met is None:
        return "", ""
    word = "met" if bar.met else "MISSED"
    return _STYLES[word], f"{bar.at_most:g} {word}"


def _flat(bench: Bench, bar: Bar) -> Iterator[Line]:
    style, text = _held(bar)
    for group in kinds(bench.steps).values():
        for name in bench.contenders:
            found = flatness(group, name)
            if found is None:
                continue
            points = ", ".join(f"{each.workload} {_nanoseconds(each, name)}" for each in group)
            held = f"  bar {text}" if _of(name, bar) and found == bar.value else ""
            mark = style if held else ""
            yield (
                f"ns/kFLOP  {name}: {points}: flat within {found:.2f}, "
                f"rises {rise(group, name):.2f}{held}",
                mark,
            )


def _nanoseconds(measured: Measured, contender: str) -> str:
    seconds = seconds_a_flop(measured, contender)
    return "-" if seconds is None else f"{seconds * 1e12:.3g}"


def _growth(bench: Bench, bars: dict[str, Bar]) -> Iterator[Line]:
    names = _width(bench)
    yield f"{'growth':8}{'contender':{names}}us a step (ns/kFLOP) at each size", "bold"
    for curve in bench.growth:
        for name in [timing.contender for timing in curve.points[0].timings]:
            yield _curve(curve, f"{name:{names}}", bars.get(curve.what))


def _curve(curve: Curve, padded: str, bar: Bar | None) -> Line:
    name = padded.rstrip()
    points = []
    for size, point in zip(curve.sizes, curve.points, strict=True):
        timing = point.of(name)
        us = f"{timing.microseconds:.0f} ({_nanoseconds(point, name)})" if timing else "-"
        points.append(f"{size}: {us}")
    line = f"{curve.what:8}{padded}{'  '.join(points)}"
    if bar is None:
        return line, ""
    slope = backward_exponent(curve, name)
    style, text = _held(_of(name, bar))
    grown = "" if slope is None else f"  backward ~ {curve.what}^{slope:.2f}  {text}"
    return line + grown, style


def _whole(bench: Bench, bars: dict[str, Bar]) -> Iterator[Line]:
    yield f"{'whole trainings and processes':31}{'':11}against", "bold"
    for each in bench.watching:
        us = [median(seconds) * 1e3 for seconds in (each.watched, each.bare)]
        yield (f"{'watching ' + each.workload:31}{us[0]:8.1f} ms  {'the bare loop':20}"
               f"{us[1]:8.1f} ms  {each.ratio.value:6.3f}  "
               f"{each.ratio.low:.3f} to {each.ratio.high:.3f}", "")  # fmt: skip
    if bench.watching and (bar := bars.get("watching")) and bar.value is not None:
        style, text = _held(bar)
        yield f"{'watching, all together':73}{bar.value:7.3f}  {text}", style
    for cold in bench.cold:
        name = "jobs" if cold.name == "jobs" else f"cold.{cold.name}"
        style, text = _held(bars.get(name))
        yield f"{_cold(cold)}  {text}", style


def _cold(cold: Cold) -> str:
    what, against = _COLD.get(cold.name, (cold.name, "base"))
    unit = "ms" if cold.quantity == "seconds" else "MB"
    shown = [
        median(each.seconds) * 1e3 if unit == "ms" else median(each.peak_bytes) / 1e6
        for each in (cold.process, cold.base)
    ]
    ratio = cold.ratio
    return (f"{what:31}{shown[0]:8.1f} {unit}  {against:20}{shown[1]:8.1f} {unit}  "
            f"{ratio.value:6.3f}  {ratio.low:.3f} to {ratio.high:.3f}")  # fmt: skip


def _problems(bench: Bench) -> Iterator[str]:
    """What could not be timed, each reason once with all workloads that it holds for."""
    measured = [*bench.steps, *(point for curve in bench.growth for point in curve.points)]
    found: dict[tuple[str, str], list[str]] = {}
    for each in measured:
        for timing in each.timings:
            if timing.failed:
                found.setdefault((timing.contender, timing.problem), []).append(each.workload)
    for (contender, problem), workloads in found.items():
        said = problem.removeprefix(f"{contender}: ")
        yield f"{contender} on {', '.join(workloads)}: {said}"


def _alone(bench: Bench) -> str:
    """Where nobody else's losses were there to hold a contender's against; "" if nowhere."""
    measured = [*bench.steps, *(point for curve in bench.growth for point in curve.points)]
    said = {each.workload: sum(bool(timing.losses) for timing in each.timings)
            for each in measured}  # fmt: skip
    alone = [workload for workload, count in said.items() if count == 1]
    where = "" if len(alone) == len(said) else f" on {', '.join(alone)}"
    return f"losses not compared{where}: one contender" if alone else ""


def _verdict(bars: list[Bar]) -> str:
    met = [bar for bar in bars if bar.met]
    missed = [f"{bar.name} {bar.value:.3g} > {bar.at_most:g}" for bar in bars if bar.met is False]
    open_ = len(bars) - len(met) - len(missed)
    said = f"bars: {len(met)} met, {len(missed)} missed, {open_} not measured"
    return f"{said}: {', '.join(missed)}" if missed else said


def _provenance(bench: Bench) -> Iterator[str]:
    machine, source = bench.machine, bench.provenance
    commit = f" {source.commit[:9]}{'+' if source.dirty else ''}" if source.commit else ""
    engines = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    libraries = f"numpy {source.numpy}, {source.blas}"
    yield "; ".join(filter(None, [f"harness {source.harness}{commit}", engines, libraries]))
    cores = ", ".join(map(str, machine.pinned))
    pinned = f"pinned to processor {cores}" if cores else "not pinned"
    loads = [
        f"{each:.1f}" for each in (machine.load_before, machine.load_after) if each is not None
    ]
    place = f"{source.cpu}, {machine.processors} processors, {source.platform}"
    load = " to ".join(loads) or "unknown"
    yield f"{place}, python {source.python}; 1 thread, {pinned}; load {load}"
    for name, chosen in _ways(bench).items():
        yield f"{name}'s fastest optimizer: {', '.join(chosen)}"


def _ways(bench: Bench) -> dict[str, list[str]]:
    """Who chose which way on which workload."""
    found: dict[str, list[str]] = {}
    for each in bench.steps:
        for timing in each.timings:
            if timing.way:
                found.setdefault(timing.contender, []).append(f"{each.workload} {timing.way}")
    return found
