"""What every op, layer and loss is tried on: tables of cases, one family a file.

`OPS` is in the order from small to composed: where a part of an op is an op of its own that is
wrong, that one is to be blamed first.
"""

from __future__ import annotations

from harness.probes.trials.cases import axes, elementwise, layers, losses, products

OPS = {**elementwise.CASES, **axes.CASES, **products.CASES, **losses.CASES}
LAYERS = layers.LAYERS
CONTAINERS = layers.CONTAINERS
