"""Comparisons by hand for tests: one for each thing that can come out, and a hostile one."""

from __future__ import annotations

from collections.abc import Sequence

from harness.comparison import (
    Cell,
    CellVerdict,
    CheckChange,
    Comparison,
    Counter,
    Curve,
    Divergence,
    MilestoneComparison,
    Source,
    Verdict,
)
from harness.provenance import Provenance

SEEDS = list(range(8))
MADE = "2026-11-28T03:10:00+00:00"
BASE_COMMIT = "1f0c9a4be27d5530c8e1d7745f6a90b1c2d3e4f5"
HEAD_COMMIT = "9d8e7f6a5b4c3d2e1f009182736455463728190a"
TITLES = {
    "perceptron": ("Perceptron", 1957),
    "xor": ("XOR", 1969),
    "mlp": ("MLP digits", 1986),
    "cnn": ("CNN", 1998),
    "transformer": ("Transformer", 2017),
}


def provenance(commit: str | None = BASE_COMMIT, dirty: bool = False) -> Provenance:
    """A made-up one."""
    return Provenance(
        harness="0.1.0",
        commit=commit,
        dirty=dirty,
        python="3.12.0",
        numpy="2.0.0",
        blas="openblas 0.3",
        blas_threads=1,
        cpu="a processor",
        platform="Linux x86_64",
        backend="numpy",
        seeds=SEEDS,
        configs={"cnn": "c" * 64},
        data={"cnn": "e" * 64},
    )


BASE = Source(
    name="main", kind="ref", commit=BASE_COMMIT, dirty=False, created=MADE,
    provenance=provenance(),
)  # fmt: skip
HEAD = Source(
    name="faster-conv", kind="ref", commit=HEAD_COMMIT, dirty=False, created=MADE,
    provenance=provenance(HEAD_COMMIT),
)  # fmt: skip
TREE = Source(
    name="the working tree", kind="working tree", commit=HEAD_COMMIT, dirty=True, created=MADE,
    provenance=provenance(HEAD_COMMIT, dirty=True),
)  # fmt: skip


# --- cells ----------------------------------------------------------------------------------


def speed(
    estimate: float = 1.01, low: float = 0.97, high: float = 1.08, verdict: CellVerdict = "same"
) -> Cell:
    """Learning speed: steps of the head over steps of the base."""
    return Cell(
        quantity="learning speed", unit="x", verdict=verdict, samples=len(SEEDS),
        estimate=estimate, low=low, high=high, confidence=0.95, margin=0.25, detectable=0.27,
        p_worse=0.4, p_better=0.6,
    )  # fmt: skip


def final(
    estimate: float = -0.05, low: float = -0.3, high: float = 0.21, verdict: CellVerdict = "same"
) -> Cell:
    """Final accuracy: the head's less the base's, in points."""
    return Cell(
        quantity="final accuracy", unit="points", verdict=verdict, samples=len(SEEDS),
        estimate=estimate, low=low, high=high, confidence=0.95, margin=1.0, detectable=1.35,
        p_worse=0.4, p_better=0.6,
    )  # fmt: skip


def reach(estimate: float = 0.0, verdict: CellVerdict = "same") -> Cell:
    """How many seeds more reach the target."""
    return Cell(
        quantity="reach", unit="seeds", verdict=verdict, samples=len(SEEDS), estimate=estimate,
        low=estimate, high=estimate, confidence=0.95, margin=0.0, detectable=5.0, p_worse=1.0,
        p_better=1.0,
    )  # fmt: skip


def step_time(
    estimate: float = 1.002, low: float = 0.991, high: float = 1.013, verdict: CellVerdict = "same"
) -> Cell:
    """Seconds a step of the head over those of the base."""
    return Cell(
        quantity="step time", unit="x", verdict=verdict, samples=7, estimate=estimate, low=low,
        high=high, confidence=0.95, margin=0.03, detectable=0.051, p_worse=0.4, p_better=0.6,
        note="base 312 us a step, head 313 us",
    )  # fmt: skip


