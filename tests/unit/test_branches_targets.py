"""What the words after `harness compare` mean, in a small repository without any code in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.branches.repository import last_line, repository_at
from harness.branches.session import Request, planned
from harness.branches.targets import Asked, understand
from harness.errors import BranchError, UsageError
from harness.scorecard import save
from tests.branching import clean_environment, everything, git
from tests.examples import healthy, judged, scorecard_of

ENVIRONMENT = {**clean_environment(), "GIT_DIR": "/nowhere"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two milestones on main, of which "old" is gone on the branch "new"; `mlp` is a branch."""
    root = tmp_path / "repository"
    for file in ("harness/__init__.py", "configs/small.yaml", "configs/old.yaml", ".gitignore"):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text("# nothing\n", encoding="utf-8")
    (root / ".gitignore").write_text("*.tmp\n__pycache__/\n", encoding="utf-8")
    git(root, "init", "--quiet", "--initial-branch", "main")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message", "one")
    git(root, "branch", "small")
    git(root, "checkout", "--quiet", "-b", "new")
    git(root, "rm", "--quiet", "configs/old.yaml")
    git(root, "commit", "--quiet", "--message", "two")
    git(root, "tag", "v1.0")
    return root


def asked(root: Path, *words: str) -> Asked:
    return understand(words, root, ENVIRONMENT)


def scorecard_in(folder: Path, seeds: tuple[int, ...] = (0, 1, 2, 7)) -> Path:
    folder.mkdir()
    records = [healthy(seed=seed) for seed in seeds]
    return save(scorecard_of(*map(judged, records)), records, folder).parent


def test_one_ref_is_compared_with_the_working_tree(root: Path) -> None:
    found = asked(root, "main")
    assert (found.base.name, found.base.kind) == ("main", "ref")
    assert found.base.commit == git(root, "rev-parse", "main").strip()
    assert (found.head.name, found.head.kind) == ("working tree", "working tree")
    assert (found.head.is_clean, found.names) == (True, ())
    assert found.base.milestones == ("old", "small")
    assert found.head.milestones == ("small",)


def test_second_word_is_a_ref_before_it_is_a_milestone(root: Path) -> None:
    found = asked(root, "main", "small")
    assert (found.head.name, found.head.kind, found.names) == ("small", "ref", ())
    assert found.notes == ("'small' is taken for the ref, not for the milestone of that name",)
    git(root, "branch", "--quiet", "--delete", "--force", "small")
    found = asked(root, "main", "small")
    assert (found.head.kind, found.names, found.notes) == ("working tree", ("small",), ())


def test_milestone_of_the_base_alone_can_be_named(root: Path) -> None:
    assert asked(root, "main", "old").names == ("old",)
    assert asked(root, "main", "v1.0", "old", "small", "old").names == ("old", "small")


def test_scorecard_wins_over_a_ref_of_its_name(root: Path) -> None:
    scorecard_in(root / "v1.0")
    found = asked(root, "v1.0", "main")
    assert (found.base.kind, found.base.milestones) == ("scorecard", ("small",))
    assert found.notes == (
        "'v1.0' is taken for the scorecard, not for the ref; 'refs/heads/v1.0' is the branch",
    )


def test_two_scorecards_need_no_repository(tmp_path: Path) -> None:
    scorecard_in(tmp_path / "a")
    found = asked(tmp_path, "a", "a/scorecard.json")
    assert (found.base.kind, found.head.kind, found.repository) == ("scorecard", "scorecard", None)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("mian",), "'mian' is no branch, tag or commit of "),
        (("mian",), "and no scorecard. Did you mean 'main'?"),
        (("main", "v10"), "Did you mean 'v1.0'?"),
        (("main", "odl"), "Did you mean 'old'?"),
        (("main", "new", "smal"), "has a milestone 'smal'. Did you mean 'small'?"),
        (("harness",), "harness holds no scorecard.json, and 'harness' is no ref"),
        (("",), "'' is no branch, tag or commit of "),
        (("--upload-pack=x",), "'--upload-pack=x' is no branch"),
    ],
)
def test_word_that_means_nothing_is_a_sentence(
    root: Path, words: tuple[str, ...], sentence: str
) -> None:
    with pytest.raises(UsageError) as caught:
        asked(root, *words)
    assert sentence in str(caught.value)


def test_ref_without_code_or_milestones_cannot_be_run(root: Path) -> None:
    git(root, "rm", "--quiet", "configs/small.yaml")
    git(root, "commit", "--quiet", "--message", "three")
    with pytest.raises(BranchError, match="has no milestone to run"):
        asked(root, "HEAD", "main")
    git(root, "rm", "--quiet", "harness/__init__.py")
    git(root, "commit", "--quiet", "--message", "four")
    with pytest.raises(BranchError, match="has no harness to run"):
        asked(root, "HEAD", "main")


@pytest.mark.parametrize(
    ("file", "is_clean"),
    [
        ("notes.txt", True),
        ("harness/__pycache__/x.pyc", True),
        ("harness/extra.py", False),
        ("harness/ignored.tmp", False),
        ("data/extra.npz", False),
        ("harness/__init__.py", False),
    ],
)
def test_tree_is_clean_when_nothing_that_is_read_differs(
    root: Path, file: str, is_clean: bool
) -> None:
    repository = repository_at(root, ENVIRONMENT)
    assert repository.is_clean()
    (root / file).parent.mkdir(exist_ok=True)
    (root / file).write_text("changed\n", encoding="utf-8")
    assert repository.is_clean() is is_clean


def test_looking_changes_nothing(root: Path) -> None:
    (root / "harness" / "__init__.py").touch()  # git would refresh its index
    before = everything(root)
    repository = repository_at(root, ENVIRONMENT)
    digest = repository.digest_of_files()
    assert repository.is_clean()
    assert asked(root, "main", "v1.0").base.commit is not None
    assert everything(root) == before
    (root / "configs" / "small.yaml").write_text("# other\n", encoding="utf-8")
    assert repository.digest_of_files() != digest


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Traceback\n  File x\nSyntaxError: no\n\n", "SyntaxError: no"),
        ("error: cannot be: so\n  A hint.\n", "cannot be: so"),
        ("warning: x\nfatal: not a tree\n", "not a tree"),
        ("", "it said nothing"),
    ],
)
def test_last_line_is_the_complaint_itself(text: str, line: str) -> None:
    assert last_line(text) == line


# --- which seeds are run -----------------------------------------------------------------


def test_milestone_of_one_side_is_run_once(root: Path) -> None:
    plan = planned(Request(asked(root, "main"), {}, seeds=5))
    assert plan == {"old": {"base": range(1)}, "small": {"base": range(5), "head": range(5)}}


def test_seeds_are_those_on_record_else_twenty(root: Path) -> None:
    assert planned(Request(asked(root, "main"), {}))["small"]["head"] == range(20)


def test_against_a_scorecard_its_own_seeds_are_run(root: Path) -> None:
    scorecard_in(root / "night")
    assert planned(Request(asked(root, "night", "main"), {})) == {"small": {"head": range(3)}}
    found = asked(root, "main", "night")
    assert planned(Request(found, {}, seeds=2)) == {"small": {"base": range(2)}}
    assert planned(Request(asked(root, "night", "night"), {})) == {}


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
