"""`harness conform` of engines that hang, that keep what they must not, or say nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.test_conform import backend, by_outcome, document, reproduced

# The worker processes of pytest-xdist have a thread of their own while they fork.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
Harness = Callable[..., tuple[int, str, str]]

HANGING = """
def hanging(x):
    time.sleep(60)

BACKEND = engine(ops={"neg": hanging})
"""
# One momentum for all optimizers: that of the first.
KEEPING = """
KEPT = {}

class Keeping(optim.SGD):
    def step(self):
        if self.momentum:
            self.momentum = KEPT.setdefault("momentum", self.momentum)
        super().step()

BACKEND = engine(optimizers={"SGD": Keeping})
"""
# The first `no_grad` counts for good: what comes after it has no gradient.
STICKING = """
USED = []

def no_grad():
    USED.append(True)
    return NUMPY.no_grad()

def sticking(x):
    y = OPS["neg"](x)
    return y.detach() if USED else y

BACKEND = engine(ops={"neg": sticking})
BACKEND.no_grad = no_grad
"""
MUTE = """
class MuteError(Exception):
    def __str__(self):
        raise RuntimeError("no text")

def mute(x):
    raise MuteError

BACKEND = engine(ops={"neg": mute})
"""
KEPT_HINT = "By itself it passes: the engine keeps something from an earlier case"


def hints() -> dict[str, str]:
    return {case["id"]: case["hint"] for case in document()["cases"] if case["outcome"] != "pass"}


def test_name_that_always_hangs_costs_two_timeouts(harness: Harness) -> None:
    file = backend(HANGING)
    code, _, err = harness("conform", "--backend", file, "-k", "L1/neg/", "--timeout", "1")
    assert (code, err) == (1, "")
    messages = [case["message"] for case in document()["cases"]]
    assert messages[:2] == ["it was stopped after 1 s"] * 2
    rest = "not tried: the 2 cases before it were stopped at the timeout"
    assert len(messages) > 5
    assert messages[2:] == [rest] * (len(messages) - 2)
    assert len(by_outcome("error")) == len(messages)


def test_failure_that_needs_an_earlier_case_says_so_and_its_file_shows_it(harness: Harness) -> None:
    file = backend(KEEPING)
    code, out, err = harness("conform", "--backend", file, "-k", "L3/SGD/momentum")
    assert (code, err) == (1, "")
    owed = [id_ for id_, hint in hints().items() if hint.startswith(KEPT_HINT)]
    assert owed
    assert KEPT_HINT in " ".join(out.split())
    broken = reproduced(owed[0])
    assert (broken.returncode, broken.stderr) == (1, "")
    assert reproduced(owed[0], "numpy").returncode == 0


def test_failure_that_needs_no_earlier_case_does_not_say_so(harness: Harness) -> None:
    file = backend('BACKEND = engine(ops={"neg": lambda x: OPS["neg"](x) * 1.5})')
    harness("conform", "--backend", file, "-k", "L1/neg/value")
    assert by_outcome("fail")
    assert not any(hint.startswith(KEPT_HINT) for hint in hints().values())


def test_file_that_does_less_than_its_case_is_written_as_the_case(harness: Harness) -> None:
    """The case takes values before gradients, the file would take them behind."""
    harness("conform", "--backend", backend(STICKING), "-k", "L1/neg/gradient/(3, 4)")
    broken = reproduced(by_outcome("fail")[0])
    assert (broken.returncode, broken.stderr) == (1, "")
    assert broken.stdout.startswith("fail: neg: gradient")


def test_unknown_engine_of_a_file_is_a_usage_error(harness: Harness) -> None:
    file = backend('BACKEND = engine(ops={"neg": lambda x: OPS["neg"](x) * 1.5})')
    harness("conform", "--backend", file, "-k", "L1/neg/value/(3, 4)")
    asked = reproduced("L1/neg/value/(3, 4)", "nonsense")
    assert (asked.returncode, asked.stdout) == (2, "")
    assert asked.stderr.startswith("error: unknown backend 'nonsense'")
    assert "Traceback" not in asked.stderr


def test_command_is_quoted_for_a_shell(harness: Harness) -> None:
    file = backend('BACKEND = engine(ops={"neg": lambda x: OPS["neg"](x) * 1.5})')
    _, out, _ = harness("conform", "--backend", file, "-k", "L1/neg/value/()", "--out", "two words")
    assert "reproduce: python 'two words/failures/L1.neg.value..py'" in out
    assert Path("two words/failures/L1.neg.value..py").is_file()


def test_exception_without_a_text_is_told_by_its_type(harness: Harness) -> None:
    harness("conform", "--backend", backend(MUTE), "-k", "L1/neg/value/()")
    (case,) = document()["cases"]
    assert case["message"].startswith("it raised MuteError: (its __str__ raised RuntimeError) (")
    assert "mylib_backend.py" in case["message"]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
