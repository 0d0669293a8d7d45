"""Which right convention each layer of a model follows, where there are several."""

from __future__ import annotations

import math
from collections.abc import Sequence

from harness.config import LayerSpec
from harness.measurement import discrepancy
from harness.oracles.layers import LAYERS, Convention
from harness.probes.models.specimen import Specimen
from harness.probes.models.walking import Stop, leaves, specs, walk

# A convention explains an output when it is off by no more than this in float64.
_EXPLAINS = 1e-6
# What the second convention of a type does, PyTorch's being the first.
_OTHERWISE = {
    "Linear": "its weight is (in_features, out_features)",
    "Conv2d": "it turns its kernels by half a circle, as mathematics has it",
    "SinusoidalPositions": "all sines come before all cosines",
    "LayerNorm": "it divides by sqrt(variance) + eps, not by sqrt(variance + eps)",
    "MultiHeadAttention": "its weights are (in_features, out_features)",
}


def other_conventions(specimen: Specimen) -> list[str]:
    """The layers of a model that follow another right convention than PyTorch's, in words.

    A layer that no convention explains is not among them.
    """
    x, _ = specimen.examples(4)
    model = specimen.wide_model()
    model.set_training(False)
    found, declared = [], specs(specimen.config.layers)
    for stop in leaves(walk(model, specimen.wide(x))):
        first, *others = LAYERS.get(stop.node.type, ()) or (None,)
        if first is None or not others:
            continue
        spec = declared[stop.name]
        if _error(specimen, stop, first, spec) > _EXPLAINS and any(
            _error(specimen, stop, other, spec) <= _EXPLAINS for other in _of(others)
        ):
            found.append(f"{stop.node.type} '{stop.name}': {_OTHERWISE[stop.node.type]}")
    return found


def _of(conventions: Sequence[Convention | None]) -> list[Convention]:
    return [each for each in conventions if each is not None]


def _error(specimen: Specimen, stop: Stop, convention: Convention, spec: LayerSpec) -> float:
    """How far the output of a layer is from what a convention makes of its input."""
    backend = specimen.backend
    own = backend.parameters(stop.node.layer)
    parameters = dict(zip(own, backend.arrays(list(own.values())), strict=True))
    try:
        return discrepancy(stop.y, convention(stop.x, parameters, spec.arguments))
    except (ValueError, KeyError, IndexError):
        return math.inf
