"""`Explanation`: how the gradient of one tensor comes from the loss, or where it is lost.

Plain values, for the scorecard and for reports; `harness.explaining` fills them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "cut", "unlinked", "unread", "unregistered", "swallowed", "zero", "nonfinite", "unknown"
]

# The four common bugs, in the order and in the words of CONTRIBUTING.md.
ISSUES = {
    1: ".data bypasses the graph",
    2: "a residual made from .data",
    3: "a reshape that starts a new graph",
    4: "a parameter that is not registered",
}


@dataclass(frozen=True)
class Hop:
    """One op on the way from the loss to the tensor, and what arrives at its output.

    `layer` is a label of the config, or "loss". `norm` is the Euclidean norm of the gradient;
    None where none arrived, or one that is not finite. `place` is "file:line" of the op and
    `apply` of its backward half, empty where the engine cannot tell.
    """

    layer: str
    op: str
    shape: tuple[int, ...]
    arrived: bool
    norm: float | None
    place: str
    apply: str


@dataclass(frozen=True)
class End:
    """Where a way from the loss ends before it gets to the tensor.

    `place` is the line to look at, `issue` which of the four common bugs it resembles, 0 for
    none of them.
    """

    kind: Kind
    sentence: str
    place: str = ""
    issue: int = 0


@dataclass(frozen=True)
class Slope:
    """The engine's slope of the loss along one direction, and the one that was measured.

    `wrong` says which parts pass on wrong gradients, where some do.
    """

    got: float | None
    expected: float
    agrees: bool
    wrong: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sibling:
    """Another tensor of the same layer, or of the same name in a layer of the same type."""

    label: str
    shape: tuple[int, ...]
    arrived: bool
    norm: float | None


@dataclass(frozen=True)
class Explanation:
    """What happens between the loss and one tensor, at the first step of training.

    `hops` lead from the loss as far as the graph goes, `behind` from where it ends on to the
    tensor. `ends` are empty where all is well. `null` is the reason why the tensor is
    declared to have no gradient; `problem` is why there is nothing, or no more, to tell.
    """

    label: str
    shape: tuple[int, ...] = ()
    reached: bool = False
    arrived: bool = False
    norm: float | None = None
    hops: tuple[Hop, ...] = ()
    behind: tuple[Hop, ...] = ()
    ends: tuple[End, ...] = ()
    siblings: tuple[Sibling, ...] = ()
    slope: Slope | None = None
    null: str = ""
    problem: str = ""

    @property
    def is_harmless(self) -> bool:
        """Whether ways end, but what would come through them cancels: all slopes are right."""
        agrees = self.slope is not None and self.slope.agrees
        return self.reached and agrees and all(end.kind == "cut" for end in self.ends)
