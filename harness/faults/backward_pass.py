"""The tape walks the graph in the wrong order, or loses, repeats or rounds gradients."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from harness.autograd import graph
from harness.autograd.function import Function
from harness.autograd.graph import backpropagate
from harness.autograd.tensor import Tensor
from harness.faults.base import fault
from harness.faults.ground import Ground

_ALL = ("perceptron", "xor", "mlp", "cnn", "transformer")
_TAPE = ("backward pass",)

Array = np.ndarray
Gradients = dict[int, np.ndarray]
# How one gradient is handed to one input of an op.
Deliver = Callable[[Tensor, Array, Gradients], None]


def hand_over(source: Tensor, grad: Array, gradients: Gradients) -> None:
    """The right way: leaves keep their gradients, others wait until all have arrived."""
    if source._grad_fn is None:
        graph._add_to_grad(source, grad)
    else:
        before = gradients.get(id(source))
        gradients[id(source)] = grad if before is None else before + grad


def deliver_by(ground: Ground, deliver: Deliver) -> None:
    """Plant a tape that hands gradients on in another way."""

    def pass_on(function: Function, grad_output: Array, gradients: Gradients) -> None:
        grads = function.apply(grad_output)
        for source, grad in zip(function.saved_tensors, grads, strict=True):
            if grad is not None and source.in_graph:
                deliver(source, grad, gradients)

    ground.patch(graph, "_pass_on", pass_on)


@fault("transformer", component=_TAPE, seen_by=("gradients_agree",))
def tape_overwrite_fanout(ground: Ground) -> None:
    """Of several gradients that come to one intermediate tensor, the last replaces the others."""

    def deliver(source: Tensor, grad: Array, gradients: Gradients) -> None:
        if source._grad_fn is None:
            hand_over(source, grad, gradients)
        else:
            gradients[id(source)] = grad

    deliver_by(ground, deliver)


@fault("transformer", component=_TAPE, seen_by=("gradients_agree",))
def tape_preorder(ground: Ground) -> None:
    """Ops are visited depth first, each once, before all gradients have come to them."""

    def preorder(root: Tensor, gradient: Array) -> None:
        gradients = {id(root): gradient}
        seen: set[int] = set()
        stack = [root]
        while stack:
            tensor = stack.pop()
            grad_output = gradients.pop(id(tensor), None)
            if id(tensor) in seen or grad_output is None:
                continue
            seen.add(id(tensor))
            if tensor._keeps_grad or tensor._grad_fn is None:
                graph._add_to_grad(tensor, grad_output)
            if tensor._grad_fn is not None:
                graph._pass_on(tensor._grad_fn, grad_output, gradients)
                stack += reversed(tensor._grad_fn.saved_tensors)

    ground.replace(backpropagate, preorder)


@fault(*_ALL, component=_TAPE, seen_by=("gradients_agree",))
def tape_fp16_grad(ground: Ground) -> None:
    """Every gradient is rounded to float16 on its way from one op to the next."""

    def deliver(source: Tensor, grad: Array, gradients: Gradients) -> None:
        with np.errstate(over="ignore"):
            hand_over(source, grad.astype(np.float16).astype(grad.dtype), gradients)

    deliver_by(ground, deliver)


@fault(component=_TAPE, seen_by=("gradients_add_up",))
def tied_counted_once(ground: Ground) -> None:
    """A tensor that a model uses twice gets the gradient of one of its uses only."""
    served: set[int] = set()

    def deliver(source: Tensor, grad: Array, gradients: Gradients) -> None:
        if source._grad_fn is not None or id(source) not in served:
            hand_over(source, grad, gradients)
        if source._grad_fn is None:
            served.add(id(source))

    def backpropagate_once(root: Tensor, gradient: Array) -> None:
        served.clear()
        backpropagate(root, gradient)

    deliver_by(ground, deliver)
    ground.replace(backpropagate, backpropagate_once)


@fault(component=_TAPE, seen_by=("gradients_add_up",))
def tape_second_pass_replaces(ground: Ground) -> None:
    """A second backward pass forgets the gradients of the first instead of adding to them."""
    fresh: set[int] = set()

    def deliver(source: Tensor, grad: Array, gradients: Gradients) -> None:
        if source._grad_fn is None and id(source) not in fresh:
            fresh.add(id(source))
            source.grad = None
        hand_over(source, grad, gradients)

    def backpropagate_anew(root: Tensor, gradient: Array) -> None:
        fresh.clear()
        backpropagate(root, gradient)

    deliver_by(ground, deliver)
    ground.replace(backpropagate, backpropagate_anew)


@fault(component=_TAPE, seen_by=("gradients_add_up",))
def tape_same_input_twice(ground: Ground) -> None:
    """An op that takes one tensor twice (x * x) hands it one of its two gradients only."""

    def pass_on(function: Function, grad_output: Array, gradients: Gradients) -> None:
        sources = function.saved_tensors
        by_tensor = {
            id(source): (source, grad)
            for source, grad in zip(sources, function.apply(grad_output), strict=True)
        }
        for source, grad in by_tensor.values():
            if grad is not None and source.in_graph:
                hand_over(source, grad, gradients)

    ground.patch(graph, "_pass_on", pass_on)


@fault("transformer", component=_TAPE, seen_by=("gradients_agree",))
def tape_third_use_lost(ground: Ground) -> None:
    """Of an intermediate tensor with more than two uses, the gradients beyond two are lost."""
    counted: dict[int, int] = {}

    def deliver(source: Tensor, grad: Array, gradients: Gradients) -> None:
        counted[id(source)] = counted.get(id(source), 0) + 1
        if source._grad_fn is None or counted[id(source)] <= 2:
            hand_over(source, grad, gradients)

    def backpropagate_two(root: Tensor, gradient: Array) -> None:
        counted.clear()
        backpropagate(root, gradient)

    deliver_by(ground, deliver)
    ground.replace(backpropagate, backpropagate_two)
