"""From the bytes of a scorecard to a night: the whole text is checked, a few numbers are kept.

To read ten thousand nights in seconds, no model of the whole scorecard is made of each. What is
kept is checked as strictly as the scorecard itself would be.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, NotRequired

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import from_json
from typing_extensions import TypedDict  # before Python 3.12, pydantic takes no other

from harness.history.nights import Night, Point
from harness.scorecard import (
    SCHEMA_NAME,
    SCHEMA_VERSION,
    UPGRADES,
    ResultStatus,
    Status,
    VerdictStatus,
    overall,
)

_Share = Annotated[float, Field(ge=0.0, le=1.0)]
_STRICT = ConfigDict(strict=True, allow_inf_nan=False)
_CURRENT = f"{SCHEMA_NAME}/{SCHEMA_VERSION}"


class UnreadableError(ValueError):
    """A file of the history that is no scorecard; `str()` is why not."""


class ForeignError(ValueError):
    """A file of another schema, which is nobody's fault."""


class _Verdict(TypedDict):
    __pydantic_config__ = _STRICT  # type: ignore[misc]  # the way that pydantic documents
    check: str
    status: VerdictStatus
    reason: str


class _Accuracy(TypedDict):
    __pydantic_config__ = _STRICT  # type: ignore[misc]
    held_out: NotRequired[_Share | None]
    target: float
    steps_to_target: NotRequired[int | None]


class _Loss(TypedDict):
    __pydantic_config__ = _STRICT  # type: ignore[misc]
    held_out: NotRequired[float | None]


class _Result(TypedDict):
    __pydantic_config__ = _STRICT  # type: ignore[misc]
    milestone: str
    status: ResultStatus
    verdicts: list[_Verdict]
    accuracy: _Accuracy
    loss: _Loss
    seconds: NotRequired[dict[str, float]]


class _Provenance(TypedDict):
    __pydantic_config__ = _STRICT  # type: ignore[misc]
    commit: NotRequired[str | None]
    dirty: NotRequired[bool | None]


class _Engine(TypedDict):
    __pydantic_config__ = _STRICT  # type: ignore[misc]
    status: Status
    verdicts: list[_Verdict]


class _Card(TypedDict):
    __pydantic_config__ = _STRICT  # type: ignore[misc]
    schema: str
    created: str
    status: Status
    provenance: _Provenance
    engine: NotRequired[_Engine | None]
    results: list[_Result]


_CARD = TypeAdapter(_Card)


def night_of(text: bytes, file: str) -> Night:
    """The night in the text of a scorecard of any version up to this one.

    Raises UnreadableError where it is damaged or newer, ForeignError where it is something else.
    """
    card = _card(text)
    moment(card["created"])
    engine = card.get("engine")
    check, cause = _first_bad([engine]) if engine else ("", "")
    return Night(
        file=file,
        created=card["created"],
        commit=card["provenance"].get("commit"),
        status=card["status"],
        milestones=_points(card["results"]),
        engine=engine["status"] if engine else None,
        engine_cause=cause,
        engine_check=check,
        dirty=bool(card["provenance"].get("dirty")),
    )


def moment(created: str) -> datetime:
    """The time a scorecard was made at; without a zone it is UTC. Raises UnreadableError."""
    try:
        found = datetime.fromisoformat(created)
    except ValueError as error:
        raise UnreadableError(f"its date is {created[:40]!r}, which is none") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


# --- the text ----------------------------------------------------------------------------------


def _card(text: bytes) -> _Card:
    try:
        card = _CARD.validate_json(text)
        if card["schema"] == _CURRENT:
            return card
    except ValidationError:
        pass  # damaged, older, newer or something else: looked at in peace
    return _checked(_upgraded(_json(text)))


def _json(text: bytes) -> dict[str, Any]:
    if not text.strip():
        raise UnreadableError("it is empty")
    try:
        data = from_json(text)
    except ValueError as error:
        raise UnreadableError(f"it is not JSON: {error}") from error
    if not isinstance(data, dict) or not isinstance(data.get("schema"), str):
        raise UnreadableError(f"it is not a scorecard: its schema is not {SCHEMA_NAME}/N")
    return data


def _upgraded(data: dict[str, Any]) -> dict[str, Any]:
    name, _, number = data["schema"].partition("/")
    if name != SCHEMA_NAME:
        raise ForeignError(f"its schema is {data['schema'][:80]!r}")
    version = int(number) if number.isdecimal() and len(number) < 10 else 0
    if version > SCHEMA_VERSION:
        raise UnreadableError(
            f"it was written by a newer harness (schema {version}, known up to {SCHEMA_VERSION})"
        )
    try:
        while version < SCHEMA_VERSION:
            data = UPGRADES[version](data)
            version += 1
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise UnreadableError(
            f"its schema {data['schema'][:80]!r} cannot be brought up to date"
        ) from error
    return data


def _checked(data: dict[str, Any]) -> _Card:
    try:
        return _CARD.validate_python(data)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise UnreadableError(f"it is not a scorecard: {place}: {first['msg']}") from error


# --- the numbers -------------------------------------------------------------------------------


def _points(results: Iterable[_Result]) -> dict[str, Point]:
    grouped: dict[str, list[_Result]] = {}
    for result in results:
        grouped.setdefault(result["milestone"], []).append(result)
    return {name: _point(each) for name, each in grouped.items()}


def _point(results: Sequence[_Result]) -> Point:
    first = results[0]
    accuracies = [result["accuracy"].get("held_out") for result in results]
    known = [value for value in accuracies if value is not None]
    found = {result["status"] for result in results}
    status = "unsupported" if found == {"unsupported"} else overall(found)
    check, cause = _first_bad(
        [each for each in results if overall([each["status"]]) == overall(found)]
    )
    return Point(
        status=status,
        seeds=len(results),
        accuracy=_middle(known),
        lowest=min(known) if known else None,
        target=first["accuracy"]["target"],
        loss=_middle([result["loss"].get("held_out") for result in results]),
        steps_to_target=_middle_steps([result["accuracy"] for result in results]),
        seconds=_middle([result.get("seconds", {}).get("training") for result in results]),
        cause=cause,
        check=check,
    )


def _first_bad(judged: Iterable[_Result | _Engine]) -> tuple[str, str]:
    """Name and reason of the first check that does not pass, ("", "") where all do."""
    for each in judged:
        if each["status"] == "pass":
            continue
        for verdict in each["verdicts"]:
            if verdict["status"] in ("fail", "error"):
                return verdict["check"], verdict["reason"]
    return "", ""


def _middle_steps(accuracies: Sequence[_Accuracy]) -> float | None:
    """The median over the seeds that ended, those that never reach the target being last."""
    ended = [each for each in accuracies if each.get("held_out") is not None]
    steps = [each.get("steps_to_target") for each in ended]
    middle = _middle([math.inf if each is None else each for each in steps])
    return middle if middle is not None and math.isfinite(middle) else None


def _middle(values: Sequence[float | None]) -> float | None:
    """The median of what is known; None where nothing is."""
    known = sorted([value for value in values if value is not None])
    if not known:
        return None
    half = len(known) // 2
    return known[half] if len(known) % 2 else (known[half - 1] + known[half]) / 2.0
