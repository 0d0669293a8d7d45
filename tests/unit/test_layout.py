"""Who may import whom, and what every file must be like: read from the source, nothing run."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from tests.examples import NAMES, ROOT

PACKAGE = ROOT / "harness"
FILES = sorted(PACKAGE.rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))

# From the bottom to the top: a file imports from its own level or from below it.
# streams, arguments, yaml_source and metrics are helpers beside config; preparation stands
# beside training; provenance is a part of the scorecard; session is what the cli calls.
LEVELS = [
    ["harness", "errors", "raised", "told_apart", "atomic_files", "explanation", "fingerprints",
     "json_files", "measurement", "record", "curves", "bands", "checks.base"],
    [
        "resources",
        "on_record",
        "provenance",
        "streams",
        "arguments",
        "metrics",
        "oracles",
        "yaml_source",
        "plain_reading",
        "config_problems",
        "config",
        "config_files",
    ],
    ["autograd", "backends", "datasets"],
    ["model"],
    ["watches", "evaluation", "training", "preparation", "costs"],
    ["probes", "references"],
    ["faults"],
    ["checks"],
    ["scorecard", "statistics"],
    ["results", "kill_matrix", "comparison"],
    ["executors", "workers", "runner", "explaining", "comparing", "history"],
    ["noise"],
    ["calibrating", "session", "selftest", "branches", "resident", "bench", "conformance",
     "reports", "side_by_side"],
    ["terminal"],
    ["verbs"],
    ["cli", "__main__"],
]  # fmt: skip
# Narrower than their level: all that these may import of the harness.
ONLY = {
    "errors": set[str](),
    "raised": set[str](),
    "told_apart": set[str](),
    "atomic_files": set[str](),
    "explanation": set[str](),
    "measurement": set[str](),
    "record": {"measurement"},
    "curves": {"record"},
    "bands": {"curves"},
    "on_record": {"atomic_files", "resources", "errors"},
    "checks.base": set[str](),
    "autograd": {"autograd"},
    "metrics": set[str](),
    "oracles": {"oracles"},
    "streams": set[str](),
    "executors": {"errors", "raised"},
    "workers": {"errors"},
    "provenance": {"harness", "errors"},
    "checks": {"checks", "checks.base", "bands", "curves", "config", "measurement", "record",
               "errors", "told_apart"},
    "training": {"arguments", "backends", "config", "datasets", "errors", "evaluation",
                 "metrics", "model", "watches", "record", "streams"},
    "fingerprints": set[str](),
    "statistics": set[str](),
    "json_files": {"atomic_files", "errors"},
    "comparison": {"errors", "json_files", "provenance"},
    "comparing": {"comparing", "comparison", "errors", "on_record", "provenance", "record",
                  "scorecard", "statistics"},
    "history": {"history", "scorecard", "errors", "atomic_files"},
    "kill_matrix": {"checks.base", "faults"},
    "reports": {"reports", "bench", "conformance", "scorecard", "comparison", "history",
                "json_files", "explanation", "preparation", "errors", "checks.base", "kill_matrix",
                "faults", "on_record"},
}  # fmt: skip
LAZY = {"junitparser", "torch", "jax", "sklearn", "scipy", "dask", "jinja2", "joblib"}


def name_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(file): file for file in FILES}


@cache
def tree_of(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """Every node but those that only a type checker sees."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        yield child
        yield from statements(child)


def imports(file: Path) -> set[str]:
    """The full names of all modules that a file imports, wherever in it."""
    found = set()
    for node in statements(tree_of(file)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file.name}: imports are absolute"
            module = node.module or ""
            full = {f"{module}.{alias.name}" for alias in node.names}
            found |= full & MODULES.keys() or {module}
    return found


def own_imports(file: Path) -> set[str]:
    return {name for name in imports(file) if name.split(".")[0] == "harness"}


def place_of(module: str) -> str:
    """The entry of the table that a module belongs to: the longest that fits."""
    short = module.removeprefix("harness.")
    known = [name for level in LEVELS for name in level]
    fitting = [name for name in known if short == name or short.startswith(f"{name}.")]
    assert fitting, f"{module} has no place in the table of layers; see design.md"
    return max(fitting, key=len)


def level_of(module: str) -> int:
    return next(i for i, level in enumerate(LEVELS) if place_of(module) in level)


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down_the_table_of_layers(module: str) -> None:
    upward = [name for name in own_imports(MODULES[module]) if level_of(name) > level_of(module)]
    assert not upward, f"{module} imports {upward}, which stand above it"


