"""Plain PyTorch: the training loop that one would write by hand, without this harness.

Tells what going through the harness costs PyTorch.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from harness.arguments import as_tuples
from harness.bench.trainer import Apart, Clock, Trainer
from harness.bench.workload import Step, UnsupportedError, Workload
from harness.config import LayerSpec

# `Any`, here and below: PyTorch's own objects, which mypy need not know.
_WAYS: dict[str, dict[str, bool]] = {
    "foreach=False": {"foreach": False},
    "foreach=True": {"foreach": True},
    "fused=True": {"fused": True},
}


class TorchScriptTrainer(Trainer):
    """See `Trainer` for what each function does."""

    ways = tuple(_WAYS)

    def __init__(self) -> None:
        self._torch: Any = import_module("torch")
        self.version = str(self._torch.__version__)
        self._torch.set_num_threads(1)
        self._pieces = _pieces(self._torch)
        self._workload: Workload
        self._model: Any
        self._loss: Any
        self._optimizer: Any

    def prepare(self, workload: Workload) -> None:
        self._workload = workload
        self._network(workload.config.layers)
        if workload.config.training.clip_grad_norm is not None:
            raise UnsupportedError("torch-script does not clip gradients")

    def begin(self, way: str) -> None:
        torch, training = self._torch, self._workload.config.training
        self._model = self._network(self._workload.config.layers)
        weights = self._workload.weights
        with torch.no_grad():
            for path, parameter in self._model.named_parameters():
                label = next(each for each in weights if f".{path}".endswith(f".{each}"))
                parameter.copy_(torch.from_numpy(weights[label]))
        self._loss = getattr(torch.nn, training.loss)()
        given = {name: as_tuples(value) for name, value in training.optimizer_arguments.items()}
        factory = getattr(torch.optim, training.optimizer)
        self._optimizer = factory(self._model.parameters(), **given, **_WAYS[way])

    def take(self, steps: Sequence[Step]) -> None:
        for step in steps:
            self._forward(step).backward()
            self._step(step.done)

    def losses(self, steps: Sequence[Step]) -> list[float]:
        found = []
        for step in steps:
            loss = self._forward(step)
            loss.backward()
            found.append(float(loss.item()))
            self._step(step.done)
        return found

    def apart(self, steps: Sequence[Step], clock: Clock) -> list[Apart]:
        found = []
        for step in steps:
            start = clock()
            loss = self._forward(step)
            sent = clock()
            loss.backward()
            back = clock()
            self._step(step.done)
            found.append((sent - start, back - sent, clock() - back))
        return found

    def _forward(self, step: Step) -> Any:
        torch, training = self._torch, self._workload.config.training
        logits = self._model(torch.from_numpy(step.x))
        if training.loss == "CrossEntropyLoss":
            targets = torch.from_numpy(step.y.reshape(-1))
        else:
            targets = torch.from_numpy(step.y.reshape(logits.shape).astype(np.float32))
        loss = self._loss(logits, targets)
        self._optimizer.zero_grad()
        return loss

    def _step(self, done: float) -> None:
        training = self._workload.config.training
        if training.lr_decay is not None:
            self._optimizer.param_groups[0]["lr"] = training.lr * (1.0 - done)
        self._optimizer.step()

    def _network(self, layers: Mapping[str, LayerSpec]) -> Any:
        return self._torch.nn.Sequential(self._modules(layers))

    def _modules(self, layers: Mapping[str, LayerSpec]) -> OrderedDict[str, Any]:
        found: OrderedDict[str, Any] = OrderedDict()
        for label, spec in layers.items():
            factory = self._pieces.get(spec.type) or getattr(self._torch.nn, spec.type, None)
            if factory is None:
                raise UnsupportedError(f"torch-script has no {spec.type}")
            given = {name: as_tuples(value) for name, value in spec.arguments.items()}
            inner = [self._modules(spec.layers)] if spec.layers is not None else []
            found[label] = factory(*inner, **given)
        return found


def _pieces(torch: Any) -> dict[str, Any]:
    """The layers that PyTorch does not have as the harness has them."""
    nn, functional = torch.nn, torch.nn.functional

    class Residual(nn.Sequential):  # type: ignore[misc, name-defined]  # its base is Any
        def forward(self, x: Any) -> Any:
            return x + super().forward(x)

    class SinusoidalPositions(nn.Module):  # type: ignore[misc, name-defined]  # its base is Any
        def __init__(self, embedding_dim: int, max_len: int = 512) -> None:
            super().__init__()
            place = np.arange(max_len)[:, None]
            angle = place / 10000.0 ** (np.arange(0, embedding_dim, 2) / embedding_dim)
            table = np.stack([np.sin(angle), np.cos(angle)], axis=-1).reshape(max_len, -1)
            self.register_buffer("table", torch.from_numpy(table.astype(np.float32)))

        def forward(self, x: Any) -> Any:
            return x + self.table[: x.shape[-2]]

    class MultiHeadAttention(nn.Module):  # type: ignore[misc, name-defined]  # its base is Any
        def __init__(self, embed_dim: int, num_heads: int, is_causal: bool = False) -> None:
            super().__init__()
            self.query = nn.Linear(embed_dim, embed_dim)
            self.key = nn.Linear(embed_dim, embed_dim)
            self.value = nn.Linear(embed_dim, embed_dim)
            self.out = nn.Linear(embed_dim, embed_dim)
            self.heads, self.is_causal = num_heads, is_causal

        def forward(self, x: Any) -> Any:
            count, length, width = x.shape
            q, k, v = (
                each(x).view(count, length, self.heads, -1).transpose(1, 2)
                for each in (self.query, self.key, self.value)
            )
            mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=self.is_causal)
            return self.out(mixed.transpose(1, 2).reshape(count, length, width))

    return {
        "Residual": Residual,
        "SinusoidalPositions": SinusoidalPositions,
        "MultiHeadAttention": MultiHeadAttention,
    }