def memory(estimate: float = 1.0, verdict: CellVerdict = "same") -> Cell:
    """Peak bytes of a step of the head over those of the base."""
    return Cell(
        quantity="peak memory", unit="x", verdict=verdict, samples=1, estimate=estimate,
        low=estimate, high=estimate, confidence=0.95, margin=0.05, detectable=0.05,
    )  # fmt: skip


def all_same() -> list[Cell]:
    """All five, none with an effect."""
    return [speed(), final(), reach(), step_time(), memory()]


def identical() -> list[Cell]:
    """Bits settle what was learned; the others are measured."""
    note = "bitwise identical on all 8 seeds"
    learned = [speed(1.0, 1.0, 1.0), final(0.0, 0.0, 0.0), reach()]
    settled = {"note": note, "detectable": None, "p_worse": None, "p_better": None}
    return [*(c.model_copy(update=settled) for c in learned), step_time(), memory()]


# --- milestones -----------------------------------------------------------------------------


def milestone(
    name: str,
    verdict: Verdict,
    headline: str,
    *,
    cells: Sequence[Cell] | None = None,
    divergence: Divergence | None = None,
    checks: Sequence[CheckChange] = (),
    counters: Sequence[Counter] = (),
    differences: Sequence[str] = (),
    reproduce: str = "",
) -> MilestoneComparison:
    """One milestone on both sides, with curves and accuracies that fall and rise evenly."""
    title, year = TITLES.get(name, (name.title(), 2026))
    is_compared = verdict not in ("not comparable", "added", "removed")
    fall = Curve(
        step=[1, 100, 200], median=[2.3, 0.6, 0.15], low=[2.2, 0.5, 0.1], high=[2.5, 0.8, 0.2]
    )
    accuracy: list[float | None] = [0.90 + 0.003 * seed for seed in SEEDS]
    return MilestoneComparison(
        milestone=name,
        title=title,
        year=year,
        verdict=verdict,
        headline=headline,
        differences=list(differences),
        divergence=divergence,
        checks=list(checks),
        cells=list(all_same() if cells is None and is_compared else cells or []),
        counters=list(counters),
        seeds=SEEDS,
        target=0.87,
        base_accuracy=[] if verdict == "added" else accuracy,
        head_accuracy=[] if verdict == "removed" else accuracy,
        base_loss=Curve() if verdict == "added" else fall,
        head_loss=Curve() if verdict == "removed" else fall,
        reproduce=reproduce,
    )


IDENTICAL = Divergence(level="IDENTICAL", seeds=SEEDS)
ROUNDING = Divergence(
    level="ROUNDING", seeds=SEEDS, seed=0, step=0, phase="forward", base=2.337, head=2.337,
    difference=3.1e-7,
)  # fmt: skip


def same(name: str = "mlp") -> MilestoneComparison:
    """Bitwise identical."""
    return milestone(
        name, "same", "identical to the bit on 8 seeds", divergence=IDENTICAL, cells=identical()
    )


def rounded(name: str = "transformer") -> MilestoneComparison:
    """The same but for rounding; no effect by statistics."""
    headline = "the loss differs by rounding from step 0: of norm 2.34 on both, apart by 3.1e-07"
    return milestone(name, "same", headline, divergence=ROUNDING)


