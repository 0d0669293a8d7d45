"""`harness selftest` for real, on few faults, and on some that only stand in these tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness import faults, selftest
from harness.checks import all_checks
from harness.errors import UsageError
from harness.faults import all_faults
from harness.faults.base import Fault, fault
from harness.faults.ground import Ground
from harness.kill_matrix import ENGINE, RUNS, KillMatrix, Look, Row, Share, early_checks
from harness.reports.fault_page import seen_by
from harness.selftest import HEALTHY_SEEDS, Selection, chosen_faults, run_selftest, take
from tests.examples import ROOT

SMALLEST = "perceptron"
SAMPLED = 12


def harness(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "harness", "selftest", *arguments],
        cwd=folder, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


# --- faults that stand in these tests ---------------------------------------------------


def _halve_the_loss(ground: Ground) -> None:
    right = ground.backend.namespace.losses["BCEWithLogitsLoss"]

    def factory() -> Callable[..., Any]:
        loss = right()
        return lambda logits, targets: loss(logits, targets) * 0.5

    ground.swap("losses", "BCEWithLogitsLoss", factory)


@fault(SMALLEST, component=("BCEWithLogitsLoss",), seen_by=("gradients_agree",))
def loss_halved(ground: Ground) -> None:
    """The loss is half of what it should be."""
    _halve_the_loss(ground)


@fault(SMALLEST, is_harmless=True)
def loss_halved_harmlessly(ground: Ground) -> None:
    """The loss is half of what it should be, which is said to be right."""
    _halve_the_loss(ground)


@fault(SMALLEST, component=("Linear",), seen_by=("gradients_agree",))
def nothing_wrong(ground: Ground) -> None:
    """Nothing is wrong."""


@fault(SMALLEST, component=("Linear",), survives="Nothing is wrong.")
def nothing_wrong_and_said_so(ground: Ground) -> None:
    """Nothing is wrong, and that is declared."""


@fault(SMALLEST, component=("Linear",), seen_by=("gradients_agree",))
def out_of_date(ground: Ground) -> None:
    """A fault that no longer fits the code."""
    raise KeyError("conv9")


@fault(SMALLEST, component=("Linear",), seen_by=("gradients_agree",))
def process_ends(ground: Ground) -> None:
    """The process of the job dies while a layer is made."""
    ground.swap("layers", "Linear", lambda *args, **kwargs: os._exit(7))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., KillMatrix]:
    """The matrix of one of these faults; processes are forked, so that they know it, too."""

    def run(planted: Fault) -> KillMatrix:
        for module in (faults, selftest):
            monkeypatch.setattr(module, "all_faults", lambda: {planted.name: planted})
        return run_selftest(Selection(milestones=[SMALLEST], jobs=2, timeout=30.0))

    return run


def test_fault_is_caught_by_the_check_that_it_names(run: Callable[..., KillMatrix]) -> None:
    matrix = run(loss_halved)
    (row,) = matrix.rows
    assert "gradients_agree" in row.seen
    assert row.is_caught_early
    assert [look.where for look in row.looks] == [ENGINE, SMALLEST]
    assert matrix.exit_code == 0
    assert len(matrix.healthy) == 2 * HEALTHY_SEEDS
    assert next(w for w in matrix.worths if w.check == "gradients_agree").milliseconds


def test_fault_that_survives_exits_1(run: Callable[..., KillMatrix]) -> None:
    matrix = run(nothing_wrong)
    assert [row.fault.name for row in matrix.survived] == ["nothing_wrong"]
    assert matrix.exit_code == 1


def test_fault_declared_to_survive_exits_0(run: Callable[..., KillMatrix]) -> None:
    matrix = run(nothing_wrong_and_said_so)
    assert matrix.figures["caught"] == Share(0, 1)
    assert matrix.exit_code == 0


def test_accused_harmless_variant_exits_1(run: Callable[..., KillMatrix]) -> None:
    matrix = run(loss_halved_harmlessly)
    assert "gradients_agree" in {each.finding.check for each in matrix.accused}
    assert matrix.exit_code == 1


def test_fault_that_cannot_be_planted_is_not_caught(run: Callable[..., KillMatrix]) -> None:
    matrix = run(out_of_date)
    assert {look.broken for look in matrix.broken} == {
        "fault 'out_of_date' cannot be planted: KeyError: 'conv9'"
    }
    assert (matrix.rows[0].is_caught, matrix.exit_code) == (False, 3)


def test_fault_that_kills_its_process_is_caught(run: Callable[..., KillMatrix]) -> None:
    (row,) = run(process_ends).rows
    assert RUNS in row.seen


# --- which faults, and where ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--family", "scalign"], "unknown family 'scalign'. Did you mean 'scaling'?"),
        (["--fault", "ce_grad_factor"], "unknown fault 'ce_grad_factor'. Did you mean"),
        (["--milestone", "cmn"], "unknown milestone 'cmn'. Did you mean 'cnn'?"),
        (["--json", "--markdown"], "give --json or --markdown, not both"),
        (["--seed", "-1"], "--seed"),
    ],
)
def test_wrong_usage_plants_nothing(tmp_path: Path, options: list[str], message: str) -> None:
    done = harness(tmp_path, *options)
    assert done.returncode == 2
    assert message in done.stderr


def test_list_plants_nothing_and_names_the_faults_of_a_family(tmp_path: Path) -> None:
    done = harness(tmp_path, "--list", "--family", "scaling")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("scaling\n")
    listed = {line.split(":")[0].strip() for line in done.stdout.splitlines()[1:]}
    assert listed == {each.name for each in all_faults().values() if each.family == "scaling"}


def test_choosing_a_milestone_leaves_out_faults_of_others_only() -> None:
    chosen = chosen_faults(Selection(milestones=[SMALLEST]))
    assert all(not each.milestones or SMALLEST in each.milestones for each in chosen)
    assert "ce_grad_factor2" not in {each.name for each in chosen}


def test_families_and_faults_add_up() -> None:
    chosen = {each.name for each in chosen_faults(Selection(["scaling"], ["adam_v_abs"]))}
    scaling = {each.name for each in all_faults().values() if each.family == "scaling"}
    assert chosen == scaling | {"adam_v_abs"}
    with pytest.raises(UsageError):
        chosen_faults(Selection(faults=["adam_v_ab"]))


# --- the command ----------------------------------------------------------------------------


def test_command_prints_the_matrix_and_everything_as_json(tmp_path: Path) -> None:
    choice = ("--fault", "ce_grad_factor2", "--milestone", "mlp")
    text, whole = harness(tmp_path, *choice), harness(tmp_path, *choice, "--json")
    assert "ce_grad_factor2" in text.stdout
    assert "faults caught" in text.stdout
    assert "1 fault, 0 harmless variants in 8 looks" in text.stdout
    found = json.loads(whole.stdout)
    assert text.returncode == whole.returncode == (0 if found["passed"] else 1)
    assert "mlp" in found["faults"][0]["seen"]["gradients_agree"]
    assert {check["check"] for check in found["checks"]} >= {each.name for each in all_checks()}
    assert list(tmp_path.iterdir()) == []


# --- the page -------------------------------------------------------------------------------


def early_part(cell: str) -> dict[str, set[str]]:
    """The checks of a "seen by" that judge before training, and where each complains."""
    found: dict[str, set[str]] = {}
    for group in filter(None, cell.split("; ")):
        places, _, checks = group.partition(": ")
        for check in checks.split(", "):
            if check in early_checks(all_checks()):
                found.setdefault(check, set()).update(places.split(", "))
    return found


def on_record() -> dict[str, str]:
    """What the page says that sees each fault, by name."""
    page = (ROOT / "milestones" / "FAULTS.md").read_text(encoding="utf-8")
    matrix, _, _ = page.partition("\n### harmless variants")
    lines = [line for line in matrix.splitlines() if line.startswith("| `")]
    cells = [line.split(" | ") for line in lines]
    return {name.strip("| `"): seen for name, _, _, seen, _ in cells}


def sample() -> list[str]:
    """A dozen faults, evenly spread over the page: as many families as there can be."""
    names = list(on_record())
    return [names[i * len(names) // SAMPLED] for i in range(SAMPLED)] if names else []


@pytest.mark.slow
def test_page_on_record_says_of_a_sample_what_sees_it() -> None:
    """Before training, where no rounding of another machine decides."""
    matrix = run_selftest(Selection(faults=sample(), jobs=2))
    said = on_record()
    for row in matrix.rows:
        assert early_part(said[row.fault.name]) == early_part(seen_by(row)), row.fault.name


def test_a_look_carries_verdicts_and_no_curves() -> None:
    configs = selftest._smallest_first("numpy")
    task = selftest._task(Look(SMALLEST, 0), configs, "numpy")
    look = take(task.look, task.job)
    assert {f.check for f in look.findings} == {c.name for c in all_checks() if c.scope != ENGINE}
    assert look.bad == []
    assert Row(nothing_wrong, (look,), frozenset()).is_caught is False


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
