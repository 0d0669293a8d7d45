"""Writing a new adapter: a file that runs as it is, for its owner to change piece by piece."""

from __future__ import annotations

from pathlib import Path

_TEMPLATE = Path(__file__).with_name("skeleton.txt")
# The name that the template has, and the start of its class's.
_NAME, _CLASS = "mylib", "Mylib"


def adapter(name: str) -> str:
    """The text of an adapter for an engine of that name, which must be an identifier."""
    text = _TEMPLATE.read_text(encoding="utf-8")
    words = "".join(word.capitalize() for word in name.split("_"))
    return text.replace(_CLASS, words or _CLASS).replace(_NAME, name)
