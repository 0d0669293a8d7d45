"""A failing case as a Python file that needs the engine, numpy and the harness, and nothing else.

The file holds the arrays, makes the call and judges what comes with the functions of the probes.
What is more than one call is run again by its id.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np

from harness.atomic_files import replacing, write_text
from harness.conformance.case import Engine
from harness.conformance.looking import pool_for
from harness.conformance.outcomes import Result
from harness.conformance.owing import Stepped
from harness.conformance.sources import LARGE, arguments_source, array_source, source
from harness.conformance.templates import (
    AFTER,
    AGAIN,
    CALL,
    GRADIENT,
    GRADIENT_IN_SINGLE,
    HEAD,
    LAYER,
    STEPS,
    VALUE,
    VALUE_IN_SINGLE,
)
from harness.conformance.trying import MANNERS, Tried
from harness.conformance.trying import VALUE as OF_VALUES
from harness.oracles.optimizers import RULES
from harness.probes.engine.op_gradients import AGREES_LARGE
from harness.probes.engine.op_values import FITS_LARGE
from harness.probes.engine.optimizer_rules import RATES, Material
from harness.probes.rounding import in_double, in_single
from harness.probes.trials.trial import Trial

FOLDER = "failures"
# How the words of a row say that it is about float32.
_NARROW = re.compile(r"in float32|by itself, out of another op")


@dataclass(frozen=True)
class Script:
    """The text of a file, and large arrays by name, which stand beside it."""

    text: str
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)


def file_name(id_: str) -> str:
    """An id as the name of a file, without anything that a shell or a file system minds."""
    return re.sub(r"[^A-Za-z0-9.=_-]+", "_", id_.replace("/", ".")).strip("_") + ".py"


def write(script: Script, file: Path) -> None:
    """The file, and its arrays beside it."""
    if script.arrays:
        with replacing(file.with_suffix(".npz")) as new:
            np.savez_compressed(new, allow_pickle=False, **dict(script.arrays))
    write_text(file, script.text)


def is_script(result: Result) -> bool:
    """Whether its file makes the call itself, with the numbers in it."""
    found = result.case.source
    is_one_call = isinstance(found, Tried) and found.aspect != MANNERS
    return not result.earlier and (is_one_call or isinstance(found, Stepped))


def script_of(result: Result, engine: Engine) -> Script:
    """The file of a case; raises what building a layer of the engine raises."""
    found = result.case.source
    if not is_script(result):
        return by_id(result, engine)
    if isinstance(found, Tried):
        return _of_trial(result, found, engine)
    assert isinstance(found, Stepped)
    return _of_steps(result, found, engine)


def by_id(result: Result, engine: Engine) -> Script:
    """The file that runs the case again, which needs nothing of the engine to be written."""
    earlier = "".join(f"    {id_!r},\n" for id_ in result.earlier)
    again = AFTER if earlier else AGAIN
    return Script(_head(result, engine) + again.format(id=result.case.id, earlier=earlier))


def _head(result: Result, engine: Engine) -> str:
    words = (result.message or result.outcome).replace("\\", "/").replace('"""', "'''")
    return HEAD.format(id=result.case.id, message=words, backend=engine.name)


class _Arrays:
    """Arrays as source, large ones by name from the file beside."""

    def __init__(self) -> None:
        self.large: dict[str, np.ndarray] = {}

    def __call__(self, name: str, array: np.ndarray | None) -> str:
        if array is None:
            return "None"
        if array.size <= LARGE:
            return array_source(array)
        self.large[name] = array
        return f'np.load(Path(__file__).with_suffix(".npz"))["{name}"]'

    def listed(self, name: str, arrays: Sequence[np.ndarray | None]) -> str:
        """A list of them, one a line."""
        lines = [f"    {self(f'{name}{i}', array)},\n" for i, array in enumerate(arrays)]
        return f"[\n{''.join(lines)}]"


# --- one call -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _OneCall:
    """One call that a file makes: what came of it, its trial, and what is written down."""

    result: Result
    tried: Tried
    trial: Trial
    engine: Engine
    given: Sequence[np.ndarray | None]
    arrays: _Arrays

    @classmethod
    def of(cls, result: Result, tried: Tried, engine: Engine) -> Self:
        """With the numbers that were judged: in float32, those that it can hold."""
        trial = tried.trial(engine.backend, pool_for(result.case))
        given = list(trial.arrays)
        if _is_narrow(result):
            given = [None if each is None else in_double(each) for each in in_single(trial.arrays)]
        return cls(result, tried, trial, engine, given, _Arrays())


