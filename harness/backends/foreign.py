"""Engines from elsewhere: import an adapter, and hold it against what every adapter must be.

Whatever is wrong with one becomes a BackendError that says where, what came, what was expected
and what to do. An adapter may do anything while it is imported.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Collection
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.metadata import EntryPoint
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any
from zlib import crc32

from harness.backends.adapter import require_adapter, require_other_name
from harness.backends.base import Backend, Place, shown_path
from harness.backends.printing import caught, first_line
from harness.errors import BackendError, HarnessError, UsageError, did_you_mean
from harness.raised import text_of

_START = "`harness backend new NAME` writes an adapter that works, to start from."


def is_path(name: str) -> bool:
    """Whether a name is a path to a file, such as ./mylib_backend.py."""
    return name.endswith(".py") or "/" in name or os.sep in name


def standing_beside(name: str) -> str:
    """A question with the file that a name may stand for; "" where there is none here."""
    found = [file for file in (f"{name}.py", f"{name}_backend.py") if Path(file).is_file()]
    return f" Did you mean ./{found[0]}?" if found else ""


def backend_of_file(file: Path, shipped: Collection[str]) -> Backend:
    """The engine of an adapter's file, imported once in a process; its folder is importable."""
    shown = shown_path(str(file))
    _require_file(file, shown)
    name = _module_name(file)
    if name not in sys.modules:
        _require_own_name(file, shown)
        _make_importable(file.parent)
        _imported(shown, lambda: _execute(name, file))
    return _checked(shown, sys.modules[name], shipped)


def backend_of_module(name: str, shipped: Collection[str]) -> Backend:
    """The engine of a dotted module, installed or below the current folder."""
    _make_importable(Path.cwd())
    return _checked(name, _imported(name, lambda: import_module(name)), shipped)


def backend_of_point(point: EntryPoint, shipped: Collection[str]) -> Backend:
    """The engine that an installed package announces: a `Backend`, or a module that has one."""
    where = f"{point.name} ({point.value})"
    found = _imported(where, point.load)
    if isinstance(found, ModuleType):
        return _checked(where, found, shipped)
    return _held(where, found, shipped)


# --- finding it -------------------------------------------------------------------------------


def _require_file(file: Path, shown: str) -> None:
    if file.is_file() and file.suffix == ".py":
        return
    beside = sorted(each.name for each in file.parent.glob("*.py"))
    what = "is not a .py file" if file.exists() else "is not there"
    raise UsageError(f"backend {shown} {what}.{did_you_mean(file.name, beside)}", _START)


def _module_name(file: Path) -> str:
    """What a file is called in `sys.modules`: no other file is."""
    return f"{file.stem}_{crc32(str(file).encode()):08x}"


def _require_own_name(file: Path, shown: str) -> None:
    """A file called torch.py would be what `import torch` finds inside it.

    Of two adapters' files with one name, neither is imported by that.
    """
    elsewhere = [each for each in sys.path if Path(each).resolve() != file.parent]
    found = PathFinder.find_spec(file.stem, elsewhere) if file.stem.isidentifier() else None
    origin = found.origin if found else None
    if origin is not None and _module_name(Path(origin).resolve()) not in sys.modules:
        raise BackendError(
            f"{shown}: its name hides the module {file.stem}, as its folder is looked in first",
            f"Rename it, such as {file.stem}_backend.py.",
        )


def _make_importable(folder: Path) -> None:
    """First, as for a script: what is worked on here counts before what is installed."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def _execute(name: str, file: Path) -> ModuleType:
    spec = spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


# --- importing it -----------------------------------------------------------------------------


def _imported(shown: str, load: Callable[[], Any]) -> Any:
    """What `load` gives; BackendError for all that may go wrong, and for what it prints."""
    try:
        with caught() as printed:
            found = load()
    except KeyboardInterrupt:
        raise
    except HarnessError:  # it says itself what it lacks
        raise
    except BaseException as error:  # SystemExit, too: an adapter may raise anything
        raise _why(shown, error) from error
    if printed():
        raise BackendError(
            f"{shown}: it printed {first_line(printed())} to stdout while it was imported, and "
            "was expected to print nothing",
            "Print to stderr instead: stdout is where the results go.",
        )
    return found


def _why(shown: str, error: BaseException) -> BackendError:
    """What an import raised, with the line of the adapter that did it."""
    if isinstance(error, SyntaxError) and error.filename:
        place = Place(error.filename, error.lineno or 0, "")
        return BackendError(f"{place}: it is not Python: {error.msg}", _START)
    place_ = _raised_at(error)
    if isinstance(error, TypeError) and "abstract class" in text_of(error):
        lacks = sorted(name for name in Backend.__abstractmethods__ if _names(str(error), name))
        return BackendError(
            f"{place_ or shown}: the backend lacks {', '.join(lacks)}, which is asked of every "
            "engine",
            "harness/backends/base.py says what each function is to do. " + _START,
        )
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    if missing and f"{shown}.".startswith(f"{missing}."):
        return BackendError(
            f"there is no module {missing}, neither installed nor in the current folder",
            "A path to a .py file works too. " + _START,
        )
    text = text_of(error)
    said = f": {text}" if text else ""
    return BackendError(
        f"{place_ or shown}: importing it raised {type(error).__name__}{said}",
        "It must import where the harness runs; its own folder and the current one are looked in.",
    )


def _names(text: str, name: str) -> bool:
    words = text.replace("'", " ").replace(",", " ").split()
    return name in words


def _raised_at(error: BaseException) -> str:
    """The last line that is not of Python's own machinery for imports."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [each for each in frames if not each.filename.startswith("<frozen") and each.line]
    own = [each for each in own if Path(each.filename).parent != Path(__file__).parent]
    own = [each for each in own if "importlib" not in Path(each.filename).parts]
    return str(Place(own[-1].filename, own[-1].lineno or 0, "")) if own else ""


# --- what it must have ------------------------------------------------------------------------


def _checked(shown: str, module: ModuleType, shipped: Collection[str]) -> Backend:
    if not hasattr(module, "BACKEND"):
        made = [name for name, value in vars(module).items() if isinstance(value, Backend)]
        instead = f", though its {made[0]} is one" if made else ""
        raise BackendError(
            f"{shown}: it has no BACKEND{instead}; expected an instance of a class of its own "
            "that extends harness.backends.base.Backend",
            f"End the file with BACKEND = {made[0] if made else 'MyBackend()'}. {_START}",
        )
    return _held(shown, module.BACKEND, shipped)


def _held(shown: str, found: object, shipped: Collection[str]) -> Backend:
    backend = require_adapter(shown, found)
    require_other_name(shown, backend, shipped)
    return backend
