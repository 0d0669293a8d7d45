"""What a bench found: as JSON and back, as a table, against the bars; and what may be asked."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from harness.backends.numpy import NumpyBackend
from harness.bench import growth
from harness.bench.bars import backward_exponent, flatness, judged, load_bars, rise
from harness.bench.names import base_of, contender_names
from harness.bench.results import (
    Bench,
    Curve,
    Flops,
    Machine,
    Measured,
    PartSeconds,
    Ratio,
    Timing,
    from_json,
    save,
)
from harness.bench.session import exit_code
from harness.bench.workload import (
    UnsupportedError,
    Workload,
    bars_file,
    find,
    load,
    read,
    require_offered,
    workload_files,
    write,
)
from harness.config_files import milestone_files
from harness.errors import ConfigError, ScorecardError, UsageError
from harness.json_files import to_json
from harness.reports.bench import markdown, render
from tests.comparisons import provenance
from tests.examples import NAMES, small_file

LARGER = {"cnn_big", "lenet", "t16b64", "d128"}


def timing(name: str, seconds: float, ratio: float | None = None, backward: float = 1.0) -> Timing:
    """Three chunks that all took `seconds` a step."""
    return Timing(
        contender=name,
        way="fused=True" if name == "torch" else "",
        steps=10,
        seconds=[seconds] * 3,
        parts=PartSeconds(forward=[seconds], backward=[backward], optimizer=[seconds]),
        losses=[2.0, 1.0],
        ratio=None if ratio is None else Ratio(value=ratio, low=ratio, high=ratio, pairs=3),
    )


def measured(name: str, *timings: Timing, total: int = 3, layer: str = "Conv2d") -> Measured:
    """Timings on a workload of `total` FLOPs a step."""
    return Measured(
        workload=name,
        layers=[layer],
        flops=Flops(forward=total - 2, backward=1, optimizer=1),
        parameters=7,
        timings=list(timings),
    )


def bench_of(*steps: Measured, growth: tuple[Curve, ...] = ()) -> Bench:
    """A result with these steps, not judged."""
    machine = Machine(processors=2, pinned=[1], threads=1, load_before=0.5, load_after=1.0,
                      versions={"numpy": "0.1.0", "torch": "2.13.0"})  # fmt: skip
    return Bench(
        base="torch",
        contenders=["numpy", "torch"],
        provenance=provenance(),
        machine=machine,
        steps=list(steps),
        growth=list(growth),
    )  # fmt: skip


FOUND = bench_of(
    measured("lenet", timing("numpy", 2e-3, 0.5), timing("torch", 4e-3), total=1000),
    measured("cnn_big", timing("numpy", 6e-3, 0.75), timing("torch", 8e-3), total=6000),
)


# --- JSON --------------------------------------------------------------------------------


def test_result_survives_json(tmp_path: Path) -> None:
    file = save(FOUND, tmp_path)
    assert from_json(file) == FOUND
    raw = json.loads(file.read_text(encoding="utf-8"))
    assert raw["schema"] == "harness.bench/1"
    assert raw["steps"][0]["timings"][0]["seconds"] == [2e-3] * 3


def test_other_json_is_no_result(tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    file.write_text('{"schema": "harness.bench/1"}', encoding="utf-8")
    with pytest.raises(ScorecardError, match=r"is not a harness.bench/1 result: base: Field req"):
        from_json(file)


def test_result_with_an_unknown_key_is_refused() -> None:
    with pytest.raises(ValidationError, match="extra_forbidden"):
        Bench.model_validate({**json.loads(to_json(FOUND)), "more": 1})


# --- bars --------------------------------------------------------------------------------


def test_bars_are_met_missed_or_not_measured() -> None:
    """lenet 0.5 of at most 0.9; cnn_big 0.75 of at most 0.33; nothing says how jobs are."""
    bars = {bar.name: bar for bar in judged(FOUND, load_bars(bars_file()))}
    assert (bars["steps.lenet"].met, bars["steps.lenet"].value) == (True, 0.5)
    assert (bars["steps.cnn_big"].met, bars["steps.cnn_big"].at_most) == (False, 0.33)
    assert (bars["jobs"].met, bars["jobs"].value) == (None, None)
    assert set(NAMES) | LARGER == {name[6:] for name in bars if name.startswith("steps.")}


def test_ratio_to_another_base_meets_no_bar() -> None:
    other = FOUND.model_copy(update={"base": "mygrad"})
    bars = {bar.name: bar for bar in judged(other, load_bars(bars_file()))}
    assert bars["steps.lenet"].met is None


def test_flatness_is_dearest_over_cheapest_and_rise_the_worst_growth() -> None:
    """2, 1 and 1.5 us a FLOP: flat within 2, and no dearer with size than 1.5 times."""
    group = [
        measured("b", timing("numpy", 200e-6), total=200),
        measured("a", timing("numpy", 20e-6), total=10),
        measured("c", timing("numpy", 600e-6), total=400),
    ]
    assert flatness(group, "numpy") == pytest.approx(2.0)
    assert rise(group, "numpy") == pytest.approx(1.5)
    assert flatness(group, "torch") is None


def test_depth_is_held_against_the_exponent_of_backward() -> None:
    """Ten times as deep, a hundred times as long."""
    points = [
        measured(f"depth_{size}", timing("numpy", 1.0, backward=size**2.0)) for size in (10, 100)
    ]
    curve = Curve(what="depth", sizes=[10, 100], points=points)
    assert backward_exponent(curve, "numpy") == pytest.approx(2.0)
    found = bench_of(growth=(curve,))
    bars = {bar.name: bar for bar in judged(found, load_bars(bars_file()))}
    assert bars["depth"].met is False


def test_bars_file_that_is_none_says_where(tmp_path: Path) -> None:
    file = tmp_path / "bars.yaml"
    file.write_text("backend: numpy\nbases: torch\nbars: {}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"bars.yaml: bases: Input should be a valid list"):
        load_bars(file)


# --- the table ---------------------------------------------------------------------------


def test_table_shows_ratio_spread_times_and_bars() -> None:
    bars = judged(FOUND, load_bars(bars_file()))
    text = render(FOUND.model_copy(update={"bars": bars}), width=120)
    lenet = next(line for line in text.splitlines() if line.startswith("lenet"))
    assert "4000.0" in lenet
    assert "2000.0" in lenet
    assert "0.500  0.500 to 0.500" in lenet
    assert lenet.endswith("0.9 met")
    big = next(line for line in text.splitlines() if line.startswith("cnn_big"))
    assert big.endswith("0.33 MISSED")
    # 2 ms for 1000 FLOPs and 6 ms for 6000.
    assert "numpy: lenet 2e+06, cnn_big 1e+06: flat within 2.00, rises 1.00  bar 1.5 MISSED" in text
    assert "bars: 1 met, 2 missed, 17 not measured: steps.cnn_big 0.75 > 0.33, flat 2 > 1.5" in text
    assert "pinned to processor 1; load 0.5 to 1.0" in text
    assert "torch's fastest optimizer: lenet fused=True, cnn_big fused=True" in text


def test_same_trouble_on_several_workloads_is_one_sentence() -> None:
    bad = Timing(contender="torch", problem="torch: gone", failed="died")
    text = render(bench_of(measured("lenet", bad), measured("cnn_big", bad)))
    assert "not measured  torch on lenet, cnn_big: gone\n" in text


def test_workload_with_one_contender_that_has_losses_is_not_compared() -> None:
    dead = Timing(contender="torch", problem="torch: gone", failed="died")
    alone = measured("lenet", timing("numpy", 2e-3), dead)
    assert "\nlosses not compared: one contender\n" in render(bench_of(alone))
    text = render(bench_of(*FOUND.steps, measured("xor", timing("numpy", 1e-3), dead)))
    assert "\nlosses not compared on xor: one contender\n" in text
    assert "not compared" not in render(FOUND)


def test_long_name_of_a_contender_has_room() -> None:
    name = "an_engine_with_a_long_name"
    point = measured("batch_8", Timing(contender=name, problem="gone", failed="died"))
    bench = bench_of(*FOUND.steps, growth=(Curve(what="batch", sizes=[8], points=[point]),))
    text = render(bench.model_copy(update={"contenders": ["numpy", name]}))
    assert f"batch   {name} 8: -\n" in text
    assert f"{'contender':27}       us" in text


def test_bench_without_engines_names_none() -> None:
    alone = bench_of()
    machine = alone.machine.model_copy(update={"versions": {}})
    text = render(alone.model_copy(update={"machine": machine}))
    assert "; ;" not in text


def test_strict_needs_a_bar_that_was_measured() -> None:
    nothing = [bar.model_copy(update={"met": None, "value": None})
               for bar in judged(FOUND, load_bars(bars_file()))]  # fmt: skip
    found = FOUND.model_copy(update={"bars": nothing})
    assert (exit_code(found, strict=True), exit_code(found, strict=False)) == (3, 0)


def test_markdown_is_the_same_table_in_a_block() -> None:
    assert markdown(FOUND).startswith("```\none training step")
    assert markdown(FOUND).endswith("```\n")


@pytest.mark.parametrize(
    ("failed", "strict", "expected"),
    [("", False, 0), ("", True, 1), ("losses", False, 1), ("died", False, 3),
     ("unsupported", False, 0)],
)  # fmt: skip
def test_exit_code(failed: str, strict: bool, expected: int) -> None:
    bars = judged(FOUND, load_bars(bars_file()))
    more = Timing.model_validate({"contender": "x", "failed": failed})
    steps = [*FOUND.steps, measured("other", more)]
    found = FOUND.model_copy(update={"bars": bars, "steps": steps})
    assert exit_code(found, strict) == expected


# --- what may be asked -------------------------------------------------------------------


def test_larger_workloads_are_no_milestones() -> None:
    assert tuple(milestone_files()) == NAMES
    assert set(workload_files()) == {*NAMES, *LARGER}


@pytest.mark.parametrize("name", sorted(LARGER))
def test_larger_workload_is_found_by_name_and_its_stem_is_its_name(name: str) -> None:
    loaded = load(find(name))
    assert loaded.name == name
    assert {len(x) for x, _ in loaded.batches} == {loaded.config.training.batch_size}


def test_unknown_workload_is_a_question() -> None:
    with pytest.raises(UsageError, match=r"unknown workload 'cnn_bik'. Did you mean 'cnn_big'\?"):
        find("cnn_bik")


def test_unknown_backend_is_a_question() -> None:
    with pytest.raises(UsageError, match=r"unknown backend 'numpi'. Did you mean 'numpy'\?"):
        contender_names(["numpi"])


def test_two_files_of_one_name_cannot_be_told_apart() -> None:
    with pytest.raises(UsageError, match="two of the backends are called 'mine'"):
        contender_names(["a/mine.py", "b/mine.py"])


@pytest.mark.parametrize(
    ("names", "expected"),
    [(["numpy", "torch"], "torch"), (["torch", "numpy", "torch-script"], "torch-script"),
     (["numpy", "mygrad"], "numpy")],
)  # fmt: skip
def test_base_is_pytorch_where_it_is_there(names: list[str], expected: str) -> None:
    assert base_of(names) == expected


def test_workload_survives_its_files(tmp_path: Path) -> None:
    written = load(small_file(tmp_path))
    write(written, tmp_path)
    found = read(tmp_path)
    assert found.config.layers == written.config.layers
    assert found.planned == written.planned == 80
    assert list(found.weights) == ["hidden.weight", "hidden.bias", "output.weight", "output.bias"]
    for label, array in written.weights.items():
        assert np.array_equal(found.weights[label], array)
    assert len(found.batches) == 64
    assert np.array_equal(found.batches[5][0], written.batches[5][0])


def test_steps_begin_again_after_the_last_and_say_how_much_is_done(tmp_path: Path) -> None:
    """80 steps are planned, 64 batches kept."""
    steps = load(small_file(tmp_path)).steps(63, 20)
    assert [steps[i].batch for i in (0, 1, 16, 17)] == [63, 0, 15, 16]
    assert [steps[i].done for i in (0, 16, 17)] == [63 / 80, 79 / 80, 0.0]


def test_engine_without_a_layer_is_refused_by_its_name() -> None:
    class Small(NumpyBackend):
        name = "small"
        namespace = NumpyBackend.namespace.__class__(
            {"Linear": object}, NumpyBackend.namespace.losses, NumpyBackend.namespace.optimizers
        )

    with pytest.raises(UnsupportedError, match="small offers no Conv2d"):
        require_offered(load(find("lenet")), Small())


@pytest.mark.parametrize("series", growth.SERIES, ids=[each.what for each in growth.SERIES])
def test_work_grows_with_the_size(series: growth.Series) -> None:
    small, large = (series.at(size) for size in series.sizes[:2])
    assert isinstance(small, Workload)
    grown = large.flops.total / small.flops.total
    assert 1.0 < grown <= 2 * series.sizes[1] / series.sizes[0]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
