"""What forbids a comparison, and what only explains it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.comparing.comparable import differences, notes, targets
from harness.comparing.side import Side
from harness.scorecard import Result
from tests.sides import record, side, small_milestone


def why_not(head: Side, base: Side | None = None) -> list[str]:
    return differences(base or side(), head, "small")


def changed(**fields: object) -> Callable[[list[Result]], list[Result]]:
    return lambda results: [each.model_copy(update=fields) for each in results]


def test_same_request_can_be_compared() -> None:
    assert why_not(side()) == []


def test_another_config_is_told_setting_by_setting() -> None:
    settings = small_milestone().decisive | {"training.lr": "0.5", "training.momentum": "0.9"}
    del settings["training.batch_size"]
    head = side(configs={"small": "f" * 64}, settings={"small": settings})
    assert why_not(head) == [
        "training.lr is 1.0 against 0.5",
        "training.momentum is null against 0.9",
        "training.batch_size is 4 against not set",
    ] or sorted(why_not(head)) == [
        "training.batch_size is 4 against not set",
        "training.lr is 1.0 against 0.5",
        "training.momentum is null against 0.9",
    ]


def test_another_config_of_an_older_scorecard_is_told_by_its_digest() -> None:
    head = side(configs={"small": "f" * 64}, settings={})
    (text,) = why_not(head)
    assert text == (
        f"the config is another one (digest {small_milestone().digest[:8]} against ffffffff)"
    )


def test_other_data_are_told() -> None:
    (text,) = why_not(side(data={"small": "e" * 64}))
    assert text == f"the data are others (digest {record().data_digest[:8]} against eeeeeeee)"


def test_another_type_of_number_and_another_engine_are_told() -> None:
    head = side(results=changed(dtype="float64", backend="torch"))
    assert why_not(head) == [
        "the type of number is float32 against float64",
        "the backend is numpy against torch",
    ]


def test_what_an_older_scorecard_does_not_tell_forbids_nothing() -> None:
    assert why_not(side(results=changed(dtype=""))) == []


def test_no_seed_in_common_is_told() -> None:
    assert why_not(side([record(1)])) == ["no seed in common: 0 against 1"]
    base = side([record(1), record(2)])
    assert why_not(side(), base) == ["no seed in common: 1 to 2 against 0"]


def test_another_machine_is_a_note_and_forbids_nothing() -> None:
    base, head = side(), side(blas_threads=2)
    assert why_not(head, base) == []
    assert notes(base, head) == ["another machine or environment: blas threads is 1 against 2"]
    assert notes(base, base) == []


def test_another_target_is_told() -> None:
    lower = side(
        results=lambda results: [
            each.model_copy(update={"accuracy": each.accuracy.model_copy(update={"target": 0.5})})
            for each in results
        ]
    )
    assert targets(side().results("small"), lower.results("small")) == [
        "the target is 1 against 0.5"
    ]
    assert targets(side().results("small"), side().results("small")) == []


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
