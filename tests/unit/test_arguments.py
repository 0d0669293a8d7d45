"""What a factory takes against what a config gives: names, presence and types."""

from __future__ import annotations

import numpy as np
import pytest

from harness.arguments import accepts, as_tuples, misfits


class Layer:
    """A factory that is a class."""

    def __init__(
        self,
        size: int,
        kernel: int | tuple[int, int] = 3,
        rate: float = 0.1,
        bias: bool = True,
        rng: np.random.Generator | None = None,
    ) -> None:
        self.given = (size, kernel, rate, bias, rng)


class Bare:
    """A factory without an __init__ of its own."""


def opened(first: int, **others: float) -> None:
    """A factory that takes any further name."""


def unannotated(x, y=2) -> None:  # type: ignore[no-untyped-def]
    """A factory that says nothing of types."""


def container(*layers: Layer, scale: float = 1.0) -> None:
    """A factory that takes other layers first."""


def found(factory: object, own: tuple[str, ...] = ("rng",), **given: object) -> dict[str, str]:
    return dict(misfits(factory, given, own))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "given",
    [
        {"size": 3},
        {"size": 3, "kernel": 5},
        {"size": 3, "kernel": [2, 2]},
        {"size": 3, "rate": 0.5, "bias": False},
        {"size": 3, "rate": 1},
    ],
)
def test_good_call_has_no_misfit(given: dict[str, object]) -> None:
    assert found(Layer, **given) == {}


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"size": 3.0}, "size"),
        ({"size": "3"}, "size"),
        ({"size": True}, "size"),
        ({"size": None}, "size"),
        ({"size": [3]}, "size"),
        ({"size": 3, "kernel": [1, 2, 3]}, "kernel"),
        ({"size": 3, "kernel": [1.5, 2]}, "kernel"),
        ({"size": 3, "bias": 1}, "bias"),
        ({"size": 3, "rate": "fast"}, "rate"),
    ],
)
def test_wrong_type_is_a_misfit(given: dict[str, object], name: str) -> None:
    problems = found(Layer, **given)
    assert list(problems) == [name]
    assert repr(given[name]) in problems[name]


def test_missing_argument_is_a_misfit() -> None:
    assert found(Layer) == {"size": "size is missing"}


def test_unknown_argument_is_a_misfit_with_a_suggestion() -> None:
    assert found(Layer, size=3, kernal=2) == {
        "kernal": "no argument 'kernal'. Did you mean 'kernel'? It takes: size, kernel, rate, bias"
    }
    assert found(Bare, size=3) == {"size": "no argument 'size'. It takes: no arguments"}


def test_what_the_harness_gives_itself_is_not_for_a_config() -> None:
    assert list(found(Layer, size=3, rng=None)) == ["rng"]
    assert found(unannotated, own=("x",), y=1) == {}


def test_open_factory_takes_any_name_and_checks_what_it_names() -> None:
    assert found(opened, first=1, whatever="x") == {}
    assert list(found(opened, first="x")) == ["first"]


def test_argument_without_a_type_takes_anything() -> None:
    assert found(unannotated, x="word", y=[1]) == {}


def test_container_takes_its_layers_from_the_harness() -> None:
    assert found(container) == {}
    assert list(found(container, layers=3)) == ["layers"]


def test_accepts_looks_at_names_and_whether_any_is_taken() -> None:
    assert accepts(Layer, "rng")
    assert not accepts(Bare, "rng")
    assert accepts(opened, "rng")


def test_lists_become_tuples_at_any_depth() -> None:
    assert as_tuples([1, [2, [3]], "x"]) == (1, (2, (3,)), "x")
    assert as_tuples({"a": [1]}) == {"a": [1]}


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
