"""What depends on what, by value and by gradient: within a sequence and across a batch.

No example may depend on another of its batch. Where a config declares its model causal, a
place of a sequence depends on all places up to it and on none after it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from harness.backends.base import EngineTensor
from harness.datasets.summary import kinds_of
from harness.measurement import Measurement, NotMeasurableError
from harness.model import Model
from harness.probes.comparing import compared, missing
from harness.probes.models.dependence import (
    Part,
    examples_by_gradient,
    places_by_gradient,
    places_by_value,
)
from harness.probes.models.specimen import Specimen
from harness.probes.models.walking import Stop, all_nodes, walk

EXAMPLES = 3
# The one that changes is neither the first nor the last: a leak may go either way.
ONE = 1
# Enough of them to see every token of a small vocabulary.
SEQUENCES = 64
# More than the rounding that one example's numbers get from others: worth asking which layer.
NOTICEABLE = 1e-9
# Dead units may hide what a place sees, in one sequence but hardly in so many more.
OTHER_SEQUENCES = 4


def measure(specimen: Specimen) -> Iterator[Measurement]:
    """Rows for the whole model; for single layers where they can say more."""
    x = specimen.wide(specimen.examples(EXAMPLES)[0])
    is_causal = specimen.config.expectations.causal
    if len(x) < 2 and not is_causal:
        raise NotMeasurableError("there is one example only, and no sequence")
    model = specimen.wide_model()
    for training in (True, False) if len(x) >= 2 else ():
        model.set_training(training)
        # What is drawn for one example may depend on how many others there are.
        if not training or not (specimen.has("BatchNorm") or specimen.draws(model, x)):
            yield from _across(specimen, model, x, "training" if training else "evaluation")
    if is_causal:
        model.set_training(False)
        yield from _within(specimen, model, x)


def _whole(specimen: Specimen, model: Model) -> Part:
    return Part(specimen.backend, model, "the model", "the model")


def _part(specimen: Specimen, stop: Stop) -> Part:
    return Part(specimen.backend, stop.node.layer, stop.node.type, stop.name)


def _behind_tokens(whole: Part, model: Model, x: np.ndarray) -> tuple[Part, np.ndarray]:
    """What can be asked for gradients at its input: all, or all but the layers up to a table."""
    nodes = list(model.nodes)
    while x.dtype.kind != "f" and nodes:
        x = Part(whole.backend, nodes.pop(0).layer, "", "").values(x)

    def rest(h: EngineTensor) -> EngineTensor:
        for node in nodes:
            h = node.layer(h)
        return h

    is_whole = len(nodes) == len(model.nodes)
    return whole if is_whole else Part(whole.backend, rest, whole.subject, whole.name), x


def _by_layer(
    stops: Iterable[Stop], ask: Callable[[Stop], list[Measurement]]
) -> Iterator[Measurement]:
    """What every layer has to say; a container only where nothing in it explains all."""
    found: dict[str, list[Measurement]] = {}
    for stop in stops:
        is_explained = any(
            not _all_good(found[each.label]) for each in all_nodes(stop.node.children)
        )
        found[stop.name] = [] if is_explained else ask(stop)
        yield from found[stop.name]


def _all_good(rows: list[Measurement]) -> bool:
    return all(row.error <= NOTICEABLE for row in rows)


# --- across a batch ---------------------------------------------------------------------------


def _across(specimen: Specimen, model: Model, x: np.ndarray, mode: str) -> Iterator[Measurement]:
    whole, count = _whole(specimen, model), len(x)
    behind, h = _behind_tokens(whole, model, x)
    rows = [*_alone(whole, x, count, mode), *_to_others(behind, h, count, mode)]

    def ask(stop: Stop) -> list[Measurement]:
        part = _part(specimen, stop)
        return [*_alone(part, stop.x, count, mode), *_to_others(part, stop.x, count, mode)]

    if not _all_good(rows):
        yield from _by_layer(walk(model, x), ask)
    yield from rows


def _alone(part: Part, x: np.ndarray, count: int, mode: str) -> Iterator[Measurement]:
    """Every example in a batch of its own."""
    together = part.values(x)
    alone = [part.values(each).ravel() for each in np.array_split(x, count)]
    what = f"outputs of {part.name} for examples one by one, beside those of a batch, in {mode}"
    yield compared(part.subject, what, np.concatenate(alone), together.ravel())


def _to_others(part: Part, x: np.ndarray, count: int, mode: str) -> Iterator[Measurement]:
    """How much of the gradient of one example comes to the others."""
    felt = examples_by_gradient(part, x, count, ONE) if x.dtype.kind == "f" else None
    if felt is not None:
        what = f"gradient of one example that goes to others, of {part.name} in {mode}"
        others = float(np.delete(felt, ONE).max())
        yield _unwanted(part.subject, what, others, float(felt.max()))


def _unwanted(subject: str, what: str, got: float, largest: float) -> Measurement:
    """A row about an effect that must not be, as a share of the largest."""
    error = 0.0 if got == 0.0 else got / largest
    return Measurement(subject, what, got, 0.0, error if math.isfinite(error) else math.inf)


# --- within a sequence ------------------------------------------------------------------------


def _within(specimen: Specimen, model: Model, x: np.ndarray) -> Iterator[Measurement]:
    rng, whole = specimen.rng("causality"), _whole(specimen, model)
    one, other = _two_sequences(specimen, x[0], rng)
    effect = places_by_value(whole, one, other)
    if effect is None:
        what = "outputs for every place of a sequence, which is declared causal"
        yield missing("the model", what, float(len(one)))
        return
    behind, h = _behind_tokens(whole, model, one[None])
    rows = [_later(whole, effect, "change")]
    if _keeps_places(h, len(one)):
        rows += _pulled(behind, h[0])
    leaks = not _all_good(rows)
    stops = walk(model, one[None])
    felt = dict(_felt_by_layers(specimen, stops, len(one), rng))

    def ask(stop: Stop) -> list[Measurement]:
        if stop.name not in felt:
            return []
        return list(_of_layer(_part(specimen, stop), stop, felt[stop.name], rng, leaks))

    yield from _by_layer(stops, ask)
    yield from rows
    if not any(map(_mixes, felt.values())):
        yield _any_earlier(whole, effect)


def _felt_by_layers(
    specimen: Specimen, stops: Iterable[Stop], places: int, rng: np.random.Generator
) -> Iterator[tuple[str, np.ndarray]]:
    """(places, places) the effects in every layer that keeps places apart, by label."""
    for stop in stops:
        if _keeps_places(stop.x, places):
            effect = places_by_value(_part(specimen, stop), stop.x[0], _near(stop.x[0], rng))
            if effect is not None:
                yield stop.name, effect


def _keeps_places(x: np.ndarray, places: int) -> bool:
    """Whether these are numbers, not tokens, of one sequence, place by place."""
    return x.dtype.kind == "f" and x.shape[:2] == (1, places)


def _of_layer(
    part: Part, stop: Stop, effect: np.ndarray, rng: np.random.Generator, leaks: bool
) -> Iterator[Measurement]:
    """Rows of a layer that keeps places apart; if it mixes any, it must mix all it may.

    Its gradients are asked for only where some leak.
    """
    yield _later(part, effect, "change")
    yield from _pulled(part, stop.x[0]) if leaks else ()
    if _mixes(effect) and not stop.node.children:
        yield _every_earlier(part, stop.x[0], effect, rng)


def _near(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.asarray(x + rng.standard_normal(x.shape))


def _mixes(effect: np.ndarray) -> bool:
    return bool(np.tril(effect, k=-1).any())


def _largest(effect: np.ndarray, again: np.ndarray | None) -> np.ndarray:
    return effect if again is None else np.maximum(effect, again)


def _pulled(part: Part, x: np.ndarray) -> Iterator[Measurement]:
    effect = places_by_gradient(part, x)
    if effect is not None:
        yield _later(part, effect, "gradient")


def _later(part: Part, effect: np.ndarray, how: str) -> Measurement:
    """The largest effect on a place of one that comes after it."""
    leak = np.triu(effect, k=1)
    i, j = np.unravel_index(int(np.argmax(leak)), leak.shape)
    what = f"{how} at place {i} of {part.name} with place {j}, which comes later"
    return _unwanted(part.subject, what, float(leak[i, j]), float(effect.max()))


def _any_earlier(part: Part, effect: np.ndarray) -> Measurement:
    """The largest effect on a place of one before it; none is missed where all else is dead."""
    got, alive = float(np.tril(effect, k=-1).max()), float(effect[1:].max(initial=0.0))
    what = f"change of later places of {part.name} with earlier ones"
    if got == 0.0 and alive > 0.0:
        return missing(part.subject, what, alive)
    return Measurement(part.subject, what, got, got, 0.0)


def _every_earlier(
    part: Part, x: np.ndarray, effect: np.ndarray, rng: np.random.Generator
) -> Measurement:
    """The smallest effect on a place of one that it may see, in one sequence or another."""
    may = np.tri(len(effect), dtype=bool)
    for _ in range(OTHER_SEQUENCES):
        if effect[may].all():
            break
        effect = _largest(effect, places_by_value(part, _near(x, rng), _near(x, rng)))
    seen = np.where(may, effect, np.inf)
    i, j = np.unravel_index(int(np.argmin(seen)), seen.shape)
    what = f"change at place {i} of {part.name} with place {j}, which it may see"
    got = float(seen[i, j])
    if got == 0.0:
        return missing(part.subject, what, float(np.median(effect[may])))
    return Measurement(part.subject, what, got, got, 0.0)


def _two_sequences(
    specimen: Specimen, like: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Two sequences that differ at every place; of different tokens, as far as there are any."""
    if like.dtype.kind == "f":
        one = like + rng.standard_normal(like.shape)
        return one, one + rng.standard_normal(like.shape)
    known = rng.permutation(kinds_of(specimen.examples(SEQUENCES)[0])[0])
    return np.resize(known, like.shape), np.resize(np.roll(known, 1), like.shape)