def regressed(name: str = "cnn") -> MilestoneComparison:
    """A bias lost: another gradient at the first step, a check that fails, learns slower."""
    return milestone(
        name,
        "REGRESSED",
        "conv1.bias's gradient differs from step 0: 2.1e-2 against none",
        divergence=Divergence(
            level="CHANGED", seeds=SEEDS, seed=0, step=0, phase="gradient", tensor="conv1.bias",
            also=["conv2.bias"], base=0.0211, head=None, difference=1.0,
        ),
        checks=[
            CheckChange(
                check="graph_is_whole", change="newly failing", base="pass", head="fail",
                reason="Conv2d: slope of conv1.bias, which Conv2dBackward does not link to: "
                "got 0, expected -14.9",
                hint="Is every input passed to Function.__init__?",
                place="harness/autograd/ops/convolution.py:102", seeds=[0],
            ),
            CheckChange(
                check="gradients_arrive", change="newly failing", base="pass", head="fail",
                reason="conv1.bias received no gradient in any of 352 steps; also conv2.bias",
                seeds=SEEDS,
            ),
            CheckChange(
                check="loss_is_honest", change="fixed", base="fail", head="pass",
                reason="loss 0.123 on record, 0.125 computed",
            ),
        ],
        cells=[
            speed(1.92, 1.61, 2.29, "worse"), final(-0.2, -0.7, 0.3, "inconclusive"), reach(),
            step_time(), memory(1.25, "worse"),
        ],
        counters=[Counter(name="ops per step", base=34, head=36)],
        reproduce="harness run cnn --seed 0 --explain conv1.bias",
    )  # fmt: skip


def faster(name: str = "mlp") -> MilestoneComparison:
    """Learns faster than can be believed."""
    return milestone(
        name,
        "CHANGED-FASTER",
        "needs 0.46x the steps: faster than can be believed",
        divergence=Divergence(
            level="CHANGED", seeds=SEEDS, seed=0, step=4, since=2, phase="update",
            tensor="hidden.weight", also=["hidden.bias", "output.weight"], base=0.0512,
            head=0.1024, difference=0.5,
        ),
        cells=[speed(0.46, 0.41, 0.52, "better"), final(), reach(), step_time(), memory()],
        reproduce="harness run mlp --seed 0 --checkpoints 3,4",
    )  # fmt: skip


def improved(name: str = "mlp") -> MilestoneComparison:
    """The same numbers in less time."""
    cells = [*identical()[:3], step_time(0.81, 0.79, 0.83, "better"), memory()]
    headline = "a step takes 0.81x the time"
    return milestone(name, "improved", headline, divergence=IDENTICAL, cells=cells)


def inconclusive(name: str = "transformer") -> MilestoneComparison:
    """Too few seeds to tell."""
    return milestone(
        name,
        "inconclusive",
        "learning speed 1.31x (0.7x to 2.4x) on 8 seeds: too little to tell",
        divergence=ROUNDING,
        cells=[speed(1.31, 0.703, 2.44, "inconclusive"), final(), reach(),
               step_time(1.06, 0.98, 1.15, "inconclusive"), memory()],
        reproduce="harness compare main faster-conv transformer --seeds 32",
    )  # fmt: skip


def not_comparable(name: str = "cnn") -> MilestoneComparison:
    """Another learning rate and other data."""
    return milestone(
        name,
        "not comparable",
        "the config differs",
        differences=["training.lr is 0.01 against 0.02", "the data's digest is eeee against ffff"],
    )


def added(name: str = "lstm") -> MilestoneComparison:
    """On the head's side only."""
    return milestone(name, "added", "on the head's side only")


def removed(name: str = "xor") -> MilestoneComparison:
    """On the base's side only."""
    return milestone(name, "removed", "on the base's side only")


def unmeasured(name: str = "mlp") -> MilestoneComparison:
    """Scorecards that kept neither fingerprints nor curves."""
    cells = [
        Cell(quantity="learning speed", unit="x", verdict="not measured",
             note="no curves beside the scorecard: run it again to have them"),
        Cell(quantity="step time", unit="x", verdict="not measured", note="--no-timing"),
    ]  # fmt: skip
    unknown = Divergence(level="unknown", why="the base kept no fingerprints")
    return milestone(
        name, "inconclusive", "nothing was measured", divergence=unknown, cells=cells
    )  # fmt: skip


# --- comparisons ----------------------------------------------------------------------------


ENGINE = CheckChange(
    check="ops_differentiate_right", change="newly failing", base="pass", head="fail",
    reason="conv2d: gradient of input 2 (4,) for (2, 3, 5, 6), (4, 3, 3, 3), (4,), where no "
    "gradient arrives: got 0, expected 12.6; also Conv2d",
    hint="Compare apply() with the derivative on paper.",
    place="harness/autograd/ops/convolution.py:60",
)  # fmt: skip


