"""A second reading of a milestone's YAML, every scalar a word, to hold the first one against.

It knows nothing of types, defaults and models, so it cannot make their mistakes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

import yaml

# Mappings, lists and words.
Words = Any
# What decides the numbers that a training gives.
_DECISIVE = ("data", "layers", "training")
# A mapping under this key is in an order that matters.
_ORDERED = "layers"
_NOTHING = ("", "~", "null")


def read_words(text: str, changes: Sequence[str] = ()) -> Words:
    """The text as mappings, lists and words, with `--set` changes such as "training.lr=0.1"."""
    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    words: Words = yaml.load(text, Loader=loader)
    for change in changes:
        path, _, value = change.partition("=")
        *parents, last = path.strip().split(".")
        node = words
        for key in parents:
            node = node.setdefault(key, {})
        node[last] = yaml.load(value, Loader=loader) if value.strip() else ""
    return words


def digest_of(words: Words) -> str:
    """sha256 of what is written of data, layers and training, comments and looks apart."""
    decides = [_canonical(words.get(key), key) for key in _DECISIVE]
    return hashlib.sha256(json.dumps(decides).encode()).hexdigest()


def _canonical(words: Words, key: str = "") -> Words:
    if isinstance(words, list):
        return [_canonical(each) for each in words]
    if not isinstance(words, dict):
        return words
    names = list(words) if key == _ORDERED else sorted(words)
    return [[name, _canonical(words[name], name)] for name in names]


def misreadings(words: Words, values: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Where values are not what is written: each path, and how. What is not written is nothing."""
    if isinstance(words, dict) and isinstance(values, dict):
        yield from _of_mappings(words, values, path)
    elif isinstance(words, list) and isinstance(values, list | tuple):
        if len(words) != len(values):
            yield path, f"{len(values)} entries were read, {len(words)} are written"
        for i, (word, value) in enumerate(zip(words, values, strict=False)):
            yield from misreadings(word, value, f"{path}[{i}]")
    elif not _same(words, values):
        yield path, f"{values!r} was read, {words!r} is written"


def _of_mappings(
    words: dict[str, Words], values: dict[str, object], path: str
) -> Iterator[tuple[str, str]]:
    prefix = f"{path}." if path else ""
    for key, word in words.items():
        if key in values:
            yield from misreadings(word, values[key], prefix + key)
        else:
            yield prefix + key, f"nothing was read, {word!r} is written"
    for key, value in values.items():
        if key not in words and value:
            yield prefix + key, f"{value!r} was read, nothing is written"
    order = [key for key in values if key in words]
    if path.rpartition(".")[2] == _ORDERED and order != [key for key in words if key in values]:
        yield path, f"the order {', '.join(order)} was read, {', '.join(words)} is written"


def _same(word: Words, value: object) -> bool:
    """Whether a value is what a word stands for."""
    if not isinstance(word, str):
        return False
    if value is None:
        return word in _NOTHING
    if isinstance(value, bool):
        return word == str(value).lower()
    if isinstance(value, int | float):
        try:
            return (int(word) if isinstance(value, int) else float(word)) == value
        except ValueError:
            return False
    return word == value
