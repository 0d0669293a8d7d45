"""The parts of a reproducing file, to be filled in with `str.format`."""

from __future__ import annotations

HEAD = '''\
"""{id}

When this was written, with backend {backend!r}:
{message}

    python THIS_FILE [BACKEND]

exits with 1 while that is so, with 0 when it is right, and with 2 where there is no such engine;
BACKEND is another engine's name, module or file.
"""

import sys
from pathlib import Path

import numpy as np
from numpy import inf, nan

from harness import backends
from harness.errors import HarnessError

name = sys.argv[1] if len(sys.argv) > 1 else {backend!r}
try:
    backend = backends.load(name)
except HarnessError as error:
    print(f"error: {{error.message}}\\n  {{error.hint}}", file=sys.stderr)
    sys.exit(2)
'''

AGAIN = """
# More than one call: the case itself, in this process.
from harness.conformance.repeating import repeated

result = repeated({id!r}, name)
print(f"{{result.outcome}}: {{result.message}}", flush=True)
print(f"got {{result.got}}, expected {{result.expected}}")
sys.exit(result.outcome != "pass")
"""

AFTER = """
# By itself it passes: something is kept from one of these, which are run before it. Where that
# depends on addresses in memory, it fails in some processes only.
from harness.conformance.repeating import repeated

earlier = [
{earlier}]
result = repeated({id!r}, name, earlier)
print(f"{{result.outcome}}: {{result.message}}", flush=True)
print(f"got {{result.got}}, expected {{result.expected}}")
sys.exit(result.outcome != "pass")
"""

CALL = '''

def first(output):
    """The numbers of an op that also says where they stand."""
    return output[0] if isinstance(output, tuple) else output


def run(arrays, wanted):
    """The call, and its tensors: leaves where a gradient is wanted."""
    tensors = [
        None if a is None else backend.leaf(a) if i in wanted else backend.tensor(a)
        for i, a in enumerate(arrays)
    ]
    return {call}, tensors

'''

LAYER = '''
from harness.probes.trials.layers import build  # namespace.layers[NAME](**ARGUMENTS), seeded

layer = build(backend, {name}, {arguments})


def run(arrays, wanted):
    """The call, and its tensors: the input, which is arrays[0], and the parameters."""
    # One without parameters that draws is made anew, so that it draws the same again.
    used = layer if backend.parameters(layer) else build(backend, {name}, {arguments})
    own = list(backend.parameters(used).values())
    x = backend.leaf(arrays[0]) if 0 in wanted else backend.tensor(arrays[0])
    for parameter, array in zip(own, arrays[1:], strict=True):
        backend.set_value(parameter, array)
        backend.set_gradient(parameter, None)
    backend.set_training([used], {training})
    return used(x), [x, *own]

'''

VALUE = """
from harness.probes.rounding import compared_in_double
from harness.probes.trials.layouts import laid_out

expected = {expected}
print("expected", expected, sep="\\n", flush=True)
# Copies, laid out in memory in one of several ways: no op may care.
given = [None if a is None else laid_out(a, {way}) for a in arrays]
with backend.no_grad():
    output, _ = run(given, ())
got = np.array(backend.array(output))
print("got", got, sep="\\n")
row = compared_in_double({name}, "value", got, expected)
print(f"{{row.what}}: got {{row.got}}, expected {{row.expected}}, error {{row.error:.3g}}")
sys.exit(not row.error <= 1e-6)
"""

VALUE_IN_SINGLE = """
from harness.probes.rounding import compared_in_single, in_single

expected = {expected}
print("expected", expected, sep="\\n", flush=True)
output, _ = run(in_single(arrays), {varied})
got = np.array(backend.array(output))
print("got", got, got.dtype, sep="\\n")
row = compared_in_single({name}, "value", got, expected, arrays)
print(f"{{row.what}}: got {{row.got}}, expected {{row.expected}}, error {{row.error:.3g}}")
sys.exit(not row.error <= max(1e-6, {rounded}) or got.dtype != np.float32)
"""

