"""The contract of a backend: kept by every engine that is installed, and what breaks it is named.

What the check says of engines that break it, function by function, is in test_broken_backends.
"""

from __future__ import annotations

import math
from copy import copy
from pathlib import Path

import pytest

from harness import backends
from harness.backends.base import Backend
from harness.checks.contract import backend_keeps_its_contract
from harness.errors import UsageError
from harness.measurement import Measurement
from harness.probes import examine
from harness.record import EngineRecord
from tests.broken_engine import write
from tests.small_engines import NUMPY, measured, only


def looked_at(backend: Backend) -> EngineRecord:
    return EngineRecord(backend.name, examine("engine", ["contract"], backend))


@pytest.mark.parametrize("name", backends.available())
def test_every_shipped_engine_keeps_its_contract(name: str) -> None:
    try:
        engine = backends.load(name)
    except UsageError as error:
        pytest.skip(error.message)
    verdict = backend_keeps_its_contract(looked_at(engine))

    assert (verdict.status, verdict.evidence.get("wrong", [])) == ("pass", [])


def test_the_adapter_to_start_from_keeps_its_contract(tmp_path: Path) -> None:
    verdict = backend_keeps_its_contract(looked_at(backends.load(str(write(tmp_path)))))

    assert verdict.status == "pass"


def test_an_engine_without_layers_is_judged_by_its_tensors() -> None:
    rows = measured("contract", only(ops={}))

    assert {row.subject for row in rows} >= {"tensor()", "leaf()", "set_value()", "set_gradient()"}
    assert all(row.error == 0.0 for row in rows)


class ListsItsGradients(type(NUMPY)):  # type: ignore[misc]  # of an instance
    """Says of all parameters at once something else than of each."""

    def copy_gradients(self, parameters: object, out: object) -> list[int]:
        return [0, 1]


def test_what_is_said_of_all_must_be_what_is_said_of_each() -> None:
    engine = copy(NUMPY)
    engine.__class__ = ListsItsGradients
    wrong = [row for row in measured("contract", engine) if row.error]

    assert [row.what for row in wrong][-1] == (
        "gave [0, 1] for two parameters of which the first has none, expected [0]"
    )


def test_a_broken_contract_fails_with_the_function_first() -> None:
    bad = Measurement("gradient()", "of a leaf is 3, expected None", math.nan, math.nan, math.inf)
    record = EngineRecord("mylib")
    record.probed.measured["contract"] = [bad]
    verdict = backend_keeps_its_contract(record)

    assert verdict.status == "fail"
    assert verdict.reason == "gradient(): of a leaf is 3, expected None"
    assert verdict.evidence["culprits"] == ["gradient()"]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
