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

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NoReturn

import numpy as np

Array = np.ndarray

# numpy is about to take their third argument for one more input.
_OUT_BY_NAME = (np.maximum, np.minimum)
# Functions of arrays that fill one that is given, like ufuncs do.
_FILLING = (np.concatenate, np.dot, np.stack)
# Methods that give numbers or a view, of which numpy tells nobody.
_METHODS = (
    "__getitem__", "argmax", "argmin", "argsort", "astype", "copy", "cumsum", "diagonal", "dot",
    "flatten", "nonzero", "ravel", "repeat", "reshape", "round", "searchsorted", "take", "trace",
)  # fmt: skip
# Methods that take numbers out of numpy, or change an array unseen.
_ESCAPES = (
    "__complex__", "__float__", "__index__", "__int__", "byteswap", "choose", "compress", "fill",
    "item", "itemset", "partition", "put", "resize", "setfield", "sort", "tobytes", "tolist",
)  # fmt: skip


class NotRecordableError(Exception):
    """The step does something that its numpy calls do not show."""


class DivergedError(Exception):
    """A truth that was asked for while recording is another one now."""


class Tape:
    """The calls of one step in order, each a function and its arguments."""

    def __init__(self) -> None:
        self.calls: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []

    def noted(self, array: Array) -> Noted:
        """The same memory, as an array that tells this tape what is done with it."""
        view = array.view(Noted)
        view.tape = self
        return view

    def add(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Keep one more call."""
        self.calls.append((function, arguments))

    def run(self) -> None:
        """Do it all again, with the numbers that the arrays hold now."""
        for function, arguments in self.calls:
            function(*arguments)

    def result(self, compute: Callable[[], Any], sources: Sequence[Array]) -> Any:
        """What `compute` gives: a view of one of the sources, or numbers that it gives again."""
        got = compute()
        if isinstance(got, np.dtype):
            return got
        if isinstance(got, tuple | list):
            if not all(_is_view(each, sources) for each in got):
                raise NotRecordableError("a function with several results")
            return type(got)(map(self.noted, got))
        if not _is_view(got, sources):
            got = np.asarray(got)
            self.add(lambda: np.copyto(got, compute()))
        return self.noted(got)


class Noted(Array):
    """An array that tells its tape what is done with it."""

    tape: Tape

    def __array_finalize__(self, source: Array | None) -> None:
        if isinstance(source, Noted):
            self.tape = source.tape

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = (), **options: Any
    ) -> Any:
        if method == "at" or ufunc.nout > 1:
            raise NotRecordableError(f"{ufunc.__name__}.{method}")
        given = _constant(plain(inputs))
        options = {name: plain(value) for name, value in options.items()}
        into = {"out": plain(tuple(out))} if out else {}
        got = np.asarray(getattr(ufunc, method)(*given, **options, **into))
        filled = into["out"][0] if into else got
        self.tape.add(*_again(ufunc, method, given, filled, options))
        return out[0] if out else self.tape.noted(filled)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        given, options = plain(tuple(args)), {name: plain(each) for name, each in kwargs.items()}
        call = partial(function, *given, **options)
        if function is np.copyto:
            call()
            self.tape.add(call)
            return None
        if "out" in options:
            raise NotRecordableError(f"{function.__name__} with out")
        if function is np.empty_like:
            return self.tape.noted(call(subok=False))
        if function in _FILLING and isinstance(got := call(), Array):
            self.tape.add(partial(call, out=got))
            return self.tape.noted(got)
        return self.tape.result(call, list(_arrays((given, tuple(options.values())))))

    def __setitem__(self, key: Any, value: Any) -> None:
        target = self.view(Array)
        target[plain(key)] = plain(value)
        self.tape.add(target.__setitem__, plain(key), plain(value))

    def __bool__(self) -> bool:
        source = self.view(Array)
        self.tape.add(_ask, source, bool(source))
        return bool(source)


def plain(value: Any) -> Any:
    """Noted arrays as ordinary ones, also inside tuples and lists; anything else as it is."""
    if isinstance(value, Noted):
        return value.view(Array)
    if isinstance(value, tuple | list):
        return type(value)(map(plain, value))
    return value


def _ask(source: Array, expected: bool) -> None:
    if bool(source) is not expected:
        raise DivergedError


def _is_view(got: Any, sources: Sequence[Array]) -> bool:
    """Whether an array looks at the memory of one of these."""
    return isinstance(got, Array) and any(np.may_share_memory(got, each) for each in sources)


def _arrays(value: Any) -> Iterator[Array]:
    """An array, or all that are inside tuples and lists."""
    if isinstance(value, Array):
        yield value
    elif isinstance(value, tuple | list):
        for each in value:
            yield from _arrays(each)


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
) -> tuple[Any, ...]:
    """The call that fills an array again; without names where it can be, which is faster."""
    if method == "__call__" and not options and ufunc not in _OUT_BY_NAME:
        return (ufunc, *given, filled)
    if method == "reduce" and options.keys() <= {"axis", "keepdims"}:
        axis, keepdims = options.get("axis", 0), options.get("keepdims", False)
        return (ufunc.reduce, *given, axis, None, filled, keepdims)
    return (partial(getattr(ufunc, method), *given, **options, out=filled),)


def _noting(name: str) -> Callable[..., Any]:
    def method(array: Noted, *args: Any, **options: Any) -> Any:
        source = array.view(Array)
        given = {key: plain(each) for key, each in options.items()}
        return array.tape.result(partial(getattr(source, name), *plain(args), **given), [source])

    return method


def _escaping(name: str) -> Callable[..., Any]:
    def method(array: Noted, *args: Any, **options: Any) -> NoReturn:
        raise NotRecordableError(f"ndarray.{name}")

    return method


for _name in _METHODS:
    setattr(Noted, _name, _noting(_name))
for _name in _ESCAPES:
    setattr(Noted, _name, _escaping(_name))
