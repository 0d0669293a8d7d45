"""What the numbers of a reference mean: the conventions of its layers, loss and optimizer."""

from __future__ import annotations

from collections.abc import Iterator

from harness.config import LayerSpec, MilestoneConfig

# By the names of a config. All are PyTorch's.
CONVENTIONS = {
    "Linear": "x W^T + b, weight (out_features, in_features)",
    "Conv2d": "cross-correlation, weight (out_channels, in_channels, height, width)",
    "MaxPool2d": "no padding is ever the largest; equal maxima: the gradient goes to one of them",
    "Flatten": "row-major",
    "ReLU": "the slope at 0 is 0",
    "Embedding": "row k of the weight for token k",
    "SinusoidalPositions": "sine and cosine interleaved, 10000^(2i/d), position 0 first",
    "LayerNorm": "(x - mean) / sqrt(variance + eps), variance over n, eps 1e-5 unless given",
    "MultiHeadAttention": "query, key, value, out with biases; heads are consecutive features; "
    "scores / sqrt(features of a head); causal: a place sees itself and those before",
    "Residual": "x + f(x)",
    "CrossEntropyLoss": "mean over all rows, natural logarithm",
    "BCEWithLogitsLoss": "mean over all numbers, natural logarithm",
    "MSELoss": "mean over all numbers, no factor 1/2",
    "SGD": "v = momentum v + g, first v = g; p -= lr v, with nesterov p -= lr (g + momentum v)",
    "Adam": "p -= lr m' / (sqrt(v') + eps), both corrected for starting at zero; eps is added "
    "to the corrected root; betas (0.9, 0.999) and eps 1e-8 unless given",
    "AdamW": "as Adam, and p -= lr weight_decay p apart from the gradient",
    "linear": "lr (1 - k / planned_steps) at step k, from 0",
}


def declared(config: MilestoneConfig, drawn_by: str) -> dict[str, str]:
    """Every convention that a milestone's numbers depend on, by the name that it explains."""
    training = config.training
    words = [*_types(config.layers), training.loss, training.optimizer, training.lr_decay or ""]
    found = {word: CONVENTIONS[word] for word in dict.fromkeys(words) if word in CONVENTIONS}
    if training.clip_grad_norm is not None:
        found["clip_grad_norm"] = "all gradients times max_norm / (norm + 1e-6) above max_norm"
    start = f"drawn once by {drawn_by}, layer by layer, and kept as float32: take them as they are"
    return {"initial weights": start, **found}


def _types(layers: dict[str, LayerSpec]) -> Iterator[str]:
    for spec in layers.values():
        yield spec.type
        yield from _types(spec.layers or {})
