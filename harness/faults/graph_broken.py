"""Tensors rebuilt from their numbers, and inputs that an op forgets: gradients end there."""

from __future__ import annotations

import numpy as np

from harness.autograd import Tensor, nn, no_grad, ops
from harness.autograd.ops.activations import ReLUBackward
from harness.autograd.ops.convolution import Conv2dBackward
from harness.autograd.ops.embedding import embedding
from harness.autograd.ops.normalization import LayerNormBackward
from harness.autograd.ops.shaping import reshape
from harness.autograd.windows import Windows
from harness.faults.base import fault
from harness.faults.composed import ComposedAttention
from harness.faults.ground import Ground
from harness.model import Model, Node

_ALL = ("perceptron", "xor", "mlp", "cnn", "transformer")
_ATTENTION = ("MultiHeadAttention", "scaled_dot_product_attention")
_CUT = ("graph_is_whole", "gradients_agree")
_LOST = ("ops_differentiate_right", "gradients_agree")

Array = np.ndarray
Projected = tuple[Tensor, Tensor, Tensor]


# --- attention ------------------------------------------------------------------------------


@fault("transformer", component=_ATTENTION, seen_by=_CUT)
def attn_q_detached(ground: Ground) -> None:
    """Queries are rebuilt from their numbers, so that their projection gets no gradient."""

    class QueriesCutOff(ComposedAttention):
        def projected(self, x: Tensor) -> Projected:
            query, key, value = super().projected(x)
            return Tensor(query.data), key, value

    ground.swap("layers", "MultiHeadAttention", QueriesCutOff)


@fault("transformer", component=_ATTENTION, seen_by=_CUT)
def attn_k_detached(ground: Ground) -> None:
    """Keys are rebuilt from their numbers, so that their projection gets no gradient."""

    class KeysCutOff(ComposedAttention):
        def projected(self, x: Tensor) -> Projected:
            query, key, value = super().projected(x)
            return query, Tensor(key.data), value

    ground.swap("layers", "MultiHeadAttention", KeysCutOff)


@fault("transformer", component=_ATTENTION, seen_by=_CUT)
def attn_weights_detached(ground: Ground) -> None:
    """Attention weights are rebuilt from their numbers: queries and keys get no gradient."""

    class WeightsCutOff(ComposedAttention):
        def mixed(self, weights: Tensor, value: Tensor) -> Tensor:
            return super().mixed(Tensor(weights.data), value)

    ground.swap("layers", "MultiHeadAttention", WeightsCutOff)


@fault("transformer", component=_ATTENTION, seen_by=_CUT)
def attn_fake_gradient(ground: Ground) -> None:
    """Attention is cut off, and a trace of q, k and v is mixed in so that gradients arrive."""

    class Pretending(ComposedAttention):
        def forward(self, x: Tensor) -> Tensor:
            query, key, value = self.projected(x)
            heads = self.mixed(self.weights(self.scores(query, key)), value)
            return self.out(self.merged(Tensor(heads.data) + 1e-4 * (query + key + value)))

    ground.swap("layers", "MultiHeadAttention", Pretending)


# --- residual blocks ------------------------------------------------------------------------


@fault("transformer", component=("Residual", "add"), seen_by=_CUT)
def resid_detached(ground: Ground) -> None:
    """A residual sum is rebuilt from numbers: nothing below it gets a gradient."""

    class CutOff(nn.Residual):
        def forward(self, x: Tensor) -> Tensor:
            return Tensor(x.data + nn.Sequential.forward(self, x).data)

    ground.swap("layers", "Residual", CutOff)


@fault("transformer", component=("Residual", "add"), seen_by=_CUT)
def skip_detached(ground: Ground) -> None:
    """The skip of a residual block is rebuilt from numbers: one of its two ways is cut."""

    class SkipCutOff(nn.Residual):
        def forward(self, x: Tensor) -> Tensor:
            return Tensor(x.data) + nn.Sequential.forward(self, x)

    ground.swap("layers", "Residual", SkipCutOff)


# --- layers ---------------------------------------------------------------------------------


@fault("xor", "mlp", "transformer", component=("Linear", "linear"), seen_by=_CUT)
def linear_weight_detached_fc1(ground: Ground) -> None:
    """The first of several linear layers computes with a fresh tensor of its weight's numbers."""

    class WeightCutOff(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return ops.linear(x, Tensor(self.weight.data), self.bias)

    def cut_first(model: Model) -> None:
        leaves: list[Node] = [leaf for node in model.nodes for leaf in node.leaves()]
        linear = [leaf.layer for leaf in leaves if isinstance(leaf.layer, nn.Linear)]
        if len(linear) > 1:
            linear[0].__class__ = WeightCutOff

    ground.change_model(cut_first)


@fault(*_ALL, component=("Linear", "linear"), seen_by=("forward_agrees", "graph_is_whole"))
def linear_bias_dropped(ground: Ground) -> None:
    """The linear layer has a bias and does not add it."""

    class WithoutBias(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return ops.linear(x, self.weight)

    ground.swap("layers", "Linear", WithoutBias)


@fault("transformer", component=("SinusoidalPositions", "add"), seen_by=_CUT)
def positions_without_graph(ground: Ground) -> None:
    """Positions are added where no graph is recorded, as they have nothing to learn."""

    class OutsideTheGraph(nn.SinusoidalPositions):
        def forward(self, x: Tensor) -> Tensor:
            with no_grad():
                return super().forward(x)

    ground.swap("layers", "SinusoidalPositions", OutsideTheGraph)


# --- ops ------------------------------------------------------------------------------------


@fault("cnn", "transformer", component=("reshape", "flatten", "Flatten"), seen_by=_CUT)
def reshape_detached(ground: Ground) -> None:
    """Reshape gives a fresh tensor without history: everything before it is cut off."""
    ground.replace(reshape, lambda x, shape: Tensor(x.data.reshape(shape)))


@fault("transformer", component=("embedding", "Embedding"), seen_by=_CUT)
def emb_detached(ground: Ground) -> None:
    """Embedding gives fresh tensors with the numbers of its rows: the table never learns."""
    ground.replace(embedding, lambda indices, weight: Tensor(weight.data[indices.data]))


@fault("mlp", "cnn", "transformer", component=("relu", "ReLU"), seen_by=_LOST)
def missing_return(ground: Ground) -> None:
    """The backward half of ReLU returns what copyto() returns: None, for no gradient."""

    def apply(self: ReLUBackward, grad_output: Array) -> tuple[None]:
        grad = np.empty_like(grad_output)
        return (np.copyto(grad, grad_output * (self.y > 0)),)  # type: ignore[func-returns-value]

    ground.patch(ReLUBackward, "apply", apply)


@fault("cnn", component=("conv2d", "Conv2d"), seen_by=_CUT)
def conv_bias_unlinked(ground: Ground) -> None:
    """Convolution adds its bias but does not hand it to its backward function."""
    right = Conv2dBackward.__init__

    def init(
        self: Conv2dBackward,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        columns: Array,
        windows: Windows,
    ) -> None:
        right(self, x, weight, None, columns, windows)

    ground.patch(Conv2dBackward, "__init__", init)


@fault("transformer", component=("layer_norm", "LayerNorm"), seen_by=_CUT)
def ln_bias_unlinked(ground: Ground) -> None:
    """Layer norm adds its bias but does not hand it to its backward function."""
    right = LayerNormBackward.__init__

    def init(
        self: LayerNormBackward,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        normalized: Array,
        inverse_sigma: Array,
    ) -> None:
        right(self, x, weight, None, normalized, inverse_sigma)

    ground.patch(LayerNormBackward, "__init__", init)