@pytest.mark.parametrize("module", MODULES)
def test_narrow_modules_import_only_what_is_theirs(module: str) -> None:
    allowed = ONLY.get(place_of(module))
    if allowed is not None:
        found = {place_of(name) for name in own_imports(MODULES[module])}
        assert found <= allowed, f"{module} may not import {found - allowed}"


def test_imports_make_no_circle() -> None:
    waiting = {name: own_imports(file) - {name} for name, file in MODULES.items()}
    while free := [name for name, needs in waiting.items() if not needs & waiting.keys()]:
        for name in free:
            del waiting[name]
    assert not waiting, f"in or behind a circle: {sorted(waiting)}"


def test_only_the_numpy_backend_and_the_faults_inside_it_import_the_engine() -> None:
    users = {
        name
        for name, file in MODULES.items()
        if place_of(name) not in ("autograd", "faults")
        and any(other.startswith("harness.autograd") for other in own_imports(file))
    }
    assert users == {"harness.backends.numpy"}


def test_nobody_imports_the_cli() -> None:
    users = {name for name, file in MODULES.items() if "harness.cli" in own_imports(file)}
    assert users == {"harness.__main__"}


@pytest.mark.parametrize("module", [m for m in MODULES if place_of(m) == "autograd"])
def test_engine_imports_numpy_and_the_standard_library_only(module: str) -> None:
    packages = {name.split(".")[0] for name in imports(MODULES[module])}
    assert packages - sys.stdlib_module_names <= {"numpy", "harness"}


@pytest.mark.parametrize("module", ["errors", "record", "checks.base"])
def test_bottom_layer_imports_numpy_and_the_standard_library_only(module: str) -> None:
    packages = {name.split(".")[0] for name in imports(MODULES[f"harness.{module}"])}
    assert packages - sys.stdlib_module_names <= {"numpy", "harness"}


@pytest.mark.parametrize("module", MODULES)
def test_costly_packages_are_imported_where_they_are_used(module: str) -> None:
    at_start = {
        name.split(".")[0]
        for node in tree_of(MODULES[module]).body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else
                     [alias.name for alias in node.names])
    }  # fmt: skip
    # An engine's adapter is imported when it is asked for, and cannot do without its engine.
    assert not at_start & LAZY - {*module.split(".")}


def modules_after(code: str, cwd: Path) -> set[str]:
    """Top-level packages that a fresh interpreter holds after running `code`."""
    script = f"import sys\n{code}\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=cwd, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    held = modules_after(
        "from harness.cli import cli\ncli(['run', '--help'], standalone_mode=False)", tmp_path
    )
    assert "click" in held
    assert not held & {"numpy", "rich", "pydantic", "yaml", "tqdm", *LAZY}


def test_run_never_imports_scikit_learn(tmp_path: Path) -> None:
    held = modules_after(
        "from harness.cli import cli\ncli(['run', 'perceptron', 'xor'], standalone_mode=False)",
        tmp_path,
    )
    assert "numpy" in held
    assert not held & LAZY


# --- what a file is like -----------------------------------------------------------------


def relative(file: Path) -> str:
    return str(file.relative_to(ROOT))


@pytest.mark.parametrize("file", FILES, ids=relative)
def test_file_and_functions_are_short(file: Path) -> None:
    assert len(file.read_text(encoding="utf-8").splitlines()) <= 600
    lengths = {
        node.name: (node.end_lineno or 0) - node.lineno + 1
        for node in ast.walk(tree_of(file))
        if isinstance(node, ast.FunctionDef)
    }
    assert {name: length for name, length in lengths.items() if length > 60} == {}


