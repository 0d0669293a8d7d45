"""What the words after `harness compare` mean: two sides, and milestones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from harness.branches.repository import Repository, repository_at, unknown_ref
from harness.config_files import milestone_files
from harness.errors import BranchError, UsageError, did_you_mean
from harness.scorecard import FILE_NAME, load

Word = Literal["base", "head"]
WORKING_TREE = "working tree"


@dataclass(frozen=True)
class Target:
    """One side as it was asked for, looked up but not yet run.

    `path` is its scorecard, or the root of its repository. `commit` is that of a ref, or the one
    that a working tree stands on; `is_clean` says whether its files are those of the commit.
    """

    name: str
    kind: Literal["ref", "working tree", "scorecard"]
    path: Path
    milestones: tuple[str, ...]
    commit: str | None = None
    is_clean: bool = False

    @property
    def runs(self) -> bool:
        """Whether there is code to run."""
        return self.kind != "scorecard"

    def __str__(self) -> str:
        known = self.commit and self.kind == "ref" and self.name != self.commit
        return f"{self.name} ({self.commit[:8]})" if known and self.commit else self.name


@dataclass(frozen=True)
class Asked:
    """Both sides, the milestones that were named, and what the reader should know of it."""

    base: Target
    head: Target
    names: tuple[str, ...]
    repository: Repository | None = None
    notes: tuple[str, ...] = ()


def understand(words: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Asked:
    """What BASE [HEAD] [NAME...] mean in a folder.

    A word that names a milestone and no ref is a NAME; a scorecard wins over a ref of its name.
    Raises UsageError for a word that means nothing, and BranchError for a side without code.
    """
    place = _Place(folder, environment)
    base = place.side(words[0])
    if base is None:
        raise unknown_ref(place.repository, words[0])
    rest = list(words[1:])
    head = place.head(rest, base)
    names = tuple(dict.fromkeys(rest))
    known = in_order({*base.milestones, *head.milestones})
    for name in names:
        if name not in known:
            raise UsageError(
                f"neither {base} nor {head} has a milestone '{name}'.{did_you_mean(name, known)}",
                f"Known are {', '.join(known)}.",
            )
    used = place.repository if base.runs or head.runs else None
    return Asked(base, head, names, used, tuple(place.notes))


def in_order(names: Iterable[str]) -> list[str]:
    """Each once, in the order of history; those that are not of this checkout come last."""
    wanted = set(names)
    here = [name for name in milestone_files() if name in wanted]
    return here + sorted(wanted - set(here))


class _Place:
    """Where the words are looked up; the repository only when one is needed."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = environment
        self.notes: list[str] = []

    @cached_property
    def repository(self) -> Repository:
        return repository_at(self._folder, self._environment)

    def head(self, rest: list[str], base: Target) -> Target:
        """The second side, whose word is taken off `rest`; the working tree without one."""
        if not rest:
            return self.working_tree()
        side = self.side(rest[0])
        if side is None:
            head = self.working_tree()
            known = in_order({*base.milestones, *head.milestones})
            if rest[0] in known:
                return head
            raise unknown_ref(self.repository, rest[0], known)
        word = rest.pop(0)
        if side.kind == "ref" and word in side.milestones:
            self.notes.append(f"'{word}' is taken for the ref, not for the milestone of that name")
        return side

    def side(self, word: str) -> Target | None:
        """The scorecard or the ref of that name; None when there is neither."""
        path = self._folder / word
        if _holds_a_scorecard(path):
            if self._is_ref(word):
                self.notes.append(f"'{word}' is taken for the scorecard, not for the ref; "
                                  f"'refs/heads/{word}' is the branch")  # fmt: skip
            names = in_order(each.milestone for each in load(path).results)
            return Target(word, "scorecard", path, tuple(names))
        if (commit := self.repository.commit_of(word)) is None:
            if word and path.exists():
                raise UsageError(f"{path} holds no {FILE_NAME}, and '{word}' is no ref",
                                 "`harness run --out DIR` writes one.")  # fmt: skip
            return None
        return self._of_commit(word, commit)

    def working_tree(self) -> Target:
        """The checkout that we are in."""
        root = self.repository.root
        found = [file.name for file in (root / "configs").glob("*.yaml")]
        has_code = (root / "harness" / "__init__.py").is_file()
        return Target(
            WORKING_TREE,
            "working tree",
            root,
            _milestones("the working tree", found, has_code),
            self.repository.commit_of("HEAD"),
            self.repository.is_clean(),
        )

    def _of_commit(self, word: str, commit: str) -> Target:
        named = [self.repository.commit_of(f"refs/{kind}/{word}") for kind in ("tags", "heads")]
        if None not in named and named[0] != named[1]:
            self.notes.append(f"'{word}' is taken for the tag; 'refs/heads/{word}' is the branch")
        found = self.repository.files(commit, "configs")
        has_code = "__init__.py" in self.repository.files(commit, "harness")
        names = _milestones(f"{word} ({commit[:8]})", found, has_code)
        return Target(word, "ref", self.repository.root, names, commit, True)

    def _is_ref(self, word: str) -> bool:
        try:
            return self.repository.commit_of(word) is not None
        except UsageError:
            return False  # there is no repository, and none is needed


def _holds_a_scorecard(path: Path) -> bool:
    return (path / FILE_NAME).is_file() or (path.is_file() and path.suffix == ".json")


def _milestones(side: str, files: Iterable[str], has_code: bool) -> tuple[str, ...]:
    names = [Path(name).stem for name in files if name.endswith(".yaml")]
    if not has_code:
        raise BranchError(f"{side} has no harness to run: there is no harness/__init__.py",
                          "Compare commits of this project.")  # fmt: skip
    if not names:
        raise BranchError(f"{side} has no milestone to run: there is no YAML file in configs/",
                          "Compare commits that have milestones.")  # fmt: skip
    return tuple(in_order(names))
