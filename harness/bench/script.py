"""A milestone as a plain PyTorch script, as one would write it without this harness."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from harness.arguments import as_tuples
from harness.bench.workload import Workload
from harness.config import LayerSpec

# Layers that torch.nn has under the same name and with the same arguments.
_SAME = {"Linear", "Conv2d", "MaxPool2d", "AvgPool2d", "ReLU", "Tanh", "Sigmoid", "GELU",
         "Flatten", "Embedding", "LayerNorm", "Softmax"}  # fmt: skip
_SCRIPT = '''\
"""{title}, trained by PyTorch."""
import numpy as np
import torch
from torch import nn

torch.set_num_threads(1)
torch.manual_seed(0)
data = np.load({data!r})
x, y = torch.from_numpy(data["x"]), torch.from_numpy(data["y"])
model = nn.Sequential(
{layers}
)
loss_function = nn.{loss}()
optimizer = torch.optim.{optimizer}(model.parameters(), {arguments})
steps = {epochs} * -(-len(x) // {size})
step = 0
for epoch in range({epochs}):
    for rows in torch.randperm(len(x)).split({size}):
        for group in optimizer.param_groups:
            group["lr"] = {lr} * (1.0 - {decay} * step / steps)
        loss = loss_function(model(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step += 1
print(loss.item())
'''


def scriptable(workload: Workload) -> bool:
    """Whether torch.nn has all of its layers, and its loss takes whole numbers."""
    training = workload.config.training
    return workload.layer_types <= _SAME and training.loss == "CrossEntropyLoss"


def plain_script(workload: Workload, folder: Path) -> Path:
    """Write the script, with its data beside it: as many steps as the milestone's training."""
    config, training = workload.config, workload.config.training
    data = folder / f"{workload.name}_data.npz"
    x, y = (np.concatenate(arrays) for arrays in zip(*workload.batches, strict=True))
    rows = workload.planned // training.epochs * training.batch_size
    repeated = -(-rows // len(x))
    np.savez(data, x=np.concatenate([x] * repeated)[:rows], y=np.concatenate([y] * repeated)[:rows])
    arguments = {name: as_tuples(value) for name, value in training.optimizer_arguments.items()}
    text = _SCRIPT.format(
        title=config.title,
        data=str(data.resolve()),
        layers=_layers(config.layers),
        loss=training.loss,
        optimizer=training.optimizer,
        arguments=_keywords(arguments),
        epochs=training.epochs,
        size=training.batch_size,
        lr=training.lr,
        decay=1.0 if training.lr_decay else 0.0,
    )
    file = folder / f"{workload.name}_torch.py"
    file.write_text(text, encoding="utf-8")
    return file


def _layers(layers: Mapping[str, LayerSpec]) -> str:
    return "\n".join(
        f"    nn.{spec.type}({_keywords(spec.arguments)})," for spec in layers.values()
    )


def _keywords(given: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in given.items())
