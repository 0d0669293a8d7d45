"""Numbers in few digits: as many as make two that differ look different."""

from __future__ import annotations

_DIGITS = (3, 4, 5, 6, 8, 10, 12, 17)


def told_apart(got: float, expected: float) -> tuple[str, str]:
    """Both in three significant digits, or in more where they would read the same."""
    for digits in _DIGITS:
        texts = _text(got, digits), _text(expected, digits)
        if texts[0] != texts[1] or got == expected:
            break
    return texts


def _text(value: float, digits: int) -> str:
    """A whole number, such as a count, with all digits of its own."""
    is_whole = float(value).is_integer() and abs(value) < 1e12
    return f"{value:.0f}" if is_whole else f"{value:.{digits}g}"
