"""What a fault is: a bug planted on purpose, with what it touches and who must see it.

Mark a function of a `Ground` with `@fault(...)` in any file of this folder; the file is its
family, the function's name is its own and its docstring is its one-line description.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.config import MilestoneConfig
from harness.faults.ground import Ground

Plant = Callable[[Ground], None]
Declare = Callable[[MilestoneConfig], MilestoneConfig]


@dataclass(frozen=True)
class Fault:
    """One planted bug.

    `milestones` are those whose numbers it touches; none when no milestone uses the broken
    part. `component` lists the names that a good diagnosis blames, any of them: ops, layer
    types, "SGD", "the training loop", tensors. `seen_by` are the checks that must see it.
    A harmless variant is another right way, and must be seen by none; so is, for another
    reason, a fault with `survives`, which says why nothing can see it. `declares` makes the
    config that the job is asked for, and judged by, where it is another than the shipped one.
    """

    name: str
    description: str
    plant: Plant
    milestones: tuple[str, ...] = ()
    component: tuple[str, ...] = ()
    seen_by: tuple[str, ...] = ()
    is_harmless: bool = False
    survives: str = ""
    declares: Declare = lambda config: config

    @property
    def family(self) -> str:
        """The file that it stands in."""
        return self.plant.__module__.rpartition(".")[2]


def fault(
    *milestones: str,
    component: tuple[str, ...] = (),
    seen_by: tuple[str, ...] = (),
    is_harmless: bool = False,
    survives: str = "",
    declares: Declare = lambda config: config,
) -> Callable[[Plant], Fault]:
    """Make a Fault of a function that plants it."""

    def decorate(plant: Plant) -> Fault:
        description = " ".join((plant.__doc__ or "").split())
        return Fault(
            plant.__name__, description, plant, milestones, component, seen_by, is_harmless,
            survives, declares,
        )  # fmt: skip

    return decorate


# What the public catalogue of faults has and this engine cannot have, and why.
NOT_EXPRESSIBLE = {
    "x_bn_momentum_convention": "there is no batch norm: no running statistics are kept",
    "x_label_smooth_ignore": "cross-entropy has neither label smoothing nor ignored targets",
    "x_setitem_graph": "tensors take no item assignment; relu_inplace stands for it",
    "x_checkpoint_best_is_last": "nothing is checkpointed: a run ends with its last weights",
}
