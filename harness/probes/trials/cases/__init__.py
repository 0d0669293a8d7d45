"""What every op, layer and loss is tried on: tables of cases, one family a file.

`LARGE` is what some of them are tried on once more, at sizes at which an engine may take another
way. `OPS` is in the order from small to composed: where a part of an op is an op of its own that is
wrong, that one is to be blamed first.
"""

from __future__ import annotations

from harness.probes.trials.cases import axes, elementwise, large, layers, losses, products

OPS = {**elementwise.CASES, **axes.CASES, **products.CASES, **losses.CASES}
LARGE = large.CASES
LAYERS = layers.LAYERS
CONTAINERS = layers.CONTAINERS