def comparison_of(
    *milestones: MilestoneComparison,
    base: Source = BASE,
    head: Source = HEAD,
    engine: Sequence[CheckChange] = (),
    notes: Sequence[str] = (),
    problem: str = "",
) -> Comparison:
    """A comparison of these milestones, of main with a branch."""
    return Comparison(
        created=MADE,
        base=base,
        head=head,
        milestones=list(milestones),
        engine=list(engine),
        notes=list(notes),
        problem=problem,
    )


EXAMPLES = {
    "same": comparison_of(
        same("perceptron"), same("xor"), same("mlp"), same("cnn"), rounded("transformer")
    ),
    "regressed": comparison_of(
        same("perceptron"), same("xor"), same("mlp"), regressed("cnn"), rounded("transformer"),
        notes=["Both sides ran on another processor than the one that was calibrated on."],
    ),
    "engine": comparison_of(same("mlp"), regressed("cnn"), engine=[ENGINE]),
    "engine_alone": comparison_of(same("mlp"), engine=[ENGINE]),
    "faster": comparison_of(faster(), same("cnn")),
    "improved": comparison_of(improved(), same("cnn")),
    "inconclusive": comparison_of(same("mlp"), inconclusive()),
    "not_comparable": comparison_of(same("mlp"), not_comparable(), head=TREE),
    "added_and_removed": comparison_of(same("mlp"), added(), removed()),
    "unmeasured": comparison_of(unmeasured()),
    "does_not_start": comparison_of(
        problem="The head does not start: SyntaxError: invalid syntax (convolution.py, line 31). "
        "Repair it, or name another commit."
    ),
    "worst_of_all": comparison_of(
        same("perceptron"), removed("xor"), faster("mlp"), regressed("cnn"),
        inconclusive("transformer"), added("lstm"), not_comparable("gru"), engine=[ENGINE],
        head=TREE, notes=["The head has changes that are not committed."],
    ),
}  # fmt: skip

# What must do no harm: markup, escapes, a mention, an issue, a workflow command, the end of CDATA.
HOSTILE = (
    "a|b `c` <script>alert(1)</script> @someone #123 [x](y) *b* _i_ ]]> & \"q\" 'r' "
    "\x1b[31mred\x1b[0m \x00\x07\x85 line\nnext\r\n::error::no, \u202eevil 100%"
)


def hostile(seeds: int = 200, tensors: int = 300) -> Comparison:
    """Every word of it HOSTILE, hundreds of everything, and None wherever that may be."""
    labels = [f"block{i}.{HOSTILE}" for i in range(tensors)]
    change = CheckChange(
        check=HOSTILE, change="newly failing", base=None, head="error", reason=HOSTILE * 20,
        hint=HOSTILE, place=HOSTILE, seeds=list(range(seeds)),
    )  # fmt: skip
    bare = Cell(quantity="final accuracy", unit="points", verdict="not measured", note=HOSTILE)
    worst = MilestoneComparison(
        milestone=HOSTILE,
        title=HOSTILE,
        year=1,
        verdict="REGRESSED",
        headline=HOSTILE,
        differences=[HOSTILE] * 50,
        divergence=Divergence(
            level="CHANGED", seeds=list(range(seeds)), tensor=labels[0], also=labels[1:],
            unsteady=["base", "head"], why=HOSTILE,
        ),
        checks=[change] * 100,
        cells=[bare, Cell(quantity="step time", unit="x", verdict="worse")],
        counters=[Counter(name=HOSTILE, base=None, head=None)] * 100,
        seeds=list(range(seeds)),
        base_accuracy=[None] * seeds,
        head_accuracy=[None] * seeds,
        reproduce=HOSTILE,
    )  # fmt: skip
    source = Source(name=HOSTILE, kind="ref")
    return comparison_of(
        worst, *[worst.model_copy(update={"verdict": "not comparable"})] * 9, base=source,
        head=source, engine=[change] * 50, notes=[HOSTILE] * 50, problem=HOSTILE,
    )  # fmt: skip
