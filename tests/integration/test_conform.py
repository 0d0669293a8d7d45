"""`harness conform` as its users run it: engines in files, what dies, and files that reproduce."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness import backends
from harness.conformance import xfails as files
from harness.conformance.listing import all_cases
from tests.examples import ROOT
from tests.junit_rules import outcomes, sound

# The worker processes of pytest-xdist have a thread of their own while they fork.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
Harness = Callable[..., tuple[int, str, str]]

BEGINNING = '''
"""The harness's own engine with something wrong."""
import os, time
from copy import copy
from dataclasses import replace
from harness import backends
from harness.autograd import nn, optim

NUMPY = backends.load("numpy")
OPS = NUMPY.namespace.ops


def scaled(op, position, factor):
    """The op with one gradient times a factor."""
    def changed(*inputs, **arguments):
        y = op(*inputs, **arguments)
        if y._grad_fn is not None:
            right = y._grad_fn.apply
            def apply(grad_output):
                return tuple(factor * g if i == position and g is not None else g
                             for i, g in enumerate(right(grad_output)))
            y._grad_fn.apply = apply
        return y
    return changed


class Bent(nn.Tanh):
    def forward(self, x):
        return super().forward(x) * 1.01


class Hasty(optim.SGD):
    def step(self):
        lr, self.lr = self.lr, 2.0 * self.lr
        super().step()
        self.lr = lr


def engine(ops=(), layers=(), optimizers=(), without=()):
    backend, space = copy(NUMPY), NUMPY.namespace
    backend.name = "mylib"
    backend.namespace = replace(
        space,
        ops={k: v for k, v in {**space.ops, **dict(ops)}.items() if k not in without},
        layers={**space.layers, **dict(layers)},
        optimizers={**space.optimizers, **dict(optimizers)},
    )
    return backend