def _is_narrow(result: Result) -> bool:
    return _NARROW.search(result.message) is not None


def _of_trial(result: Result, tried: Tried, engine: Engine) -> Script:
    call = _OneCall.of(result, tried, engine)
    text = _head(result, engine)
    text += f"arrays = {call.arrays.listed('input_', call.given)}\n"
    text += LAYER.format(**_layer_words(tried)) if tried.kind == "layers" else CALL.format(
        call=_call(tried)
    )  # fmt: skip
    text += _value(call) if tried.aspect == OF_VALUES else _gradient(call)
    return Script(text, call.arrays.large)


def _layer_words(tried: Tried) -> dict[str, str]:
    return {
        "name": repr(tried.name),
        "arguments": source(dict(tried.case.arguments)),
        "training": str(tried.aspect != OF_VALUES),
    }


def _call(tried: Tried) -> str:
    """The call of an op or a loss, as an expression in `tensors`."""
    case, name = tried.case, tried.name
    if tried.kind == "losses":
        return f"backend.namespace.losses[{name!r}]({_after(case.arguments)})(*tensors)"
    op = f"backend.namespace.ops[{name!r}]"
    given = "tensors" if case.copies == 1 else f"tensors * {case.copies}"
    inputs = given if name in ("concatenate", "cat") else f"*{given}"
    if name == "layer_norm":
        inputs = "tensors[0], weight=tensors[1], bias=tensors[2]"
    tensors = "".join(f", {key}=backend.tensor({array_source(array)})"
                      for key, array in case.tensors.items())  # fmt: skip
    call = f"{op}({inputs}{arguments_source(case.arguments)}{tensors})"
    if case.then is None:
        return f"first({call})"
    return f"first({op}(first({call}){arguments_source(case.then)}))"


def _after(arguments: Mapping[str, object]) -> str:
    return arguments_source(arguments).removeprefix(", ")


def _value(call: _OneCall) -> str:
    tried, trial = call.tried, call.trial
    expected = call.arrays("expected", trial.oracles[call.result.reading](call.given))
    words = {"expected": expected, "name": repr(tried.name), "way": tried.way}
    if not _is_narrow(call.result):
        return VALUE.format(**words)
    rounded = FITS_LARGE if trial.is_large else 0.0
    return VALUE_IN_SINGLE.format(**words, varied=trial.varied, rounded=rounded)


def _gradient(call: _OneCall) -> str:
    """The gradient of what should have one: it holds numbers, and may not lack it."""
    trial = call.trial
    numbers = {i: each for i, each in enumerate(trial.numbers) if each is not None}
    due = [i for i, each in numbers.items() if not each.may_lack and each.shape.count(0) == 0]
    rng = np.random.default_rng(0)
    words = {
        "cotangent": call.arrays("cotangent", rng.standard_normal(_shape(call))),
        "varied": trial.varied,
        "due": due,
        "tied": [i for i, each in numbers.items() if each.kind == "tied"],
        "names": list(trial.names),
        "name": repr(call.tried.name),
        "turn": call.tried.turn,
    }
    if not _is_narrow(call.result):
        return GRADIENT.format(**words)
    rounded = AGREES_LARGE if trial.is_large else 0.0
    own = [i for i in trial.parameters if i in due]
    groups = [[i] for i in due if i not in own] + ([own] if own else [])
    return GRADIENT_IN_SINGLE.format(**words, rounded=rounded, groups=groups)


def _shape(call: _OneCall) -> tuple[int, ...]:
    """That of the output: as the formula has it, since the engine may not survive the call."""
    trial = call.trial
    if trial.oracles:
        reading = min(call.result.reading, len(trial.oracles) - 1)
        return trial.oracles[reading](trial.arrays).shape
    output = trial.run(trial.arrays, ()).output
    shape: tuple[int, ...] = call.engine.backend.array(output).shape
    return shape


# --- steps of an optimizer ------------------------------------------------------------------------


def _of_steps(result: Result, stepped: Stepped, engine: Engine) -> Script:
    material = Material.of(stepped.dtype)
    arrays = _Arrays()
    text = _head(result, engine) + STEPS.format(
        values=arrays.listed("value_", list(material.values)),
        gradients="[\n"
        + "".join(
            f"    {arrays.listed(f'gradient_{step}_', list(each))},\n"
            for step, each in enumerate(material.gradients)
        )
        + "]",
        rates=RATES,
        name=repr(stepped.name),
        options=source(dict(stepped.options)),
        arguments=arguments_source(stepped.options),
        readings=len(RULES[stepped.name]),
    )
    return Script(text, arrays.large)
