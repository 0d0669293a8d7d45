"""`harness compare` for real: branches of a small repository, run side by side and judged."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.comparison import Comparison, load
from tests.branching import (
    BACKWARD,
    GRADIENT,
    TRAINING,
    add_milestone,
    branch,
    compared,
    edit,
    everything,
    git,
    make_repository,
    nothing_is_left,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Never changed by a test: that is the point."""
    root = make_repository(tmp_path_factory.mktemp("repository"))
    branch(root, "halved", *GRADIENT)
    # Step 21, counted from 0, sees other inputs than the batch that it was given.
    branch(root, "late", TRAINING, BACKWARD, BACKWARD.replace("(x,", "(x * (1 + (step == 22)),"))
    add_milestone(root, "more")
    return root


def written(home: Path) -> Comparison:
    return load(home / "out")


def test_broken_branch_regresses_and_the_tensor_is_named(repository: Path, tmp_path: Path) -> None:
    before = everything(repository)
    code, said, complaints = compared(repository, tmp_path, "main", "halved", "--seeds", "3")
    assert (code, complaints) == (1, "")
    comparison = written(tmp_path)
    (small,) = comparison.milestones
    parted = small.divergence
    assert small.verdict == "REGRESSED"
    assert parted is not None
    assert (parted.step, parted.phase) == (0, "gradient")
    assert {parted.tensor, *parted.also} == {"hidden.weight", "output.weight"}
    assert parted.base is not None
    assert parted.head == pytest.approx(parted.base / 2)
    assert small.seeds == [0, 1, 2]
    assert comparison.base.commit == git(repository, "rev-parse", "main").strip()
    assert comparison.head.commit == git(repository, "rev-parse", "halved").strip()
    assert parted.tensor in said
    assert "harness/autograd/ops/matmul.py:" in said  # from the root: the worktree is gone
    assert "harness-compare-" not in (tmp_path / "out" / "comparison.json").read_text("utf-8")
    assert everything(repository) == before
    assert nothing_is_left(tmp_path)


def test_clean_working_tree_is_its_commit_and_is_remembered(
    repository: Path, tmp_path: Path
) -> None:
    before = everything(repository)
    code, _, complaints = compared(repository, tmp_path, "main", "--seeds", "2")
    assert (code, complaints) == (0, "")
    (small,) = written(tmp_path).milestones
    assert small.verdict == "same"
    assert small.divergence is not None
    assert small.divergence.level == "IDENTICAL"
    assert written(tmp_path).head.dirty is False
    kept = list((tmp_path / "cache" / "milestone-harness" / "compare").iterdir())
    assert len(kept) == 1
    (kept[0] / "curves.npz").write_bytes(b"damaged")
    assert compared(repository, tmp_path, "main", "HEAD", "--seeds", "2")[0] == 0
    assert (kept[0] / "curves.npz").read_bytes() != b"damaged"
    assert everything(repository) == before


def test_changed_working_tree_is_run_as_it_is_and_never_kept(tmp_path: Path) -> None:
    root = make_repository(tmp_path / "repository")
    edit(root / GRADIENT[0], *GRADIENT[1:])
    before = everything(root)
    code, _, _ = compared(root, tmp_path, "main", "--seeds", "2")
    assert code == 1
    comparison = written(tmp_path)
    assert comparison.milestones[0].verdict == "REGRESSED"
    assert (comparison.head.kind, comparison.head.dirty) == ("working tree", True)
    assert len(list((tmp_path / "cache" / "milestone-harness" / "compare").iterdir())) == 1
    assert everything(root) == before


def test_divergence_between_checkpoints_is_found_to_the_step(
    repository: Path, tmp_path: Path
) -> None:
    compared(repository, tmp_path, "main", "late", "--seeds", "2")
    (small,) = written(tmp_path).milestones
    parted = small.divergence
    assert parted is not None
    assert (parted.level, parted.since, parted.step, parted.phase) == ("CHANGED", 20, 21, "forward")
    assert nothing_is_left(tmp_path)


def test_milestone_of_one_side_is_added_or_removed(repository: Path, tmp_path: Path) -> None:
    code, _, _ = compared(repository, tmp_path, "main", "with-more", "--seeds", "2")
    found = {each.milestone: each.verdict for each in written(tmp_path).milestones}
    assert (code, found) == (0, {"small": "same", "more": "added"})
    compared(repository, tmp_path, "with-more", "main", "--seeds", "2")
    found = {each.milestone: each.verdict for each in written(tmp_path).milestones}
    assert found == {"small": "same", "more": "removed"}


def test_named_milestone_of_one_side_is_enough(repository: Path, tmp_path: Path) -> None:
    words = ("more", "--seeds", "2", "--no-timing")
    for refs, verdict in ((("main", "with-more"), "added"), (("with-more", "main"), "removed")):
        code, _, _ = compared(repository, tmp_path, *refs, *words)
        found = {each.milestone: each.verdict for each in written(tmp_path).milestones}
        assert (code, found) == (0, {"more": verdict})


def test_scorecard_is_compared_with_a_branch_on_its_own_seeds(
    repository: Path, tmp_path: Path
) -> None:
    code, _, _ = compared(repository, tmp_path, "main", "main", "--seeds", "2")
    kept = next((tmp_path / "cache" / "milestone-harness" / "compare").iterdir())
    code, _, _ = compared(repository, tmp_path, str(kept), "halved", "--seeds", "9")
    (small,) = written(tmp_path).milestones
    assert (code, small.verdict, small.seeds) == (1, "REGRESSED", [0, 1])
    code, _, _ = compared(tmp_path, tmp_path, str(kept), str(kept / "scorecard.json"))
    assert code == 0  # and no repository is needed


def test_budget_adds_seeds_while_the_answer_is_open(repository: Path, tmp_path: Path) -> None:
    compared(repository, tmp_path, "main", "late", "--seeds", "2")
    (small,) = written(tmp_path).milestones
    assert any(cell.verdict == "inconclusive" for cell in small.cells)
    compared(repository, tmp_path, "main", "late", "--seeds", "2", "--budget", "60")
    (small,) = written(tmp_path).milestones
    assert len(small.seeds) > 2
    assert small.seeds == list(range(len(small.seeds)))
    compared(repository, tmp_path, "main", "main", "--seeds", "2", "--budget", "60")
    (small,) = written(tmp_path).milestones
    assert small.seeds == [0, 1]  # nothing is open between equal bits


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
