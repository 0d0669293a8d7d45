"""Says whether a step hangs on nothing but its numbers, so that it may be run again unseen.

A step that counts its calls, draws at random or keeps a running mean must be run as it is
written. Two things are asked while it runs once: whose code is it, and is anything that it
can reach another thing afterwards?
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FrameType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from harness.autograd.memory import owner
from harness.autograd.tensor import Tensor

# Python's own code that the engine calls, and what dataclasses write.
_HELPERS = ("contextlib.py", "functools.py", "<string>")
_OWN = (str(Path(__file__).parent), str(Path(np.__file__).parent))
_PLAIN = (bool, int, float, complex, str, bytes, type(None))
_OPAQUE = (type, ModuleType, CodeType, BuiltinFunctionType, np.dtype, np.ufunc)


def is_own(file: str) -> bool:
    """Whether a file is the engine's, numpy's, or one of Python's that they need."""
    return file.startswith(_OWN) or file.endswith(_HELPERS)


class Witness:
    """Watches a step from beginning to end; `is_pure` is the answer.

    `trusts` says of a file whether what is in it keeps nothing that cannot be reached from the
    step or from its own module. `numbers` are arrays that a step may change.
    """

    def __init__(
        self, step: object, numbers: Iterable[np.ndarray], trusts: Callable[[str], bool]
    ) -> None:
        self._step, self._trusts = step, trusts
        self._numbers = {id(owner(each)) for each in numbers}
        self._seen: dict[int, CodeType] = {}
        self._globals: dict[int, tuple[dict[str, Any], list[Any]]] = {}
        self._has_strangers = False
        self.is_pure = False

    def __enter__(self) -> Witness:
        self._is_free = sys.getprofile() is None  # one can listen at a time
        self._before = self._state(self._step)
        if self._is_free:
            sys.setprofile(self._listen)
        return self

    def __exit__(self, *error: object) -> None:
        if self._is_free:
            sys.setprofile(None)
        is_still = self._state(self._step) == self._before and all(
            _variables(names) == before for names, before in self._globals.values()
        )
        self.is_pure = self._is_free and not self._has_strangers and is_still

    def _listen(self, frame: FrameType, event: str, argument: object) -> None:
        code = frame.f_code
        # By id: to tell whether two codes are equal takes longer than to run them.
        if event != "call" or id(code) in self._seen or code is Witness.__exit__.__code__:
            return
        self._seen[id(code)] = code
        if not self._trusts(code.co_filename):
            self._has_strangers = True
        elif id(frame.f_globals) not in self._globals and "numpy" not in code.co_filename:
            names = frame.f_globals
            self._globals[id(names)] = names, _variables(names)

    def _state(self, root: object) -> list[Any]:
        """All numbers and texts that can be reached from here, but those of the step itself."""
        found: list[Any] = []
        seen: set[int] = set()
        waiting: list[Any] = [root]
        while waiting:
            value = waiting.pop()
            if isinstance(value, _PLAIN):
                found.append(value)
            elif id(value) not in seen and not isinstance(value, _OPAQUE):
                seen.add(id(value))
                self._look(value, found, waiting)
        return found

    def _look(self, value: Any, found: list[Any], waiting: list[Any]) -> None:
        if isinstance(value, np.ndarray):
            if id(owner(value)) not in self._numbers and not value.dtype.hasobject:
                found.append((value.shape, zlib.crc32(value.tobytes())))
        elif isinstance(value, np.random.Generator):
            found.append(str(value.bit_generator.state))
        elif isinstance(value, Tensor):
            waiting += [value.data, value.requires_grad]
        elif isinstance(value, dict):
            found += [key for key in value if isinstance(key, _PLAIN)]
            waiting += value.values()
        elif isinstance(value, list | tuple | set | frozenset):
            found.append(len(value))
            waiting += value
        elif isinstance(value, MethodType):
            waiting += [value.__self__, value.__func__]
        elif isinstance(value, FunctionType):
            waiting += [vars(value), value.__defaults__, value.__kwdefaults__]
            waiting += [cell.cell_contents for cell in value.__closure__ or () if _is_full(cell)]
        elif hasattr(value, "__dict__"):
            waiting.append(vars(value))


def _variables(module: dict[str, Any]) -> list[Any]:
    """The numbers and texts of a module, also those one level down in what it has."""
    found: list[Any] = []
    for name, value in module.items():
        if isinstance(value, _PLAIN):
            found.append(value)
        elif isinstance(value, np.random.Generator):
            found.append(str(value.bit_generator.state))
        elif isinstance(value, np.ndarray):
            found.append(zlib.crc32(value.tobytes()))
        elif isinstance(value, list | dict | set) and not name.startswith("__"):
            inside = value.values() if isinstance(value, dict) else value
            found += [each if isinstance(each, _PLAIN) else id(each) for each in inside]
    return found


def _is_full(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False
