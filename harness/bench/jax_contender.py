"""JAX in the bench: the whole training step compiled by `jit`, its batches already with JAX.

Not a backend: JAX differentiates functions, and has no tensors that hold gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from harness.bench.trainer import Trainer
from harness.bench.workload import Step, UnsupportedError, Workload
from harness.config import LayerSpec, Training

# `Any`, here and below: JAX's own arrays and modules, which mypy need not know.
Weights = dict[str, Any]
Apply = Callable[[Weights, Any], Any]


class JaxTrainer(Trainer):
    """See `Trainer` for what each function does."""

    def __init__(self) -> None:
        self._jax: Any = import_module("jax")
        self.version = str(self._jax.__version__)
        self._workload: Workload
        self._step: Any
        self._state: Any
        self._batches: dict[int, tuple[Any, Any]]

    def prepare(self, workload: Workload) -> None:
        jax, training = self._jax, workload.config.training
        self._workload, self._batches = workload, {}
        network = partial(_through, _applies(jax, workload.config.layers))
        for number, (x, y) in enumerate(workload.batches):
            targets = y.reshape(-1) if training.loss == "CrossEntropyLoss" else y
            if training.loss != "CrossEntropyLoss":
                targets = targets.reshape(len(x), -1).astype(np.float32)
            self._batches[number] = (jax.device_put(x), jax.device_put(targets))
        loss = _LOSSES[training.loss]
        update = _update(jax, training, workload.planned)

        def step(state: Any, x: Any, y: Any) -> tuple[Any, Any]:
            def of_weights(weights: Weights) -> Any:
                return loss(jax, network(weights, x), y)

            value, gradients = jax.value_and_grad(of_weights)(state["weights"])
            return update(state, gradients), value

        self._step = jax.jit(step, donate_argnums=(0,))

    def begin(self, way: str) -> None:
        jax = self._jax
        weights = {name: jax.numpy.array(array) for name, array in self._workload.weights.items()}
        zeros = {name: jax.numpy.zeros_like(array) for name, array in weights.items()}
        again = {name: jax.numpy.zeros_like(array) for name, array in weights.items()}
        self._state = {"weights": weights, "first": zeros, "second": again,
                       "steps": jax.numpy.zeros((), dtype="int32")}  # fmt: skip

    def take(self, steps: Sequence[Step]) -> None:
        for step in steps:
            self._state, _ = self._step(self._state, *self._batches[step.batch])
        self._jax.block_until_ready(self._state)

    def losses(self, steps: Sequence[Step]) -> list[float]:
        found = []
        for step in steps:
            self._state, loss = self._step(self._state, *self._batches[step.batch])
            found.append(float(loss))
        return found


# --- layers -----------------------------------------------------------------------------


def _through(applies: Sequence[Apply], weights: Weights, x: Any) -> Any:
    for apply in applies:
        x = apply(weights, x)
    return x


def _applies(jax: Any, layers: Mapping[str, LayerSpec]) -> list[Apply]:
    return [_apply(jax, label, spec) for label, spec in layers.items()]


def _apply(jax: Any, label: str, spec: LayerSpec) -> Apply:
    """One layer as a function of all weights and its input."""
    given = spec.arguments
    if spec.layers is not None:
        inner = partial(_through, _applies(jax, spec.layers))
        if spec.type == "Residual":
            return lambda weights, x: x + inner(weights, x)
        return inner
    if spec.type in _PLAIN:
        plain = _PLAIN[spec.type]
        return lambda weights, x: plain(jax, given, x)
    if spec.type in _WEIGHTED:
        weighted = _WEIGHTED[spec.type]
        return lambda weights, x: weighted(jax, given, partial(_weight, weights, label), x)
    raise UnsupportedError(f"jax, as the bench has it, has no {spec.type}")


def _weight(weights: Weights, label: str, name: str) -> Any:
    return weights.get(f"{label}.{name}")


def _linear_of(weight: Callable[[str], Any], x: Any, prefix: str = "") -> Any:
    out = x @ weight(f"{prefix}weight").T
    bias = weight(f"{prefix}bias")
    return out if bias is None else out + bias


def _linear(jax: Any, given: Mapping[str, Any], weight: Callable[[str], Any], x: Any) -> Any:
    return _linear_of(weight, x)


def _conv(jax: Any, given: Mapping[str, Any], weight: Callable[[str], Any], x: Any) -> Any:
    stride, padding = _pair(given.get("stride", 1)), _pair(given.get("padding", 0))
    out = jax.lax.conv_general_dilated(
        x, weight("weight"), stride, [(each, each) for each in padding]
    )
    bias = weight("bias")
    return out if bias is None else out + bias[:, None, None]


def _embedding(jax: Any, given: Mapping[str, Any], weight: Callable[[str], Any], x: Any) -> Any:
    return weight("weight")[x]


def _layer_norm(jax: Any, given: Mapping[str, Any], weight: Callable[[str], Any], x: Any) -> Any:
    axes = tuple(range(-weight("weight").ndim, 0))
    centred = x - x.mean(axes, keepdims=True)
    variance = (centred * centred).mean(axes, keepdims=True)
    scaled = centred * jax.lax.rsqrt(variance + given.get("eps", 1e-5))
    return scaled * weight("weight") + weight("bias")


def _attention(jax: Any, given: Mapping[str, Any], weight: Callable[[str], Any], x: Any) -> Any:
    count, length, width = x.shape
    heads = given["num_heads"]
    q, k, v = (
        _linear_of(weight, x, f"{name}.").reshape(count, length, heads, -1).swapaxes(1, 2)
        for name in ("query", "key", "value")
    )
    scores = q @ k.swapaxes(2, 3) / (width // heads) ** 0.5
    if given.get("is_causal", False):
        seen = np.tril(np.ones((length, length), dtype=bool))
        scores = jax.numpy.where(seen, scores, -np.inf)
    mixed = jax.nn.softmax(scores, axis=-1) @ v
    return _linear_of(weight, mixed.swapaxes(1, 2).reshape(x.shape), "out.")


def _positions(jax: Any, given: Mapping[str, Any], x: Any) -> Any:
    length, width = x.shape[-2:]
    angle = np.arange(length)[:, None] / 10000.0 ** (np.arange(0, width, 2) / width)
    table = np.stack([np.sin(angle), np.cos(angle)], axis=-1).reshape(length, width)
    return x + table.astype(np.float32)


def _flatten(jax: Any, given: Mapping[str, Any], x: Any) -> Any:
    first, last = given.get("start_dim", 1) % x.ndim, given.get("end_dim", -1) % x.ndim
    return x.reshape(*x.shape[:first], -1, *x.shape[last + 1 :])


def _max_pool(jax: Any, given: Mapping[str, Any], x: Any) -> Any:
    return _pool(jax, given, x, jax.lax.max, -np.inf)


def _avg_pool(jax: Any, given: Mapping[str, Any], x: Any) -> Any:
    return _pool(jax, given, x, jax.lax.add, 0.0) / float(np.prod(_pair(given["kernel_size"])))


def _pool(jax: Any, given: Mapping[str, Any], x: Any, reduce: Any, first: float) -> Any:
    kernel = _pair(given["kernel_size"])
    stride = _pair(given.get("stride") or given["kernel_size"])
    padding = _pair(given.get("padding", 0))
    pads = [(0, 0), (0, 0), *((each, each) for each in padding)]
    return jax.lax.reduce_window(x, first, reduce, (1, 1, *kernel), (1, 1, *stride), pads)


def _pair(value: Any) -> tuple[int, int]:
    first, second = (value, value) if isinstance(value, int) else value
    return first, second


_PLAIN: dict[str, Callable[[Any, Mapping[str, Any], Any], Any]] = {
    "ReLU": lambda jax, given, x: jax.nn.relu(x),
    "Tanh": lambda jax, given, x: jax.numpy.tanh(x),
    "Sigmoid": lambda jax, given, x: jax.nn.sigmoid(x),
    "SinusoidalPositions": _positions,
    "Flatten": _flatten,
    "MaxPool2d": _max_pool,
    "AvgPool2d": _avg_pool,
}
_WEIGHTED: dict[str, Callable[[Any, Mapping[str, Any], Callable[[str], Any], Any], Any]] = {
    "Linear": _linear,
    "Conv2d": _conv,
    "Embedding": _embedding,
    "LayerNorm": _layer_norm,
    "MultiHeadAttention": _attention,
}

# --- losses and optimizers --------------------------------------------------------------


def _cross_entropy(jax: Any, z: Any, y: Any) -> Any:
    return -jax.numpy.take_along_axis(jax.nn.log_softmax(z), y[:, None], axis=1).mean()


def _binary(jax: Any, z: Any, y: Any) -> Any:
    return (jax.nn.relu(z) - z * y + jax.numpy.log1p(jax.numpy.exp(-abs(z)))).mean()


def _squares(jax: Any, z: Any, y: Any) -> Any:
    return ((z - y) ** 2).mean()


_LOSSES = {
    "CrossEntropyLoss": _cross_entropy,
    "BCEWithLogitsLoss": _binary,
    "MSELoss": _squares,
}


def _update(jax: Any, training: Training, planned: int) -> Callable[[Any, Weights], Any]:
    """From a state and its gradients to the next state; the learning rate from the step."""
    if training.clip_grad_norm is not None:
        raise UnsupportedError("jax, as the bench has it, does not clip gradients")
    if training.optimizer not in ("SGD", "Adam") or training.weight_decay:
        raise UnsupportedError(f"jax, as the bench has it, has no {training.optimizer} like that")
    rule = partial(_sgd if training.optimizer == "SGD" else _adam, jax, training)

    def update(state: Any, gradients: Weights) -> Any:
        steps = state["steps"]
        lr = training.lr
        if training.lr_decay is not None:
            lr = lr * (1.0 - (steps % planned) / planned)
        moved = {
            name: rule(lr, steps + 1, weight, gradients[name], state["first"][name],
                       state["second"][name])
            for name, weight in state["weights"].items()
        }  # fmt: skip
        parts = ("weights", "first", "second")
        new = {
            part: {name: each[i] for name, each in moved.items()} for i, part in enumerate(parts)
        }
        return {**new, "steps": steps + 1}

    return update


def _sgd(
    jax: Any, training: Training, lr: Any, t: Any, w: Any, g: Any, first: Any, second: Any
) -> tuple[Any, Any, Any]:
    momentum = training.momentum or 0.0
    if not momentum:
        return w - lr * g, first, second
    first = momentum * first + g
    return w - lr * (g + momentum * first if training.nesterov else first), first, second


def _adam(
    jax: Any, training: Training, lr: Any, t: Any, w: Any, g: Any, first: Any, second: Any
) -> tuple[Any, Any, Any]:
    """Kingma and Ba 2015, algorithm 1."""
    beta1, beta2 = training.betas or (0.9, 0.999)
    first = beta1 * first + (1.0 - beta1) * g
    second = beta2 * second + (1.0 - beta2) * g * g
    m, v = first / (1.0 - beta1**t), second / (1.0 - beta2**t)
    eps = 1e-8 if training.eps is None else training.eps
    return w - lr * m / (jax.numpy.sqrt(v) + eps), first, second
