"""How an engine is found by its name, its module or its file, and what a config may ask of it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from copy import copy
from dataclasses import replace
from pathlib import Path

import pytest

from harness import backends, config_files
from harness.backends.printing import caught
from harness.backends.skeletons import adapter
from harness.errors import BackendError, NotSupportedError, UsageError
from harness.preparation import (
    known_to,
    lacking,
    not_offered,
    prepare,
    unknown_to_the_harness,
)
from tests.broken_engine import write
from tests.examples import small_file
from tests.small_engines import only


@pytest.fixture(autouse=True)
def _path_and_modules_stay(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What an adapter makes importable is forgotten after the test."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_available_names_what_has_a_backend_and_imports_nothing() -> None:
    before = set(sys.modules)
    found = backends.available.__wrapped__()

    assert "numpy" in found
    assert not {"base", "foreign", "adapter", "printing", "skeletons"} & set(found)
    assert set(sys.modules) == before


def test_a_file_is_imported_once_and_found_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path)
    monkeypatch.chdir(tmp_path)
    found = backends.load("./mylib_backend.py")
    place = backends.located("mylib_backend.py")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    assert (found.name, found.version) == ("mylib", "0.1")
    assert backends.load(place) is found
    assert backends.load("../mylib_backend.py") is found
    assert backends.located("numpy") == "numpy"


def test_two_files_of_one_name_are_two_engines(tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
        write(folder, ('version = "0.1"', f'version = "of {folder.name}"'))

    found = [backends.load(str(folder / "mylib_backend.py")).version for folder in folders]

    assert found == ["of a", "of b"]


def test_an_adapter_may_import_what_stands_beside_it(tmp_path: Path) -> None:
    (tmp_path / "numbers_of_mylib.py").write_text("VERSION = '7'\n", encoding="utf-8")
    beside = "import numbers_of_mylib\nimport numpy as np\n"
    changes = (("version = \"0.1\"", "version = numbers_of_mylib.VERSION"),
               ("import numpy as np\n", beside))  # fmt: skip
    file = write(tmp_path, *changes)

    assert backends.load(str(file)).version == "7"


def test_a_dotted_module_is_looked_for_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pkg_of_test").mkdir()
    text = adapter("other").replace('name = "other"', 'name = "dotted"')
    (tmp_path / "pkg_of_test" / "engine.py").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    assert backends.load("pkg_of_test.engine").name == "dotted"


@pytest.mark.parametrize("value", ["announced_engine", "announced_engine:BACKEND"])
def test_an_installed_package_may_announce_an_engine(value: str, tmp_path: Path) -> None:
    (tmp_path / "announced_engine.py").write_text(adapter("announced"), encoding="utf-8")
    info = tmp_path / "announced_engine-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: announced-engine\nVersion: 1\n", encoding="utf-8")
    points = f"[harness.backends]\nannounced = {value}\n"
    (info / "entry_points.txt").write_text(points, encoding="utf-8")
    sys.path.insert(0, str(tmp_path))

    assert list(backends.announced()) == ["announced"]
    assert backends.load("announced").name == "announced"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("numpi", "unknown backend 'numpi'. Did you mean 'numpy'?"),
        ("mylib", "unknown backend 'mylib'. Did you mean ./mylib_backend.py?"),
        ("./mylib_backened.py", "backend mylib_backened.py is not there. Did you mean "
                                "'mylib_backend.py'?"),
        ("./", "backend . is not a .py file."),
    ],
)  # fmt: skip
def test_a_name_that_no_engine_has_is_a_sentence(
    name: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught_:
        backends.load(name)

    assert caught_.value.message == sentence


def test_a_module_that_is_nowhere_is_a_sentence() -> None:
    with pytest.raises(BackendError, match="there is no module nowhere_at_all, neither installed"):
        backends.load("nowhere_at_all.engine")


def test_a_file_must_not_hide_a_module(tmp_path: Path) -> None:
    file = tmp_path / "json.py"
    file.write_text(adapter("mylib"), encoding="utf-8")
    with pytest.raises(BackendError, match="its name hides the module json") as caught_:
        backends.load(str(file))

    assert caught_.value.hint == "Rename it, such as json_backend.py."


def test_a_key_that_is_no_name_is_told(tmp_path: Path) -> None:
    engine = write(tmp_path, ('layers={"Linear": Linear}', "layers={3: Linear}"))
    with pytest.raises(BackendError) as caught_:
        backends.load(str(engine))

    assert caught_.value.message.endswith(
        "namespace.layers has the key 3, expected one of PyTorch's names, as a text"
    )


def test_an_import_that_raises_something_without_a_text_is_told_by_its_type(tmp_path: Path) -> None:
    file = tmp_path / "mute_backend.py"
    text = "class MuteError(Exception):\n    def __str__(self):\n        raise RuntimeError\n\n"
    file.write_text(f"{text}raise MuteError\n", encoding="utf-8")
    with pytest.raises(BackendError) as caught_:
        backends.load(str(file))

    assert caught_.value.message.endswith(
        "mute_backend.py:5: importing it raised MuteError: (its __str__ raised RuntimeError)"
    )


@pytest.mark.parametrize("name", ["torch", "mygrad", "autograd"])
def test_a_shipped_engine_without_its_library_says_what_to_install(name: str) -> None:
    # In a process of its own: this one may have imported the library long ago.
    code = (
        f"import sys; sys.modules[{name!r}] = None\n"
        "from harness import backends, errors\n"
        "try:\n"
        f"    backends.load({name!r})\n"
        "except errors.UsageError as error:\n"
        "    print(error.message); print(error.hint)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)

    assert done.stdout.splitlines() == [
        f"backend '{name}' needs the package {name}, which is not installed",
        f"Install it with: pip install 'milestone-harness[{name}]'",
    ], done.stderr


# --- what a config may ask for ----------------------------------------------------------------


def test_what_an_engine_lacks_is_named_with_its_kind(tmp_path: Path) -> None:
    engine = backends.load(str(write(tmp_path)))
    changes = (("optimizer: SGD\n", "optimizer: SGD\n  momentum: 0.9\n"),
               ("loss: BCEWithLogitsLoss", "loss: MSELoss"))  # fmt: skip
    loaded = config_files.load(small_file(tmp_path, *changes), known_to(engine))

    right = ["layer Tanh", "loss MSELoss", "argument momentum of SGD"]
    assert lacking(loaded, engine) == right
    with pytest.raises(NotSupportedError) as caught_:
        prepare(loaded, engine)
    assert caught_.value.lacks == tuple(right)
    assert caught_.value.exit_code == 1


def test_name_that_is_nearly_the_one_that_lacks_is_told(tmp_path: Path) -> None:
    engine = copy(backends.load("numpy"))
    layers = {**engine.namespace.layers}
    layers["tanH"] = layers.pop("Tanh")
    optimizers = {name: each for name, each in engine.namespace.optimizers.items() if name != "SGD"}
    engine.namespace = replace(engine.namespace, layers=layers, optimizers=optimizers)
    loaded = config_files.load(small_file(tmp_path), known_to(engine))

    # Adam is one of the harness's own names: no other is meant by it.
    assert lacking(loaded, engine) == ["layer Tanh (it has 'tanH')", "optimizer SGD"]


def test_what_the_harness_does_not_know_is_listed_by_name() -> None:
    def strange(x: object) -> object:
        return x

    engine = only(ops={"expp": strange, "exp": strange}, layers={"Zzz": strange})

    assert unknown_to_the_harness(engine) == [
        "unknown layer Zzz", "unknown op expp (Did you mean 'exp'?)",
    ]  # fmt: skip
    assert unknown_to_the_harness(backends.load("numpy")) == []


def test_the_harness_own_engine_lacks_nothing_of_what_a_config_may_name(tmp_path: Path) -> None:
    engine = backends.load("numpy")

    assert lacking(config_files.load(small_file(tmp_path), known_to(engine)), engine) == []
    assert not_offered(engine) == []


def test_an_argument_that_only_the_chosen_engine_takes_is_no_mistake(tmp_path: Path) -> None:
    start = "def __init__(self, in_features, out_features, rng=None"
    engine = backends.load(str(write(tmp_path, (start, f"{start}, gain=1.0"))))
    text = small_file(tmp_path).read_text(encoding="utf-8")
    file = tmp_path / "small.yaml"
    file.write_text(text.replace("out_features: 1}", "out_features: 1, gain: 2.0}"), "utf-8")

    assert lacking(config_files.load(file, known_to(engine)), engine) == ["layer Tanh"]


def test_what_the_checks_know_and_an_engine_does_not_offer_is_told() -> None:
    found = not_offered(only(ops={"add": lambda a, b: a + b}))

    assert "op add" not in found
    assert {"op matmul", "layer Linear", "loss MSELoss"} <= set(found)


def test_what_is_printed_is_caught_at_both_levels(capfd: pytest.CaptureFixture[str]) -> None:
    import os

    with caught() as printed:
        print("above")
        os.write(1, b"below")
    print("after")

    assert printed() == "above\nbelow"
    assert capfd.readouterr().out == "after\n"


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