@pytest.mark.parametrize("file", TESTS, ids=relative)
def test_test_file_is_short_and_runs_as_a_script(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400
    if file.name.startswith("test_"):
        _, _, script = text.partition('\nif __name__ == "__main__":')
        assert "raise SystemExit(pytest.main([" in script


@pytest.mark.parametrize("file", FILES, ids=relative)
def test_public_things_have_a_docstring(file: Path) -> None:
    tree = tree_of(file)
    public = [
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
    ]
    bare = [node.name for node in public if not ast.get_docstring(node)]
    assert ast.get_docstring(tree), f"{relative(file)} has no docstring"
    assert not bare


def with_all() -> list[str]:
    return [name for name, file in MODULES.items() if "__all__ = [" in file.read_text("utf-8")]


@pytest.mark.parametrize("name", with_all())
def test_all_is_exact_and_sorted(name: str) -> None:
    module = import_module(name)
    listed = list(module.__all__)
    public = {
        key
        for key, value in vars(module).items()
        if not key.startswith("_") and key != "annotations" and not isinstance(value, ModuleType)
    }
    things = {key for key in listed if not isinstance(getattr(module, key), ModuleType)}
    constants_first = sorted(listed, key=lambda key: (not key.isupper(), not key[0].isupper(), key))
    assert listed == constants_first
    assert {key for key in things if not key.startswith("__")} == public


def dotted(node: ast.AST) -> str:
    """np.random.seed -> "np.random.seed"."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([getattr(node, "id", ""), *parts[::-1]])


def uses(file: Path) -> set[str]:
    return {dotted(n) for n in ast.walk(tree_of(file)) if isinstance(n, ast.Attribute | ast.Name)}


def at_the_surface(file: Path) -> bool:
    """What the user's shell talks to: the command, its verbs, and what they share."""
    return relative(file) in ("harness/cli.py", "harness/terminal.py") or "verbs" in file.parts


@pytest.mark.parametrize("file", FILES, ids=relative)
def test_only_cli_and_reports_print(file: Path) -> None:
    if not at_the_surface(file) and "reports" not in file.parts:
        assert not uses(file) & {"print", "sys.stdout", "sys.stderr"}


@pytest.mark.parametrize("file", FILES, ids=relative)
def test_nobody_draws_from_global_random_state(file: Path) -> None:
    if relative(file) == "harness/probes/global_randomness.py":
        return  # it looks at that state, and sets it, to find out who else draws from it
    allowed = {"default_rng", "Generator", "SeedSequence"}
    if file.parent.name == "datasets" or relative(file) == "harness/oracles/recipes.py":
        allowed.add("RandomState")  # its numbers are frozen across numpy versions
    drawn = {name.split(".")[2] for name in uses(file) if name.startswith("np.random.")}
    assert drawn <= allowed
    assert "random" not in {name.split(".")[0] for name in imports(file)}


@pytest.mark.parametrize("file", FILES, ids=relative)
def test_only_the_cli_reads_the_environment(file: Path) -> None:
    if not at_the_surface(file):
        assert not uses(file) & {"os.environ", "os.getenv"}


@pytest.mark.parametrize("file", [f for f in FILES if "autograd" in f.parts], ids=relative)
def test_engine_has_no_slow_numpy_calls(file: Path) -> None:
    assert not uses(file) & {"np.add.at", "np.where", "np.einsum"}


@pytest.mark.parametrize("file", [f for f in FILES if "faults" not in f.parts], ids=relative)
def test_no_code_knows_a_milestone_by_name(file: Path) -> None:
    """But for the faults, which say whom they touch."""
    words = {node.value for node in ast.walk(tree_of(file)) if isinstance(node, ast.Constant)}
    assert not words & set(NAMES)


def test_no_file_mentions_a_place_on_somebodys_machine() -> None:
    folders = ["harness", "tests", "configs", "milestones", "data", ".ci", ".github"]
    files = [file for folder in folders for file in (ROOT / folder).rglob("*") if file.is_file()]
    files += [file for file in ROOT.iterdir() if file.is_file()]
    places = [f"/{word}/" for word in ("work", "home", "Users", "root")]
    found = {
        relative(file): place
        for file in files
        if file.suffix not in (".npz", ".pyc", ".png")
        and not {".hypothesis", "node_modules"} & {*file.parts}
        for place in places
        if place in file.read_text(encoding="utf-8")
    }
    assert found == {}


def test_pins_are_hashed_and_name_no_address() -> None:
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    entries = re.findall(r"^(\S+==\S+).*?(?=^\S|\Z)", text, flags=re.MULTILINE | re.DOTALL)
    hashed = re.findall(r"^(\S+==\S+)[^\n]*\\\n    --hash=sha256:[0-9a-f]{64}", text, re.MULTILINE)
    assert hashed == entries
    assert {"numpy", "pytest", "hatchling"} <= {entry.split("==")[0] for entry in entries}
    assert not re.search(r"https?://|file:|--index-url|--find-links", text)


def test_ci_runs_the_tests_the_linters_and_the_milestones() -> None:
    text = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "set -euo pipefail" in text
    assert re.search(r"test lint run", text)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
