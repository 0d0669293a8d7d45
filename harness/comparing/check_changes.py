"""The verdicts of the checks side by side: what fails now that did not, and the reverse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.comparison import Change, CheckChange, CheckStatus
from harness.scorecard import EngineResult, Result, VerdictRow

# Checks of these stages judge the outcome of a training, in which there is luck: a correct
# engine misses, too, on one seed in a thousand or so.
OUTCOMES = frozenset({"loss", "target", "band"})
# Of so many seeds at least, and of such a share of all, a failure is no longer luck.
_LEAST_SEEDS = 2
_LEAST_SHARE = 0.1
# Ends that tell nothing of the code: killed, out of time, never started.
_NO_VERDICT = frozenset({"JobKilledError", "JobTimeoutError", "JobNotRunError"})
BAD = ("fail", "error")
_RUNS = "runs"


def changes_of_milestone(
    base: Mapping[int, Result], head: Mapping[int, Result]
) -> list[CheckChange]:
    """Of all checks on the seeds in common: those that do not pass on both sides."""
    seeds = sorted(base.keys() & head.keys())
    pairs = [(seed, base[seed].verdicts, head[seed].verdicts) for seed in seeds]
    made = [{v.check for r in side.values() for v in r.verdicts if v.status != "skip"}
            for side in (base, head)]  # fmt: skip
    # Probes look at the first seed of a side, which the other may not have.
    elsewhere = {"now made": made[0], "no longer made": made[1]}
    return [each for each in _changes(pairs) if each.check not in elsewhere.get(each.change, ())]


def changes_of_engine(base: EngineResult | None, head: EngineResult | None) -> list[CheckChange]:
    """The same of the engine by itself; nothing where one side did not look."""
    if base is None or head is None:
        return []
    return [
        change.model_copy(update={"seeds": []})
        for change in _changes([(0, base.verdicts, head.verdicts)])
    ]


def has_no_verdict(result: Result) -> str:
    """Why a training came to nothing for no fault of its code; "" when it did not."""
    for verdict in result.verdicts:
        if verdict.check == _RUNS and verdict.evidence.get("kind") in _NO_VERDICT:
            return verdict.reason
    return ""


def counts(change: CheckChange, stage: str, seeds: int, is_identical: bool) -> bool:
    """Whether a newly failing check shows a regression: one of an outcome must be more than luck.

    `seeds` are all that were compared. Without noise between the sides nothing is luck.
    """
    if change.change != "newly failing":
        return False
    if stage not in OUTCOMES or is_identical:
        return True
    return len(change.seeds) >= max(_LEAST_SEEDS, _LEAST_SHARE * seeds)


def stages(results: Mapping[int, Result]) -> dict[str, str]:
    """The stage of every check."""
    return {v.check: v.stage for result in results.values() for v in result.verdicts}


def _changes(
    pairs: Sequence[tuple[int, Sequence[VerdictRow], Sequence[VerdictRow]]],
) -> list[CheckChange]:
    """Checks in the order of causes, as the sides have them."""
    names = dict.fromkeys(verdict.check for _, one, other in pairs for verdict in (*other, *one))
    looked = [_change(name, pairs) for name in names]
    return [each for each in looked if each is not None]


def _change(
    name: str, pairs: Sequence[tuple[int, Sequence[VerdictRow], Sequence[VerdictRow]]]
) -> CheckChange | None:
    base = {seed: row for seed, rows, _ in pairs if (row := _row(name, rows))}
    head = {seed: row for seed, _, rows in pairs if (row := _row(name, rows))}
    old, new = ({s for s, row in side.items() if row.status in BAD} for side in (base, head))
    newly = sorted(new - old)
    fixed = sorted(seed for seed in old if seed in head and head[seed].status == "pass")
    change: Change
    if newly:
        change, seeds, rows = "newly failing", newly, head
    elif new:
        change, seeds, rows = "still failing", sorted(new), head
    elif fixed:
        change, seeds, rows = "fixed", fixed, base
    elif _is_made(base) and not _is_made(head) and not _crashed(pairs):
        change, seeds, rows = "no longer made", sorted(base), base
    elif _is_made(head) and not _is_made(base) and not _crashed(pairs):
        change, seeds, rows = "now made", sorted(head), head
    else:
        return None
    told = rows[seeds[0]]
    place = told.evidence.get("place")
    return CheckChange(
        check=name, change=change, base=_worst(base), head=_worst(head), reason=told.reason,
        hint=told.hint, place=place if isinstance(place, str) else "", seeds=seeds,
    )  # fmt: skip


def _row(name: str, rows: Sequence[VerdictRow]) -> VerdictRow | None:
    """The verdict of that name; that a training came to its end is only said where it did not."""
    found = next((row for row in rows if row.check == name), None)
    if found is None and name == _RUNS:
        return VerdictRow(check=_RUNS, status="pass", reason="it came to its end")
    return found


def _is_made(rows: Mapping[int, VerdictRow]) -> bool:
    """Whether it judged anything: a check that is left out has the status "skip"."""
    return any(row.status != "skip" for row in rows.values())


def _crashed(pairs: Sequence[tuple[int, Sequence[VerdictRow], Sequence[VerdictRow]]]) -> bool:
    """Whether some training came to nothing: then its checks are missing for that reason."""
    rows = [row for _, one, other in pairs for rows in (one, other) for row in rows]
    return any(row.check == _RUNS for row in rows)


def _worst(rows: Mapping[int, VerdictRow]) -> CheckStatus | None:
    found = {row.status for row in rows.values()}
    order: tuple[CheckStatus, ...] = ("error", "fail", "pass", "skip")
    return next((status for status in order if status in found), None)
