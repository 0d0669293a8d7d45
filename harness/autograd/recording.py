"""Records the numpy calls of a step, on memory that stays, so that they can be run again.

While a step runs on `Noted` arrays, numpy tells of every ufunc, function and method that gets
one. A `Tape` keeps those that compute something, each with the arrays that it read and the one
that it filled. Views need no entry: they look at the same memory when the step is run again.

What leaves numpy cannot be run again. A truth (`if x.max() >= n`) is asked again and must be
the same; a number that is taken out ends the recording. What is made from nothing, by
`np.zeros` say, is a constant here: make an array that is to be filled like another one, by
`np.zeros_like`. Nothing sees all that a step may do; who runs a tape compares (`replay`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from operator import setitem
from typing import Any
from weakref import ref

import numpy as np

Array = np.ndarray

# numpy is about to take their third argument for one more input.
_OUT_BY_NAME = (np.maximum, np.minimum)
# Functions of arrays that fill one that is given, like ufuncs do.
_FILLING = (np.concatenate, np.dot, np.stack)
# Methods that give numbers or a view, of which numpy tells nobody.
_METHODS = (
    "__getitem__", "argmax", "argmin", "argsort", "astype", "copy", "cumsum", "diagonal", "dot",
    "flatten", "nonzero", "ravel", "repeat", "reshape", "round", "searchsorted", "squeeze",
    "swapaxes", "take", "trace", "transpose", "view",
)  # fmt: skip
# Methods that take numbers out of numpy, or change an array unseen.
_ESCAPES = (
    "__complex__", "__float__", "__index__", "__int__", "byteswap", "choose", "compress", "fill",
    "item", "itemset", "partition", "put", "resize", "setfield", "sort", "tobytes", "tolist",
)  # fmt: skip


class DivergedError(Exception):
    """A truth or a shape that was seen while recording is another one now."""


@dataclass(frozen=True, eq=False)
class Call:
    """A function of numpy and what it is given; arrays may be inside tuples and lists.

    `filled` is the one of them that gets the result.
    """

    filled: Array | None
    function: Callable[..., Any]
    given: tuple[Any, ...]
    options: Mapping[str, Any] = field(default_factory=dict)

    def changed(self, change: Callable[[Array], Array]) -> Call:
        """The same call with other arrays."""
        options = {name: _each_array(value, change) for name, value in self.options.items()}
        filled = None if self.filled is None else change(self.filled)
        return Call(filled, self.function, _each_array(self.given, change), options)

    @cached_property
    def arrays(self) -> list[Array]:
        """All arrays that it reads or fills."""
        return list(_all_arrays((*self.given, *self.options.values())))


class Tape:
    """The calls of one step in order, and the arrays that they fill and that nobody else has.

    `problem` says why they are not all of the step, if so; it then goes on without being noted.
    """

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.made: list[Array] = []
        self.problem = ""
        self._is_open = True
        self._told: list[ref[Noted]] = []

    def noted(self, array: Array) -> Any:
        """The same memory, as an array that tells this tape what is done with it."""
        if not self._is_open:
            return array
        view = array.view(Noted)
        view.tape, view.plain = self, array
        self._told.append(ref(view))
        return view

    def close(self) -> None:
        """Note nothing more."""
        self._is_open = False

    @property
    def kept(self) -> bool:
        """Whether somebody still has an array that tells this tape.

        What a step keeps for the next one, such as a running mean, would stay as it is.
        """
        return any(each() is not None for each in self._told)

    def new(self, array: Array) -> Any:
        """The same for an array that was made by a call of this step."""
        if self._is_open:
            self.made.append(array)
        return self.noted(array)

    def add(self, call: Call) -> None:
        """Keep one more call."""
        if self._is_open:
            self.calls.append(call)

    def result(self, function: Callable[..., Any], *given: Any, **options: Any) -> Any:
        """What a function gives: a view of what it is given, or numbers that it gives again."""
        got = function(*given, **options)
        if got is None or getattr(got, "dtype", np.dtype(float)).hasobject:
            self.escape(f"{function.__name__} gives no numbers")
            return got
        sources = list(_all_arrays((*given, *options.values())))
        if isinstance(got, np.dtype) or not self._is_open:
            return got
        if isinstance(got, tuple | list):
            if all(_is_view(each, sources) for each in got):
                return type(got)(map(self.noted, got))
            self.escape("a function with several results")
            return got
        if _is_view(got, sources):
            return self.noted(got)
        # Not the array itself, which may be a view of one that numpy keeps.
        got = np.array(got, order="K")
        self.add(_made_again(got, function, given, options))
        return self.new(got)

    def escape(self, what: str) -> None:
        """Something is done that cannot be noted."""
        if self._is_open:
            self._is_open, self.problem = False, what


class Noted(Array):
    """An array that tells its tape what is done with it."""

    tape: Tape
    # The array that this one is a view of; None for views that numpy makes by itself.
    plain: Array | None = None

    def __array_finalize__(self, source: Array | None) -> None:
        if isinstance(source, Noted):
            self.tape = source.tape

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = (), **options: Any
    ) -> Any:
        if method == "at" or ufunc.nout > 1:
            self.tape.escape(f"{ufunc.__name__}.{method}")
            into = {"out": plain(out)} if out else {}
            return getattr(ufunc, method)(*plain(inputs), **into, **options)
        given = _constant(plain(inputs))
        options = {name: plain(value) for name, value in options.items()}
        into = {"out": plain(tuple(out))} if out else {}
        got = np.asarray(getattr(ufunc, method)(*given, **options, **into))
        filled = into["out"][0] if into else got
        self.tape.add(_again(ufunc, method, given, filled, options))
        return out[0] if out else self.tape.new(filled)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        given, options = plain(tuple(args)), {name: plain(each) for name, each in kwargs.items()}
        if function is np.copyto:
            np.copyto(*given, **options)
            self.tape.add(Call(given[0], np.copyto, given, options))
            return None
        if "out" in options:
            self.tape.escape(f"{function.__name__} with out")
        if function is np.empty_like:
            return self.tape.new(np.empty_like(*given, **options, subok=False))
        if function in _FILLING and len(given) > 2:
            self.tape.escape(f"{function.__name__} into an array")
        elif function in _FILLING:
            got = np.asarray(function(*given, **options))
            self.tape.add(_filling(function, given, got, options))
            return self.tape.new(got)
        return self.tape.result(function, *given, **options)

    def __setitem__(self, key: Any, value: Any) -> None:
        target = plain(self)
        target[plain(key)] = plain(value)
        self.tape.add(Call(target, setitem, (target, plain(key), plain(value))))

    def __bool__(self) -> bool:
        source = plain(self)
        self.tape.add(Call(None, _ask, (source, bool(source))))
        return bool(source)


def plain(value: Any) -> Any:
    """Noted arrays as ordinary ones, also inside tuples and lists; anything else as it is."""
    if isinstance(value, Noted):
        return Array.view(value, Array) if value.plain is None else value.plain
    if isinstance(value, tuple | list):
        return type(value)(map(plain, value))
    return value


def _ask(source: Array, expected: bool) -> None:
    if bool(source) is not expected:
        raise DivergedError


def _is_view(got: Any, sources: Sequence[Array]) -> bool:
    """Whether an array looks at the memory of one of these."""
    return isinstance(got, Array) and any(np.may_share_memory(got, each) for each in sources)


def _all_arrays(values: Iterable[Any]) -> Iterator[Array]:
    for value in values:
        if isinstance(value, Array):
            yield value
        elif isinstance(value, tuple | list):
            yield from _all_arrays(value)
        elif isinstance(value, dict):
            yield from _all_arrays(value.values())


def _each_array(value: Any, change: Callable[[Array], Array]) -> Any:
    """The value with another array for each, also inside tuples, lists and options."""
    if isinstance(value, Array):
        return change(value)
    if isinstance(value, tuple | list):
        return type(value)(_each_array(each, change) for each in value)
    if isinstance(value, dict):
        return {name: _each_array(each, change) for name, each in value.items()}
    return value


def _made_again(
    got: Array, function: Callable[..., Any], given: tuple[Any, ...], options: dict[str, Any]
) -> Call:
    """The call that fills an array again with what a function gave."""
    if function in (Array.copy, Array.astype):
        return Call(got, np.copyto, (got, given[0]), {"casting": "unsafe"})
    if function in (np.zeros_like, np.ones_like):
        return Call(got, np.copyto, (got, float(function is np.ones_like)), {"casting": "unsafe"})
    if function is Array.reshape and not options and got.flags.c_contiguous:
        return Call(got, np.copyto, (got.reshape(given[0].shape), given[0]))
    return Call(got, _fill, (got, function, given, options))


def _fill(
    target: Array, function: Callable[..., Any], given: tuple[Any, ...], options: dict[str, Any]
) -> None:
    got = function(*given, **options)
    if np.shape(got) != target.shape:  # as many numbers as there are different ones, say
        raise DivergedError
    np.copyto(target, got)


def _constant(given: tuple[Any, ...]) -> tuple[Any, ...]:
    """Python's numbers as the arrays that numpy would make of them at every call."""
    floats = [each.dtype for each in given if isinstance(each, Array) and each.dtype.kind == "f"]
    if not floats:
        return given
    return tuple(
        np.asarray(each, dtype=floats[0]) if type(each) in (int, float) else each for each in given
    )


