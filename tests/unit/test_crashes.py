"""Who raised: what a traceback leads to."""

from __future__ import annotations

import traceback
from collections.abc import Callable

import numpy as np
import pytest

from harness.autograd import Tensor, nn, optim
from harness.checks import judge
from harness.checks.crashes import raised_in
from harness.probes import examine
from harness.record import Probed
from tests.examples import healthy, small_config


def raised_by(call: Callable[[], object]) -> tuple[object, str]:
    try:
        call()
    except Exception:
        found = raised_in(traceback.format_exc())
    return found.get("culprits"), str(found.get("place"))


def test_function_of_an_engine_is_named_with_the_layer_that_called_it() -> None:
    layer = nn.Linear(3, 4, rng=np.random.default_rng(0))
    culprits, place = raised_by(lambda: layer(Tensor(np.zeros((2, 5)))))
    assert culprits == ["linear", "Linear"]
    assert place.startswith("harness/autograd/ops/matmul.py:")


def test_class_is_named_for_its_method() -> None:
    culprits, place = raised_by(lambda: optim.SGD([], lr=0.1))
    assert culprits == ["Optimizer", "SGD"]
    assert place.startswith("harness/autograd/optim.py:")


TRACEBACK = """\
Traceback (most recent call last):
  File "{probe}", line 33, in examine
    probed.measured[name] = list(measure(subject))
{more}ValueError: no
"""
PROBE = "/mine/harness/probes/__init__.py"


@pytest.mark.parametrize(
    ("more", "evidence"),
    [
        ("", {"culprits": [], "place": f"{PROBE}:33"}),
        ('  File "/usr/lib/python3.11/random.py", line 3, in seed\n',
         {"culprits": [], "place": f"{PROBE}:33"}),
        ('  File "/v/lib/python3.11/site-packages/numpy/core.py", line 3, in dot\n',
         {"culprits": [], "place": f"{PROBE}:33"}),
        ('  File "/v/lib/python3.11/site-packages/harness/model.py", line 3, in build\n',
         {"culprits": ["build"], "place": "/v/lib/python3.11/site-packages/harness/model.py:3"}),
        ('  File "/mine/engine.py", line 7, in softmax\n    x\n    ^\n'
         '  File "/usr/lib/python3.11/math.py", line 3, in exp\n',
         {"culprits": ["softmax"], "place": "/mine/engine.py:7"}),
        ('  File "/mine/engine.py", line 9, in _helper\n',
         {"culprits": [], "place": "/mine/engine.py:9"}),
    ],
)  # fmt: skip
def test_onlookers_and_libraries_are_not_to_blame(more: str, evidence: dict[str, object]) -> None:
    assert raised_in(TRACEBACK.format(probe=PROBE, more=more)) == evidence


def test_text_that_is_no_traceback_leads_nowhere() -> None:
    assert raised_in("Killed") == {}


def test_probe_that_crashes_names_who_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.probes.milestone import starts

    def measure(subject: object) -> object:
        return optim.SGD([], lr=0.1)

    monkeypatch.setattr(starts, "measure", measure)
    record = healthy()
    record.probed = Probed(crashed=examine("milestone", ["starts"], None).crashed)
    (error,) = [each for each in judge(small_config(), record) if each.status == "error"]
    assert error.check == "starts_are_plausible"
    assert error.evidence["culprits"] == ["Optimizer", "SGD"]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