'''


def backend(text: str) -> str:
    """A file in the current folder with this engine."""
    Path("mylib_backend.py").write_text(f"{BEGINNING}{text}\n", encoding="utf-8")
    return "mylib_backend.py"


def document(folder: str = "runs/conform") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(folder, "conformance.json").read_text("utf-8"))
    return found


def by_outcome(outcome: str) -> list[str]:
    return [case["id"] for case in document()["cases"] if case["outcome"] == outcome]


def reproduced(id_: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The file of a failing case, run as a person would."""
    (file,) = [case["file"] for case in document()["cases"] if case["id"] == id_]
    command = [sys.executable, str(Path("runs/conform", file)), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


# --- what there is --------------------------------------------------------------------------------


def test_list_prints_ids_and_runs_nothing(harness: Harness) -> None:
    code, out, err = harness("conform", "--list", "--level", "L3", "-k", "amsgrad")
    assert (code, out, err) == (0, "L3/Adam/amsgrad=True\nL3/AdamW/amsgrad=True\n", "")
    assert not Path("runs").exists()


def test_own_engine_passes_and_says_how_much(harness: Harness) -> None:
    code, out, err = harness("conform", "--level", "L2,L3", "-k", "S")
    assert (code, err) == (0, "")
    found = document()
    assert (found["schema"], found["status"]) == ("harness.conformance/1", "pass")
    assert f"of {len(found['cases'])} cases pass" in out
    assert out.splitlines()[-1] == "conformance: runs/conform/conformance.json"
    assert list(Path("runs/conform/failures").iterdir()) == []


def test_quiet_says_nothing_of_a_pass(harness: Harness) -> None:
    assert harness("conform", "-k", "L3/SGD/no options", "-q") == (0, "", "")


def test_milestone_and_its_reference_are_cases(harness: Harness) -> None:
    code, out, _ = harness("conform", "-k", "/xor")
    assert code == 0, out
    assert by_outcome("pass") == ["L4/xor", "L5/xor"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--level", "l2"], "unknown level 'l2'. Did you mean 'L2'?"),
        (["-k", "sofmax"], "no case has 'sofmax' in its id. Did you mean 'softmax'?"),
        (["--backend", "nunpy"], "unknown backend 'nunpy'. Did you mean 'numpy'?"),
        (["--xfails", "none.toml"], "none.toml cannot be read"),
    ],
)
def test_typos_are_usage_errors(harness: Harness, arguments: list[str], message: str) -> None:
    code, out, err = harness("conform", *arguments)
    assert (code, out) == (2, "")
    assert message in err


# --- faults ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("engine", "id_"),
    [
        ('ops={"softmax": lambda *a, **k: OPS["softmax"](*a, **k) * 1.01}',
         "L1/softmax/value/(3, 3)-dim=0"),
        ('ops={"linear": scaled(OPS["linear"], 1, 1.1)}', "L1/linear/gradient/(3, 4)-(5, 4)-(5,)"),
        ('ops={"matmul": scaled(OPS["matmul"], 1, 1.0 + 3e-3)}',
         "L1/matmul/gradient/(67, 71)-(71, 5)-large"),
        ('layers={"Tanh": Bent}', "L2/Tanh/value/(3, 4)"),
        ('optimizers={"SGD": Hasty}', "L3/SGD/momentum=0.9"),
        ('optimizers={"SGD": Hasty}', "L3/SGD/momentum=0.9-weight_decay=0.1-nesterov=True-float32"),
    ],
)  # fmt: skip
def test_fault_fails_its_case_and_its_file_reproduces_it_until_it_is_mended(
    harness: Harness, engine: str, id_: str
) -> None:
    file = backend(f"BACKEND = engine({engine})")
    code, out, err = harness("conform", "--backend", file, "-k", id_)
    assert (code, err) == (1, "")
    assert (id_ in by_outcome("fail"), f"FAIL  {id_}" in out) == (True, True)
    broken = reproduced(id_)
    assert (broken.returncode, broken.stderr) == (1, "")
    assert "got" in broken.stdout
    assert "expected" in broken.stdout
    assert reproduced(id_, "numpy").returncode == 0
    backend("BACKEND = engine()")
    assert reproduced(id_).returncode == 0


def test_case_of_more_than_one_call_is_reproduced_by_its_id(harness: Harness) -> None:
    file = backend('BACKEND = engine(ops={"mul": scaled(OPS["mul"], 0, 1.1)})')
    code, _, _ = harness("conform", "--backend", file, "-k", "L1/backward/")
    assert code == 1
    assert "L1/backward/used_often" in by_outcome("fail")
    broken = reproduced("L1/backward/used_often")
    assert (broken.returncode, broken.stdout[:6]) == (1, "fail: ")
    assert reproduced("L1/backward/used_often", "numpy").returncode == 0


def test_failing_milestone_names_its_checks(harness: Harness) -> None:
    file = backend('BACKEND = engine(layers={"Tanh": Bent})\nBACKEND.name = "mylib"')
    code, out, _ = harness("conform", "--backend", file, "--level", "L4", "-k", "xor")
    assert code == 1
    assert "checks fail: " in out
    assert "harness run xor --backend mylib_backend.py -v" in " ".join(out.split())


# --- what dies ------------------------------------------------------------------------------------

DYING = """
def dying(x):
    if x.shape == ():
        {how}
    return OPS["neg"](x)

BACKEND = engine(ops={{"neg": dying}})
"""


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("os._exit(3)", "its process ended with exit code 3 and no result"),
        ("os.kill(os.getpid(), 9)", "its process was killed by SIGKILL"),
        ("time.sleep(60)", "it was stopped after 3 s"),
        ("raise SystemExit(1)", "it raised SystemExit: 1"),
    ],
)
def test_death_is_an_error_of_the_case_that_it_happened_in(
    harness: Harness, how: str, message: str
) -> None:
    file = backend(DYING.format(how=how))
    code, _, err = harness(
        "conform", "--backend", file, "-k", "/neg/", "--timeout", "3", "--jobs", "2"
    )
    assert (code, err) == (1, "")
    wrong = [f"L1/neg/{aspect}/()" for aspect in ("value", "gradient", "manners")]
    assert by_outcome("error") == wrong
    assert len(by_outcome("pass")) == len(document()["cases"]) - 3
    messages = [case["message"] for case in document()["cases"] if case["outcome"] == "error"]
    assert [each[: len(message)] for each in messages] == [message] * 3


def test_file_of_a_death_dies_too_and_tells_what_was_expected(harness: Harness) -> None:
    harness("conform", "--backend", backend(DYING.format(how="os._exit(3)")), "-k", "L1/neg/value")
    died = reproduced("L1/neg/value/()")
    assert (died.returncode, died.stdout[:8]) == (3, "expected")
    assert reproduced("L1/neg/value/()", "numpy").returncode == 0


# --- what is missing, and what is expected --------------------------------------------------------


def test_missing_name_stays_in_the_count(harness: Harness) -> None:
    file = backend('BACKEND = engine(without=("softmax",))')
    code, out, _ = harness("conform", "--backend", file, "-k", "oftmax/value")
    assert code == 0
    missing = by_outcome("not supported")
    assert {each.split("/")[1] for each in missing} == {"softmax"}
    assert f"{len(missing)} not supported." in out


def test_nothing_but_missing_names_is_no_verdict(harness: Harness) -> None:
    file = backend('BACKEND = engine(without=("softmax",))')
    code, out, _ = harness("conform", "--backend", file, "-k", "L1/softmax/")
    assert code == 3
    assert "Nothing was judged." in out


def xfails(id_: str) -> None:
    text = f'[[xfail]]\nid = "{id_}"\nreason = "it doubles"\n'
    Path("mylib_backend.xfails.toml").write_text(text, encoding="utf-8")


def test_expected_failures_beside_the_engine_are_no_failures(harness: Harness) -> None:
    file = backend('BACKEND = engine(ops={"neg": scaled(OPS["neg"], 0, 2.0)})')
    xfails("L1/neg/gradient/(*")
    code, out, _ = harness("conform", "--backend", file, "-k", "L1/neg/gradient/(3, 4)")
    assert (code, document()["xfails"]) == (0, "mylib_backend.xfails.toml")
    assert by_outcome("xfail") == ["L1/neg/gradient/(3, 4)", "L1/neg/gradient/(3, 4)-twice"]
    assert "2 failed as expected." in out


def test_unexpected_pass_fails(harness: Harness) -> None:
    file = backend("BACKEND = engine()")
    xfails("L1/neg/gradient/(3, 4)")
    code, out, _ = harness("conform", "--backend", file, "-k", "L1/neg/gradient/")
    assert (code, by_outcome("unexpected pass")) == (1, ["L1/neg/gradient/(3, 4)"])
    assert "it passes, and was expected to fail: it doubles" in out
    assert "mylib_backend.xfails.toml:1" in out


def test_unmatched_id_is_an_error_with_its_line(harness: Harness) -> None:
    file = backend("BACKEND = engine()")
    xfails("L1/neg/gradient/(3, 5)")
    code, _, err = harness("conform", "--backend", file, "-k", "L1/neg/gradient/")
    assert code == 2
    assert "mylib_backend.xfails.toml:2:1: id 'L1/neg/gradient/(3, 5)' is that of no case." in err
    assert not Path("runs").exists()


def test_other_file_of_expected_failures_can_be_named(harness: Harness) -> None:
    file = backend("BACKEND = engine()")
    xfails("L1/neg/gradient/(3, 4)")
    Path("none.toml").write_text("", encoding="utf-8")
    code, _, _ = harness(
        "conform", "--backend", file, "-k", "L1/neg/gradient/", "--xfails", "none.toml"
    )
    assert code == 0


# --- other formats --------------------------------------------------------------------------------


def test_json_is_the_document_even_if_the_engine_prints(harness: Harness) -> None:
    loud = 'def loud(x):\n    print("neg!")\n    return OPS["neg"](x)\n\n'
    file = backend(f'{loud}BACKEND = engine(ops={{"neg": loud}})')
    code, out, _ = harness("conform", "--backend", file, "-k", "L1/neg/value", "--format", "json")
    assert code == 0
    assert json.loads(out) == document()


def test_junit_keeps_the_rules(harness: Harness) -> None:
    file = backend('BACKEND = engine(ops={"neg": scaled(OPS["neg"], 0, 2.0)})')
    code, out, _ = harness("conform", "--backend", file, "-k", "L1/neg/", "--format", "junit")
    assert code == 1
    (suite,) = sound(out)
    found = outcomes(suite)
    assert found["L1/neg/value/(3, 4)"] == "pass"
    assert found["L1/neg/gradient/(3, 4)"] == "failure"


def test_files_of_an_earlier_run_are_gone_and_those_of_others_stay(harness: Harness) -> None:
    file = backend('BACKEND = engine(ops={"neg": scaled(OPS["neg"], 0, 2.0)})')
    harness("conform", "--backend", file, "-k", "L1/neg/")
    mine = Path("runs/conform/failures/notes.txt")
    mine.write_text("mine", encoding="utf-8")
    assert len(list(mine.parent.iterdir())) > 1
    harness("conform", "-k", "L1/neg/")
    assert list(mine.parent.iterdir()) == [mine]


@pytest.mark.slow
@pytest.mark.parametrize("name", [each for each in backends.available() if each != "numpy"])
def test_shipped_engine_conforms_where_it_is_installed(harness: Harness, name: str) -> None:
    pytest.importorskip(name)
    code, out, _ = harness("conform", "--backend", name, "--level", "L1,L2,L3")
    assert code == 0, out


def test_xfails_of_shipped_engines_name_cases_that_there_are() -> None:
    ids = [case.id for case in all_cases()]
    for file in (ROOT / "harness" / "backends").glob(f"*{files.SUFFIX}"):
        assert files.load(file.name.removesuffix(files.SUFFIX), None, ids), file.name


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
