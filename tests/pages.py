"""Pages for tests: material by hand, and a parser that says what stands on a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import numpy as np

from harness.history.nights import History, Night, Point, Skipped
from harness.record import RunRecord
from harness.reports.page.kills import Family, Figure, Kills
from harness.reports.page.material import Material
from harness.scorecard import (
    Accuracy,
    EngineResult,
    Loss,
    ParameterRow,
    Result,
    Scorecard,
    Tensors,
    VerdictRow,
)
from tests.comparisons import EXAMPLES, HOSTILE
from tests.examples import bias_lost, healthy, judged, scorecard_of

MADE = "2026-11-28T03:10:00+00:00"
VOID = {"meta", "link", "br", "path"}


def curves_of(*records: RunRecord) -> dict[str, np.ndarray]:
    """What `harness run` writes beside the scorecard."""
    return {
        f"{record.milestone}/{record.seed}/{name}": array
        for record in records
        for name, array in (
            ("loss", record.loss),
            ("gradient_norm", record.gradient_norm.astype(np.float32)),
        )
    }


def material_of(*records: RunRecord, **others: object) -> Material:
    """The scorecard of these records with their curves, always made at the same time."""
    card = scorecard_of(*map(judged, records)).model_copy(update={"created": MADE})
    return Material(scorecard=card, curves=curves_of(*records), **others)  # type: ignore[arg-type]  # fields by name


def point(status: str = "pass", accuracy: float | None = 0.9, cause: str = "") -> Point:
    """A milestone on a night; its worst seed is a hundredth below the median."""
    lowest = None if accuracy is None else accuracy - 0.01
    return Point(status, 5, accuracy, lowest, 0.85, 0.1, 50, 0.4, cause)


def history_of(points: Sequence[Point | None], name: str = "small") -> History:
    """A night for each point, the first on the first of May; None is a night without it."""
    start = datetime(2026, 5, 1, 3, 10, tzinfo=UTC)
    nights = [
        Night(
            file=f"{i + 1:04}.json",
            created=(start + timedelta(days=i)).isoformat(),
            commit=f"{i + 1:07x}" + "0" * 33,
            status="pass" if each is None else each.status,
            milestones={} if each is None else {name: each},
            engine="pass",
        )
        for i, each in enumerate(points)
    ]
    return History(tuple(nights), (Skipped("0007.json", "not JSON"),))


KILLS = Kills(
    passed=False,
    seconds=12.0,
    figures=(Figure("faults caught", 3, 4), Figure("harmless variants accused", 0, 2)),
    families=(Family("graph_broken", 3, 4),),
    survived=("linear_forgets_bias",),
    missed=(),
    accused=("loss_falls on mlp",),
)


def full() -> Material:
    """One of everything: a failing run, a comparison, nights that end in red, a selftest."""
    failing = point("fail", 0.7, "hidden.bias received no gradient")
    return material_of(
        bias_lost(), bias_lost(seed=1), healthy(milestone="other"),
        comparison=EXAMPLES["worst_of_all"],
        history=history_of([point()] * 20 + [failing] * 3),
        kills=KILLS,
    )  # fmt: skip


def hostile_scorecard(seeds: int = 200, tensors: int = 300) -> Scorecard:
    """Every word of it HOSTILE, hundreds of everything, and None wherever that may be."""
    rows = [
        ParameterRow(
            label=f"block{i}.{HOSTILE * 4}", shape=[2, 2], verdict="MISSING" if i % 3 else "OK",
            reason=HOSTILE * 20, gradient_norm=None, movement=None,
        )
        for i in range(tensors)
    ]  # fmt: skip
    bad = VerdictRow(
        check="gradients_arrive", status="fail", reason=HOSTILE * 30, hint=HOSTILE,
        evidence={"place": HOSTILE, "tensors": [HOSTILE], "culprits": [HOSTILE]},
    )  # fmt: skip
    results = [
        Result(
            milestone=HOSTILE, title=HOSTILE * 3, year=1, seed=seed, backend=HOSTILE,
            status="fail", verdicts=[bad.model_copy(update={"reason": f"{seed} {HOSTILE}"})],
            parameters=rows, tensors=Tensors(expected=tensors, must_move=0),
            accuracy=Accuracy(target=0.9), loss=Loss(),
        )
        for seed in range(seeds)
    ]  # fmt: skip
    engine = EngineResult(backend=HOSTILE, status="fail", verdicts=[bad])
    card = scorecard_of(*results)
    source = card.provenance.model_copy(update={"modified": [HOSTILE], "commit": HOSTILE})
    return card.model_copy(update={"engine": engine, "provenance": source, "created": HOSTILE})


def hostile_curves(card: Scorecard) -> dict[str, np.ndarray]:
    """Curves of the first seed with all that a float can be."""
    steps, tensors = 90, len(card.results[0].parameters)
    norms = np.logspace(-40, 40, steps * tensors).reshape(steps, tensors)
    norms[:30, ::2], norms[30:60, ::3], norms[60:, ::5] = np.nan, np.inf, 0.0
    loss = np.tile([np.nan, np.inf, -np.inf, 0.0, -1.0, 1e300], 15)
    return {f"{HOSTILE}/0/gradient_norm": norms, f"{HOSTILE}/0/loss": loss}


# --- what stands on a page ------------------------------------------------------------------


@dataclass
class Element:
    """One element: its tag, its attributes, and all text in it."""

    tag: str
    attributes: dict[str, str]
    text: str = ""


@dataclass
class Page(HTMLParser):
    """All elements of a page in their order; raises where tags are not closed as opened."""

    source: str
    elements: list[Element] = field(default_factory=list)
    open: list[Element] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.source)
        self.close()
        assert self.open == [], f"never closed: {[each.tag for each in self.open]}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element begins."""
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names), f"<{tag}> has an attribute twice"
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        """The last one ends."""
        if tag not in VOID:
            assert self.open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        """Text belongs to all that it is in."""
        for element in self.open:
            element.text += data

    def all(self, *tags: str) -> list[Element]:
        """The elements of these tags."""
        return [each for each in self.elements if each.tag in tags]

    def texts(self, *tags: str) -> list[str]:
        """Their texts, each on one line."""
        return [" ".join(each.text.split()) for each in self.all(*tags)]
