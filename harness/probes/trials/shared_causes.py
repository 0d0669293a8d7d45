"""Whether what is wrong with many ops is wrong with none of them, but with what joins them.

A helper that several ops share, such as one that sums over what was broadcast, spoils some ops at
some shapes. The backward pass spoils all of them, also those of one input, which share no helper.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from harness.measurement import Measurement

TAPE = "backward pass"
# So many ops are not all wrong by themselves, if so many of them have one input.
ALL = 5
ALONE = 3

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Look:
    """What came of one trial of an op: the rows about it, and its output's shape if there is one.

    `single` are those of the rows that are about float32. `is_unary` says that the op was given
    one input that a gradient is taken of, `is_led` that it is wrong only behind another op.
    """

    subject: str
    shape: Shape | None
    rows: Sequence[Measurement]
    single: Sequence[Measurement] = ()
    is_unary: bool = False
    is_led: bool = False

    def is_telling(self, agrees: float) -> bool:
        """Whether it is wrong, or could have been: a gradient of zeros is right by chance."""
        return any(row.got != 0.0 or not row.error <= agrees for row in self.rows)


def of_each(what: str, looks: Sequence[Look], agrees: float) -> Iterator[Measurement]:
    """A row that blames the backward pass where each of enough ops is wrong somewhere."""
    bad = [(look.subject, row) for look in looks for row in _bad(look.rows, agrees)]
    names = {look.subject for look in looks}
    if len(names) >= ALL and {name for name, _ in bad} == names:
        yield _blaming(what, bad[0][1])


def of_each_shape(looks: Sequence[Look], agrees: float) -> Iterator[Measurement]:
    """The same where enough ops give an output of one shape, and all of these are wrong."""
    by_shape: dict[Shape, list[Look]] = {}
    for look in looks:
        if look.shape is not None and look.is_telling(agrees):
            by_shape.setdefault(look.shape, []).append(look)
    for shape, some in by_shape.items():
        if all(_bad(look.rows, agrees) for look in some):
            yield from _of_many(f"gradients of all outputs of shape {shape}", some, agrees)


def of_single(looks: Sequence[Look], agrees: float) -> Iterator[Measurement]:
    """The same where enough ops are right in float64 and always wrong in float32."""
    some = [look for look in looks if look.single]
    if all(_bad(look.single, agrees) for look in some):
        narrow = [replace(look, rows=look.single) for look in some]
        yield from of_each("gradients of all ops in float32", narrow, agrees)


def of_each_property(
    properties: Sequence[str], looks: Sequence[Look], agrees: float
) -> Iterator[Measurement]:
    """The same where enough ops have a wrong row whose words begin alike."""
    wrong = [look for look in looks if _bad(look.rows, agrees)]
    for words in properties:
        told = [
            replace(look, rows=[row for row in look.rows if row.what.startswith(words)])
            for look in wrong
        ]
        yield from _of_many("what all ops do", told, agrees)


def of_led(looks: Sequence[Look], agrees: float) -> Iterator[Measurement]:
    """The same where enough ops are right, but not behind another op, which is right as well."""
    led = [look for look in looks if look.is_led]
    yield from of_each("gradients that come out of another op", led, agrees)


def _of_many(what: str, looks: Sequence[Look], agrees: float) -> Iterator[Measurement]:
    bad = [(look, row) for look in looks for row in _bad(look.rows, agrees)]
    names = {look.subject for look, _ in bad}
    alone = {look.subject for look, _ in bad if look.is_unary}
    if len(names) >= ALL and len(alone) >= ALONE:
        yield _blaming(what, bad[0][1])


def _bad(rows: Sequence[Measurement], agrees: float) -> list[Measurement]:
    return [row for row in rows if not row.error <= agrees]


def _blaming(what: str, row: Measurement) -> Measurement:
    return replace(row, subject=TAPE, what=f"{what}: {row.subject}: {row.what}")