def _again(
    ufunc: np.ufunc, method: str, given: tuple[Any, ...], filled: Array, options: dict[str, Any]
) -> Call:
    """The call that fills an array again; without names where it can be, which is faster."""
    if method == "__call__" and not options and ufunc not in _OUT_BY_NAME:
        return Call(filled, ufunc, (*given, filled))
    if method == "reduce" and options.keys() <= {"axis", "keepdims"}:
        axis, keepdims = options.get("axis", 0), options.get("keepdims", False)
        return Call(filled, ufunc.reduce, (*given, axis, None, filled, keepdims))
    return Call(filled, getattr(ufunc, method), given, {**options, "out": filled})


def _filling(
    function: Callable[..., Any], given: tuple[Any, ...], filled: Array, options: dict[str, Any]
) -> Call:
    """The same for a function; a product of two matrices is common, and its names take time."""
    if function is np.dot and not options:
        return Call(filled, function, (*given, filled))
    return Call(filled, function, given, {**options, "out": filled})


def _noting(name: str) -> Callable[..., Any]:
    def method(array: Noted, *args: Any, **options: Any) -> Any:
        given = {key: plain(each) for key, each in options.items()}
        return array.tape.result(getattr(Array, name), *plain((array, *args)), **given)

    return method


def _escaping(name: str) -> Callable[..., Any]:
    def method(array: Noted, *args: Any, **options: Any) -> Any:
        array.tape.escape(f"ndarray.{name}")
        return getattr(plain(array), name)(*args, **options)

    return method


for _name in _METHODS:
    setattr(Noted, _name, _noting(_name))
for _name in _ESCAPES:
    setattr(Noted, _name, _escaping(_name))
Noted.T = property(lambda array: array.transpose())  # type: ignore[assignment,method-assign]
