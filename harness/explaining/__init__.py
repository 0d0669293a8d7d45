"""Follows the gradient of one tensor from the loss through a live model: `explain`.

Runs in a process of its own like every job, as an engine may crash or hang.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain

import numpy as np

from harness.backends.base import Event, Place
from harness.config import MilestoneConfig
from harness.errors import UsageError, did_you_mean
from harness.explaining.first_step import FirstStep, first_step
from harness.explaining.resemblance import issue_of_cut
from harness.explaining.ways import Ways, changed
from harness.explanation import End, Explanation, Hop, Sibling, Slope
from harness.faults import planted
from harness.model import Model, Node
from harness.probes.differences import AGREES, random_directions, slope_row
from harness.probes.models.blame import wrong_parts
from harness.probes.models.objective import Objective
from harness.probes.models.specimen import Specimen
from harness.runner import Job

# A gradient this small beside the largest of the model is zero, as for the checks.
NEGLIGIBLE = 1e-6
SLOPE_EXAMPLES = 4
LOSS = "loss"


def explain(job: Job, label: str) -> Explanation | UsageError:
    """How the gradient of a tensor comes about at the first step; an error if there is none."""
    with planted(job.fault, job.backend) as ground:
        config, dataset = ground.of(job.config)
        specimen = Specimen(config, ground.backend, dataset, job.seed)
        parameters = specimen.model().parameters
        expectations = job.config.expectations
        known = [*parameters, *expectations.labels, *expectations.null_gradients]
        if label not in known:
            return _unknown(job.config, label, list(dict.fromkeys(known)))
        return follow(specimen, label)


def follow(specimen: Specimen, label: str) -> Explanation:
    """The same for a label that the model or its config has."""
    if label not in specimen.model().parameters:
        return Explanation(label, ends=(_unregistered(label),))
    with np.errstate(all="ignore"):  # what overflows is told, not printed
        told = _explained(specimen, label)
    null = specimen.config.expectations.null_gradients.get(label, "")
    ends = tuple(end for end in told.ends if not (null and end.kind == "zero"))
    return replace(told, null=null, ends=ends)


def _unknown(config: MilestoneConfig, label: str, known: Sequence[str]) -> UsageError:
    return UsageError(
        f"{config.name} has no tensor '{label}'.{did_you_mean(label, known)}",
        f"It has {', '.join(known)}.",
    )


def _unregistered(label: str) -> End:
    return End(
        "unregistered",
        f"the config declares {label}, but the model has no such parameter: its layer does not "
        "offer it, so that no optimizer moves it",
        issue=4,
    )


def _explained(specimen: Specimen, label: str) -> Explanation:
    step, again, moved = (first_step(specimen, each) for each in (None, None, label))
    if step is None or again is None or moved is None:
        problem = f"the engine '{specimen.backend.name}' cannot tell which tensors a model makes"
        return Explanation(label, problem=f"{problem}, so there is no path to show")
    trace, parameters = step.trace, step.model.parameters
    dependent = changed(trace, again.trace, moved.trace)
    ways = Ways(trace.events, id(trace.output), id(parameters[label]), dependent)
    problem = step.backward()
    gradients = {key: step.gradient(each) for key, each in parameters.items()}
    teller = _Teller(step, ways, label)
    ends, hops = list(teller.ends()), teller.hops()
    if ways.is_reached and not problem:
        largest = max((norm or 0.0 for _, norm in gradients.values()), default=0.0)
        ends += _numeric_ends(hops, gradients[label], NEGLIGIBLE * largest, label)
    arrived, norm = gradients[label]
    return Explanation(
        label=label,
        shape=specimen.backend.arrays([parameters[label]])[0].shape,
        reached=ways.is_reached,
        arrived=arrived,
        norm=norm,
        hops=hops,
        behind=() if ways.is_reached else tuple(map(teller.hop, ways.behind())),
        ends=tuple(ends),
        siblings=tuple(_siblings(step.model, label, gradients)),
        slope=None if problem else _slope(specimen, label),
        problem=problem,
    )


class _Teller:
    """Turns events of one step into hops and ends, with words, layers and lines of code."""

    def __init__(self, step: FirstStep, ways: Ways, label: str) -> None:
        self._step, self._ways, self._label = step, ways, label
        self._owners = step.owners()
        events, tensors = step.trace.events, step.trace.tensors
        self._tensors = {e.key: tensor for e, tensor in zip(events, tensors, strict=True)}
        # Lines that make tensors with a history elsewhere: not they are to blame for a cut.
        self._able = {event.places[0] for event in events if event.op and event.places}

    def hops(self) -> tuple[Hop, ...]:
        """The ops from the loss to the tensor, or as far as the graph goes."""
        ways = self._ways
        ends = {event.key for event in (*ways.cuts(), *ways.unlinked())}
        return tuple(map(self.hop, ways.to({ways.target} if ways.is_reached else ends)))

    def hop(self, event: Event) -> Hop:
        """One op; one without a history goes by the function that made it."""
        arrived, norm = self._step.gradient(self._tensors[event.key])
        place = event.places[0] if event.places else None
        name = event.op or (place.function if place else "")
        return Hop(
            layer=self._layer(event),
            op=name,
            shape=event.array.shape,
            arrived=arrived and bool(event.op),
            norm=norm if event.op else None,
            place=str(place or ""),
            apply=str(event.apply or ""),
        )

    def _layer(self, event: Event) -> str:
        _, inner = self._owners[event.key]
        return inner.label if inner else LOSS

    def ends(self) -> Iterator[End]:
        """Where the numbers go on and the graph does not."""
        if not self._ways.dependent and not self._ways.is_reached:
            yield self._unread()
            return
        ends = [*map(self._cut, self._ways.cuts()), *map(self._unlinked, self._ways.unlinked())]
        yield from ends
        if not ends and not self._ways.is_reached:
            yield End("unknown", f"no op on the way links to {self._label}, and where the way "
                      "ends cannot be told: the forward pass draws at random")  # fmt: skip

    def _unread(self) -> End:
        label = self._label
        sentence = f"the forward pass does not read {label}: other numbers in it change nothing"
        return End("unread", sentence)

    def _cut(self, event: Event) -> End:
        place = self._blamed(event)
        where = f" in {place.function} ({self._layer(event)})" if place else ""
        sentence = (
            f"a tensor of shape {event.array.shape} is made{where} without a history, although "
            f"its numbers depend on {self._label}"
        )
        return End("cut", sentence, str(place or ""), self._issue(event))

    def _blamed(self, event: Event) -> Place | None:
        """The line that lost the history: not one that keeps it for others, but its caller."""
        places = event.places
        if not places or places[0] not in self._able:
            return places[0] if places else None
        callers = (each for each in places if each.file != places[0].file)
        return next(callers, places[0])

    def _issue(self, event: Event) -> int:
        if event.sources:  # an op that was told to keep no graph
            return 1
        outer, inner = self._owners[event.key]
        is_own = outer is not None and inner is outer
        entered = self._step.notes[outer.label].came if outer and is_own else None
        events = self._step.trace.events
        before = [e.array for e in events[: events.index(event)] if e.key in self._ways.dependent]
        in_container = bool(outer and is_own and outer.children)
        return issue_of_cut(event.array, before[::-1], entered, in_container)

    def _unlinked(self, event: Event) -> End:
        place = event.places[0] if event.places else None
        backward = f" (its apply is at {event.apply})" if event.apply else ""
        sentence = (
            f"{event.op}{backward} links to nothing that depends on {self._label}, although its "
            "output does: is every input passed to Function.__init__?"
        )
        return End("unlinked", sentence, str(place or ""), 4)


def _numeric_ends(
    hops: Sequence[Hop], arriving: tuple[bool, float | None], negligible: float, label: str
) -> list[End]:
    """Where a gradient is lost although the graph leads on."""
    arrived, norm = arriving
    if arrived and norm is not None and norm > negligible:
        return []
    if arrived and norm is None:
        first = next((hop for hop in hops if hop.arrived and hop.norm is None), hops[-1])
        sentence = f"the gradient is NaN or infinite from the output of {first.op} on"
        return [End("nonfinite", sentence, first.place)]
    alive = [hop for hop in hops if hop.norm] or list(hops[:1])
    last = alive[-1]
    if arrived:
        sentence = f"{last.op} gets a gradient and hands on zeros towards {label}"
        return [End("zero", sentence, last.apply or last.place)]
    sentence = f"{last.op} gets a gradient and hands on none towards {label}"
    return [End("swallowed", f"{sentence}: does its apply return one?", last.apply or last.place)]


def _siblings(
    model: Model, label: str, gradients: Mapping[str, tuple[bool, float | None]]
) -> Iterator[Sibling]:
    """The other tensors of its layer, and those of its name in other layers of its type."""
    layer, _, name = label.partition(".")
    leaves = {leaf.label: leaf.type for leaf in _leaves(model)}
    for other, (arrived, norm) in gradients.items():
        its_layer, _, its_name = other.partition(".")
        is_alike = leaves[its_layer] == leaves[layer] and its_name == name
        if other != label and (its_layer == layer or is_alike):
            shape = model.backend.arrays([model.parameters[other]])[0].shape
            yield Sibling(other, shape, arrived, norm)


def _leaves(model: Model) -> Iterator[Node]:
    return chain.from_iterable(node.leaves() for node in model.nodes)


def _slope(specimen: Specimen, label: str) -> Slope | None:
    """The tensor's gradient beside finite differences; None where an engine cannot do that."""
    try:
        objective = Objective(specimen, *specimen.examples(SLOPE_EXAMPLES), training=True)
        gradient = objective.gradients()[label]
        rng = specimen.rng("explain", "slope")
        directions = random_directions(objective.values[label].shape, rng)

        def moved(shift: np.ndarray) -> float:
            return objective.moved({label: shift})

        row = slope_row(label, "slope", moved, gradient, directions)
        agrees = row.error <= AGREES
        wrong = () if agrees or gradient is None else _wrong(objective)
    except Exception:  # float64 or the way there may be beyond an engine
        return None
    got = None if gradient is None else _finite(row.got)
    return Slope(got, row.expected, agrees, wrong)


def _wrong(objective: Objective) -> tuple[str, ...]:
    return tuple(f"{row.subject}: {row.what}" for row in wrong_parts(objective)[:4])


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
