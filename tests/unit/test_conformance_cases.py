"""The cases of `harness conform`: their ids, what selects them, and what one look at them gives."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from harness.backends.base import Backend, Factory
from harness.conformance.case import Case, Engine, Finding
from harness.conformance.listing import all_cases, find, selected
from harness.conformance.looking import lacking, look, pool_for
from harness.conformance.outcomes import Result, judged, results
from harness.conformance.reproducing import file_name
from harness.errors import UsageError
from harness.measurement import Measurement
from tests.examples import NAMES
from tests.small_engines import NUMPY, wrong_gradient, wrong_value

SOFTMAX = "L1/softmax/value/(3, 5)-dim=-1"
IDS = [case.id for case in all_cases()]


def with_op(name: str, op: Factory | None) -> Backend:
    """The engine with another op of that name, or without it."""
    ops = {**NUMPY.namespace.ops, name: op}
    backend = copy(NUMPY)
    known = {key: value for key, value in ops.items() if value is not None}
    backend.namespace = replace(backend.namespace, ops=known)
    return backend


def outcome_of(id_: str, backend: Backend = NUMPY) -> Result:
    return judged(find(id_), look(Engine("numpy", backend), find(id_)))


def raising(error: Exception) -> Callable[..., Any]:
    def op(*inputs: Any, **arguments: Any) -> Any:
        raise error

    return op


# --- the list -------------------------------------------------------------------------------------


def test_no_two_cases_have_one_id() -> None:
    assert len(set(IDS)) == len(IDS)
    assert all(len(each) < 200 and each.isprintable() for each in IDS)
    names = [file_name(each).lower() for each in IDS]
    assert len(set(names)) == len(names)


def test_list_is_the_same_in_another_process() -> None:
    code = (
        "from harness.conformance.listing import all_cases\nfor c in all_cases():\n    print(c.id)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == IDS


def test_ids_are_those_that_people_have_written_down() -> None:
    written = {
        SOFTMAX,
        "L1/softmax/gradient/(3, 3)-dim=0",
        "L1/add/manners/(3, 3)-(3, 3)",
        "L1/dropout/manners/drops",
        "L1/backward/used_often",
        "L2/Conv2d/value/(2, 1, 4, 4)-in_channels=1-out_channels=2-kernel_size=3-padding=1",
        "L2/Residual/gradient/(4, 3)-of Linear and Tanh",
        "L2/Linear/start",
        "L2/CrossEntropyLoss/value/(3, 5)-int64(3,)",
        "L3/Adam/amsgrad=True",
        "L3/SGD/no options",
        "L3/Adam/manners/zero_grad",
        "L3/clip_grad_norm/float32",
    }
    assert written - set(IDS) == set()


def test_every_name_of_the_vocabulary_and_every_milestone_has_cases() -> None:
    subjects = {case.subject for case in all_cases()}
    space = NUMPY.namespace
    names = {*space.ops, *space.losses, *space.layers, *space.optimizers}
    assert names - subjects == set()
    for level in ("L4", "L5"):
        assert [each for each in IDS if each.startswith(level)] == [f"{level}/{n}" for n in NAMES]


def test_levels_and_text_select() -> None:
    assert {case.level for case in selected(["L3", "L1"])} == {"L1", "L3"}
    assert [case.id for case in selected(["L3"], "amsgrad")] == [
        "L3/Adam/amsgrad=True",
        "L3/AdamW/amsgrad=True",
    ]
    assert [case.id for case in selected()] == IDS


@pytest.mark.parametrize(
    ("levels", "text", "message"),
    [
        (["l1"], "", "unknown level 'l1'. Did you mean 'L1'?"),
        ([], "sofmax", "no case has 'sofmax' in its id. Did you mean 'softmax'?"),
    ],
)
def test_typos_are_told(levels: list[str], text: str, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        selected(levels, text)
    assert raised.value.message == message
    assert raised.value.hint


def test_unknown_id_has_a_suggestion() -> None:
    with pytest.raises(UsageError, match="Did you mean 'L3/Adam/amsgrad=True'"):
        find("L3/Adam/amsgrad=true")


def test_numbers_of_a_case_do_not_depend_on_what_else_is_drawn() -> None:
    case = find(SOFTMAX)
    first = pool_for(case).signed((3, 4))
    pool_for(find("L3/SGD/no options")).signed((7, 7))
    assert np.array_equal(pool_for(case).signed((3, 4)), first)
    other = find("L1/softmax/value/(3, 3)-dim=0")
    assert not np.array_equal(pool_for(other).signed((3, 4)), first)


# --- one look -------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", ["L1", "L2", "L3"])
def test_own_engine_fails_no_case(level: str) -> None:
    engine, cases = Engine("numpy", NUMPY), selected([level])
    found = results({case.id: look(engine, case) for case in cases}, cases, ())
    bad = [result.case.id for result in found if result.outcome not in ("pass", "not supported")]
    open_ = [result.case.id for result in found if result.outcome == "not supported"]
    assert bad == []
    assert set(open_) <= {"L3/SGD/momentum=0.9-dampening=0.3", "L3/Adam/amsgrad=True",
                          "L3/AdamW/amsgrad=True"}  # fmt: skip


def test_wrong_value_fails_the_case_of_the_value_with_both_numbers() -> None:
    backend = with_op("neg", wrong_value(NUMPY.namespace.ops["neg"], lambda y: 2.0 * y))
    found = outcome_of("L1/neg/value/()", backend)
    assert found.outcome == "fail"
    assert found.got == pytest.approx(2.0 * (found.expected or 0.0))
    assert found.message.startswith("neg: value for (): got ")
    assert found.hint


def test_wrong_gradient_fails_the_case_of_the_gradient_only() -> None:
    wrong = wrong_gradient(NUMPY.namespace.ops["mul"], 1, lambda g, came_in: 1.1 * g)
    backend = with_op("mul", wrong)
    assert outcome_of("L1/mul/value/(3, 3)-(3, 3)", backend).outcome == "pass"
    found = outcome_of("L1/mul/gradient/(3, 3)-(3, 3)", backend)
    assert (found.outcome, found.place.partition(":")[0][-3:]) == ("fail", ".py")
    assert "gradient of input 1" in found.message


def test_op_that_changes_its_input_fails_the_case_of_manners() -> None:
    def changing(x: Any) -> Any:
        y = NUMPY.namespace.ops["exp"](x)
        x.data[...] = 0.0
        return y

    found = outcome_of("L1/exp/manners/(3, 4)", with_op("exp", changing))
    assert found.outcome == "fail"
    assert "numbers of input 0" in found.message


def test_optimizer_with_another_rate_fails_its_cases() -> None:
    sgd = NUMPY.namespace.optimizers["SGD"]

    def slow(parameters: Any, lr: float = 0.1, **options: Any) -> Any:
        return sgd(parameters, lr=0.5 * lr, **options)

    backend = copy(NUMPY)
    optimizers = {**NUMPY.namespace.optimizers, "SGD": slow}
    backend.namespace = replace(backend.namespace, optimizers=optimizers)
    found = outcome_of("L3/SGD/no options", backend)
    assert found.outcome == "fail"
    assert found.got == pytest.approx(0.5 * (found.expected or 0.0))
    assert outcome_of("L3/Adam/no options", backend).outcome == "pass"


def test_what_raises_is_an_error_with_its_place() -> None:
    found = outcome_of(SOFTMAX, with_op("softmax", raising(KeyError("axis"))))
    assert found.outcome == "error"
    assert found.message.startswith("it raised KeyError: 'axis' (")
    assert "test_conformance_cases.py:" in found.message
    assert found.details.startswith("Traceback")


def test_missing_name_is_not_supported() -> None:
    found = outcome_of(SOFTMAX, with_op("softmax", None))
    assert found.outcome == "not supported"
    assert found.message == "backend 'numpy' offers no op softmax"


def test_missing_argument_is_not_supported() -> None:
    gelu = NUMPY.namespace.ops["gelu"]
    backend = with_op("gelu", lambda x: gelu(x))
    assert outcome_of("L1/gelu/value/(3, 4)", backend).outcome == "pass"
    found = outcome_of("L1/gelu/value/(3, 4)-approximate=tanh", backend)
    assert (found.outcome, found.message) == (
        "not supported",
        "gelu of backend 'numpy' takes no argument approximate",
    )


def test_engine_that_says_so_does_not_support_a_case() -> None:
    backend = with_op("softmax", raising(NotImplementedError("only the last axis")))
    found = outcome_of(SOFTMAX, backend)
    assert (found.outcome, found.message) == (
        "not supported",
        "NotImplementedError: only the last axis",
    )


def test_what_an_engine_may_refuse_is_no_error_and_no_pass() -> None:
    case = next(case for case in all_cases() if case.may_refuse and case.subject == "softmax")
    finding = look(Engine("numpy", with_op("softmax", raising(TypeError("integers")))), case)
    assert judged(case, finding).outcome == "not supported"


def test_layer_inside_a_container_is_needed_too() -> None:
    backend = copy(NUMPY)
    layers = {k: v for k, v in NUMPY.namespace.layers.items() if k != "Tanh"}
    backend.namespace = replace(backend.namespace, layers=layers)
    case = find("L2/Residual/value/(4, 3)-of Linear and Tanh")
    assert lacking(case, backend) == "backend 'numpy' offers no layer Tanh"


def test_what_an_engine_prints_is_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    softmax = NUMPY.namespace.ops["softmax"]

    def loud(*inputs: Any, **arguments: Any) -> Any:
        sys.stdout.write("softmax!\n")
        return softmax(*inputs, **arguments)

    assert outcome_of(SOFTMAX, with_op("softmax", loud)).outcome == "pass"
    assert capsys.readouterr().out == ""


# --- conventions ----------------------------------------------------------------------------------


def reading(error: float) -> tuple[Measurement, ...]:
    return (Measurement("Linear", "value", 1.0, 2.0, error),)


def of_linear(*errors: tuple[float, float]) -> list[str]:
    """The outcomes of cases of one name whose rows are off by that under two conventions."""
    cases: list[Case] = selected(["L2"], "L2/Linear/value")[: len(errors)]
    pairs = zip(cases, errors, strict=True)
    found = {case.id: Finding((reading(a), reading(b))) for case, (a, b) in pairs}
    return [result.outcome for result in results(found, cases, ())]


def test_any_right_convention_will_do() -> None:
    assert of_linear((1.0, 0.0), (1.0, 0.0)) == ["pass", "pass"]


def test_two_conventions_in_one_engine_will_not_do() -> None:
    assert sorted(of_linear((0.0, 1.0), (1.0, 0.0))) == ["fail", "pass"]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
