"""Numbers in few digits that still tell two apart, and exceptions whose text raises."""

from __future__ import annotations

import pytest

from harness.raised import text_of, told
from harness.told_apart import told_apart


class MuteError(Exception):
    """An engine's exception whose text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("got", "expected", "texts"),
    [
        (0.25, 0.5, ("0.25", "0.5")),
        (0.89212, 0.89234, ("0.8921", "0.8923")),
        (0.892, 0.8920001, ("0.892", "0.8920001")),
        (1.0, 1.0 + 2.0**-52, ("1", "1.0000000000000002")),
        (1000.0, 1000.4, ("1000", "1e+03")),
        (0.3333, 0.3333, ("0.333", "0.333")),
        (1234567.0, 1234568.0, ("1234567", "1234568")),
        (float("nan"), 2.0, ("nan", "2")),
        (float("inf"), 0.125, ("inf", "0.125")),
    ],
)
def test_two_numbers_that_differ_look_different(
    got: float, expected: float, texts: tuple[str, str]
) -> None:
    assert told_apart(got, expected) == texts


def test_exception_says_its_type_and_its_text() -> None:
    assert told(ValueError("3 is no shape")) == "ValueError: 3 is no shape"
    assert text_of(ValueError()) == ""


def test_exception_without_a_text_still_says_its_type() -> None:
    assert told(MuteError()) == "MuteError: (its __str__ raised RuntimeError)"


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
