"""What an exception of an engine's says: its text, which may itself raise."""

from __future__ import annotations


def text_of(error: BaseException) -> str:
    """Its text; where it cannot be had, that is said instead."""
    try:
        return str(error)
    except Exception as another:  # it is an engine's own: anything may happen in its __str__
        return f"(its __str__ raised {type(another).__name__})"


def told(error: BaseException) -> str:
    """Such as "ValueError: 3 is no shape"."""
    return f"{type(error).__name__}: {text_of(error)}"
