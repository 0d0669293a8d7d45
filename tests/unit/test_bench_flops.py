"""FLOPs of a training step, against sums by hand."""

from __future__ import annotations

from typing import Any

import pytest

from harness.bench.flops import Flops, Shape, step_flops
from harness.config import MilestoneConfig
from tests.examples import small_config

Layers = dict[str, dict[str, Any]]  # as YAML has them


def flops_of(layers: Layers, shape: Shape, optimizer: str = "SGD", parameters: int = 0) -> Flops:
    """FLOPs of a model with these layers; those of the loss are a softmax over what comes out."""
    small = small_config().model_dump(mode="json", exclude_none=True)
    training = {**small["training"], "optimizer": optimizer}
    config = MilestoneConfig.model_validate({**small, "layers": layers, "training": training})
    return step_flops(config, shape, parameters)


def linear(inputs: int, outputs: int, **more: Any) -> dict[str, Any]:
    return {"type": "Linear", "in_features": inputs, "out_features": outputs, **more}


def test_first_linear_sends_no_gradient_to_its_input() -> None:
    """2 x 4 x 3 x 5 = 120 for the product, 4 x 5 = 20 for the bias, 5 x 20 = 100 for the loss."""
    found = flops_of({"only": linear(3, 5)}, (4, 3))
    assert found.forward == 120 + 20 + 100
    # One gradient of the product's two factors, and the bias' twice.
    assert found.backward == 120 + 2 * 20 + 100


def test_second_linear_costs_two_gradients() -> None:
    """2 x 4 x 3 x 5 = 120 and 2 x 4 x 5 x 2 = 80, without biases; the loss 5 x 8 = 40."""
    layers = {"one": linear(3, 5, bias=False), "two": linear(5, 2, bias=False)}
    assert flops_of(layers, (4, 3)) == Flops(120 + 80 + 40, 120 + 2 * 80 + 40, 0)


def test_convolution_counts_every_place_of_its_window() -> None:
    """Padding 1 keeps 6x6: 2 x 2 x 3 x 9 x 4 x 36 = 15552, bias 2 x 4 x 36 = 288.

    Pooling by 2 looks at each of the 288 numbers once; 72 numbers come out, 360 for the loss.
    """
    layers: Layers = {
        "conv": {"type": "Conv2d", "in_channels": 3, "out_channels": 4, "kernel_size": 3,
                 "padding": 1},
        "pool": {"type": "MaxPool2d", "kernel_size": 2},
        "flatten": {"type": "Flatten"},
    }  # fmt: skip
    found = flops_of(layers, (2, 3, 6, 6))
    assert found.forward == 15552 + 288 + 288 + 360
    assert found.backward == 15552 + 2 * 288 + 2 * 288 + 360


def test_stride_takes_windows_away() -> None:
    """5x5 in steps of 2 by a 3x3 window: 2x2 windows, 2 x 1 x 1 x 9 x 1 x 4 = 72."""
    conv = {"type": "Conv2d", "in_channels": 1, "out_channels": 1, "kernel_size": 3, "stride": 2,
            "bias": False}  # fmt: skip
    assert flops_of({"conv": conv}, (1, 1, 5, 5)).forward == 72 + 5 * 4


def test_attention_counts_projections_scores_and_the_mix() -> None:
    """2 sequences of 3 tokens, width 4, 2 heads.

    A projection 2 x 6 x 4 x 4 + 24 = 216, four of them 864; scores and mix 2 x 2 x 9 x 4 = 144
    each; softmax 5 x (2 x 2 x 9) = 180; the loss 5 x 24 = 120.
    """
    attention = {"type": "MultiHeadAttention", "embed_dim": 4, "num_heads": 2}
    layers: Layers = {"embedding": {"type": "Embedding", "num_embeddings": 7, "embedding_dim": 4},
                      "attention": attention}  # fmt: skip
    found = flops_of(layers, (2, 3))
    assert found.forward == 864 + 2 * 144 + 180 + 120
    # Twice all of it, and an add for each of the 24 numbers of the embedding.
    assert found.backward == 2 * (864 + 2 * 144 + 180) + 24 + 120


def test_residual_adds_once_on_each_way() -> None:
    """A norm of 8 a number and an add: (8 + 1) x 10; backward (16 + 1) x 10; the loss 50."""
    norm = {"norm": {"type": "LayerNorm", "normalized_shape": 5}}
    layers: Layers = {"block": {"type": "Residual", "layers": norm}}
    assert flops_of(layers, (2, 5)) == Flops(90 + 50, 170 + 50, 0)


@pytest.mark.parametrize(("optimizer", "expected"), [("SGD", 2 * 7), ("Adam", 12 * 7)])
def test_optimizer_counts_by_the_parameter(optimizer: str, expected: int) -> None:
    assert flops_of({"only": linear(3, 5)}, (4, 3), optimizer, 7).optimizer == expected


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