GRADIENT = '''
from harness.probes.differences import alike, random_directions, slope_row
from harness.probes.rounding import was_single
from harness.probes.trials.layouts import laid_out

cotangent = {cotangent}  # the gradient of the output
names = {names}
rng = np.random.default_rng(0)


def output_of(moved):
    with backend.no_grad():
        return np.array(backend.array(run(moved, ())[0]))


def is_right(i, gradient):
    """Whether the gradient of input i is the slope of the value, by central differences."""

    def value(shift):
        moved = [a if a is None or j != i else a + shift.reshape(a.shape)
                 for j, a in enumerate(arrays)]
        return float(np.vdot(cotangent, output_of(moved)))

    flat = arrays[i].reshape(-1)
    # Equal numbers move together where they decide which of them is the largest.
    direction = alike(flat, rng) if i in {tied} else random_directions(flat.shape, rng)
    own = None if gradient is None else gradient.reshape(-1)
    row = slope_row({name}, f"gradient of {{names[i]}}", value, own, direction)
    is_narrow = own is not None and (own.dtype != np.float64 or was_single(own))
    print(f"{{row.what}} along a direction: got {{row.got}}, expected {{row.expected}}, "
          f"error {{row.error:.3g}}{{', rounded to float32' if is_narrow else ''}}")
    print("got", gradient, sep="\\n")
    has_shape = gradient is None or gradient.shape == arrays[i].shape
    return row.error <= 1e-6 and not is_narrow and has_shape


given = [None if a is None else laid_out(a, {turn}) for a in arrays]
output, tensors = run(given, {varied})
backend.backward(output, laid_out(cotangent, {turn} + 1))
found = {{i: backend.gradient(tensors[i]) for i in {varied}}}
found = {{i: None if g is None else np.array(g) for i, g in found.items()}}
due = [i for i in {varied} if i in {due} or (found[i] is not None and found[i].size)]
sys.exit(not all([is_right(i, found[i]) for i in due]))
'''

GRADIENT_IN_SINGLE = '''
from harness.probes.rounding import compared_in_single, in_single, size_of

cotangent = {cotangent}.astype(np.float32)  # the gradient of the output
names = {names}


def gradients(arrays, wanted, cotangent):
    output, tensors = run(arrays, wanted)
    backend.backward(output, cotangent)
    return [backend.gradient(tensors[i]) for i in wanted]


def is_right(i, got, expected):
    """Whether the gradient in float32 is that in float64, but for rounding."""
    print(f"gradient of {{names[i]}} in float64, then in float32", expected, got, sep="\\n")
    if got is None or expected is None:
        return expected is None
    row = compared_in_single({name}, "gradient", got, expected, arrays, size_of(cotangent))
    print(f"got {{row.got}}, expected {{row.expected}}, error {{row.error:.3g}}")
    return row.error <= max(1e-6, {rounded})


wide = [None if a is None else a.copy() for a in arrays]
right = dict(zip({varied}, gradients(wide, {varied}, cotangent.astype(np.float64)), strict=True))
right = {{i: None if g is None else np.array(g) for i, g in right.items()}}
results = [
    is_right(i, got, right[i])
    for group in {groups}
    for i, got in zip(group, gradients(in_single(arrays), group, cotangent.copy()), strict=True)
]
sys.exit(not all(results))
'''

STEPS = """
from functools import partial

from harness.oracles.optimizers import RULES
from harness.probes.runs.stepping import fitting, row, run

values = {values}
gradients = {gradients}
rates = {rates}  # the learning rate of every step
options = {options}

parameters = [backend.leaf(value.copy()) for value in values]
optimizer = backend.namespace.optimizers[{name}](parameters, lr=rates[0]{arguments})
# For each step: set_gradient() of each parameter, set_lr() where the rate changes, step().
steps = run(backend, optimizer, parameters, gradients, rates)
# Held against the rule of its paper, in any of its {readings} right readings.
comparison = fitting(steps, ((partial(rule, **options), rates) for rule in RULES[{name}]))
found = row({name}, "steps", steps, comparison)
print("changes of all numbers, step by step: expected, then got")
print(comparison.expected, steps.changes, sep="\\n")
print(f"{{found.what}}: got {{found.got}}, expected {{found.expected}}, error {{found.error:.3g}}")
sys.exit(not found.error <= 1e-6)
"""
