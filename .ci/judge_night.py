"""What a night has come to: a verdict, a title, and a summary that a stranger understands.

Reads the scorecards and comparisons in a folder, writes `summary.md` and `title.txt` beside them
and prints `verdict`, `title` and `scorecard` for $GITHUB_OUTPUT.
"""

from __future__ import annotations

import argparse
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.comparison import Comparison, MilestoneComparison
from harness.comparison import load as load_comparison
from harness.errors import HarnessError
from harness.reports.comparing.markdown import render as comparison_markdown
from harness.reports.escapes import code, fitted, markdown, one_line, table
from harness.reports.markdown import render as scorecard_markdown
from harness.reports.summary import Failure, failures, place_of
from harness.scorecard import Scorecard, load

MARKER = "<!-- harness-night -->"
SHOWN_COMMITS = 20
ARTIFACT = "night"


@dataclass(frozen=True)
class Finding:
    """The first thing that is wrong, in words."""

    what: str
    why: str
    tensors: tuple[str, ...] = ()
    place: str = ""
    command: str = ""


@dataclass(frozen=True)
class Night:
    """Exit codes of the night's commands, None where one was not run, and what they wrote."""

    folder: Path
    selftest: int | None
    run: int | None
    good: int | None
    release: int | None
    rotating: int | None
    good_commit: str
    accept: bool

    @property
    def scorecard(self) -> Scorecard | None:
        """Of all milestones on the fixed seeds."""
        return _scorecard(self.folder / "run")

    @property
    def verdict(self) -> str:
        """Red where a check fails, or the last good night was better and nobody accepts that."""
        failed = self.run != 0 or self.selftest not in (None, 0) or self.scorecard is None
        return "red" if failed or self.is_worse else "green"

    @property
    def is_worse(self) -> bool:
        """Whether the last good night was better, or the comparison broke; 3 is not comparable."""
        return self.good not in (None, 0, 3) and not (self.accept and self.good == 1)


def main() -> None:
    """Judge the night whose folder and exit codes are given."""
    night = _night()
    found = finding(night) if night.verdict == "red" else None
    title = _title(night, found)
    (night.folder / "title.txt").write_text(title + "\n", encoding="utf-8")
    (night.folder / "summary.md").write_text(summary(night, title, found), encoding="utf-8")
    print(f"verdict={night.verdict}", f"title={title}", sep="\n")
    print(f"scorecard={str(night.scorecard is not None).lower()}")


def finding(night: Night) -> Finding:
    """What to tell first of a red night."""
    scorecard = night.scorecard
    if scorecard and (found := failures(scorecard)):
        return _of_failure(found[0], scorecard)
    if scorecard is None:
        return Finding("no scorecard", f"harness run ended with exit code {night.run}")
    if not night.is_worse:
        return Finding("harness selftest", "it accuses what the milestones of this night do not")
    comparison = _comparison(night.folder / "good")
    worse = [m for m in comparison.milestones if m.verdict == "REGRESSED"] if comparison else []
    if worse:
        return _of_regression(worse[0])
    newly = [c for c in comparison.engine if c.change == "newly failing"] if comparison else []
    if newly:
        return Finding(f"engine: {newly[0].check}", newly[0].reason, place=newly[0].place)
    return Finding("no comparison", f"harness compare ended with exit code {night.good}")


def _of_failure(failure: Failure, scorecard: Scorecard) -> Finding:
    """A tensor is told by the milestone that it spoils, where the cause is in the engine."""
    spoiled = failure.spoils[0] if failure.spoils else failure
    name = spoiled.milestone if spoiled.seeds else scorecard.results[0].milestone
    seed = spoiled.seeds[0] if spoiled.seeds else 0
    labels = {p.label for r in scorecard.results if r.milestone == name for p in r.parameters}
    named = [
        [label for key in ("tensors", "culprits") for label in verdict.evidence.get(key, [])]
        for verdict in (spoiled.cause, *spoiled.consequences)
    ]
    known = [tuple(dict.fromkeys(x for x in each if x in labels)) for each in named]
    return Finding(
        what=f"{failure.where}: {failure.cause.check}",
        why=failure.cause.reason,
        tensors=next((each for each in known if each), ()),
        place=place_of(failure.cause),
        command=f"harness run {name} --seed {seed}",
    )


def _of_regression(milestone: MilestoneComparison) -> Finding:
    parted = milestone.divergence
    tensors = (parted.tensor, *parted.also) if parted and parted.tensor else ()
    place = next((each.place for each in milestone.checks if each.place), "")
    what = f"{milestone.milestone}: worse than on the last good night"
    return Finding(what, milestone.headline, tensors, place, milestone.reproduce)


def _title(night: Night, found: Finding | None) -> str:
    if found:
        tensor = f", {found.tensors[0]}" if found.tensors else ""
        return one_line(f"Red night: {found.what}{tensor}", 200)
    if night.good == 3:
        return "Green night, but not compared with the last good one"
    return "Green night: all milestones pass"


def summary(night: Night, title: str, found: Finding | None) -> str:
    """All of it as Markdown: what to know first, then what it was read from."""
    blocks = [f"{MARKER}\n# {markdown(title)}"]
    blocks += list(_first(night, found)) if found else []
    blocks += [_links()] if _links() else []
    return fitted([*blocks, *_details(night)], rest=f"all of it is in the artifact {ARTIFACT}")


def _first(night: Night, found: Finding) -> Iterator[str]:
    rows = [("what broke", markdown(found.what)), ("why", markdown(found.why))]
    if found.tensors:
        rows.append(("in which tensor", ", ".join(map(_code, found.tensors[:6]))))
    if found.place:
        rows.append(("on which line", _code(found.place)))
    since, commits = _since(night.good_commit)
    rows.append(("since which commit", since))
    if found.command:
        command = found.command.replace("harness ", ".venv/bin/harness ", 1)
        commit = _git("rev-parse", "--short", "HEAD")
        rows.append(
            ("reproduce", _code(f"git checkout {commit} && make .venv/.ready && {command}"))
        )
    yield table(("", ""), rows)
    if commits:
        yield "Commits since the last good night, newest first:\n\n" + "\n".join(commits)


def _since(good: str) -> tuple[str, list[str]]:
    """In words, and the commits that may be to blame."""
    if not good:
        return "there is no good night before this one", []
    listed = _git("log", "--format=%h %s", f"{good}..HEAD").splitlines()
    before = f"the last good night was at `{good[:7]}`"
    if not listed:
        return f"no commit since then: {before}; look at the machine and the packages", []
    commits = [f"- `{line.split(' ', 1)[0]}` {markdown(line.partition(' ')[2])}" for line in listed]
    if len(commits) == 1:
        return f"{commits[0][2:]}, the only one: {before}", []
    more = len(commits) - SHOWN_COMMITS
    shown = commits[:SHOWN_COMMITS] + ([f"- and {more} before these"] if more > 0 else [])
    return f"one of {len(commits)}, listed below: {before}", shown


def _details(night: Night) -> Iterator[str]:
    if night.good == 3:
        yield "**Not compared with the last good night**; below is why. Nothing was shown."
    if night.good == 1 and night.accept:
        yield "**Worse than the last good night, and accepted by hand.**"
    if night.scorecard:
        yield f"## This night\n\n{_lower(scorecard_markdown(night.scorecard))}"
    yield from _against("the last good night", night.folder / "good", night.good)
    yield from _against("the last release", night.folder / "release", night.release)
    if rotating := _scorecard(night.folder / "rotating"):
        text = _lower(scorecard_markdown(rotating))
        yield f"## On a seed that is new every night: information, no gate\n\n{text}"
    elif night.rotating is not None:
        yield f"On the seed of this night there is no scorecard: exit code {night.rotating}."
    history = night.folder / "history.txt"
    if history.exists():
        text = history.read_text(encoding="utf-8").strip()
        yield f"## The nights so far\n\n````text\n{text}\n````"


def _against(name: str, folder: Path, exit_code: int | None) -> Iterator[str]:
    """What a comparison says, without its mark; that there is none, where there should be."""
    if comparison := _comparison(folder):
        text = comparison_markdown(comparison).partition("\n")[2]
        yield f"## Against {name}\n\n{_lower(text)}"
    elif exit_code is not None:
        yield f"## Against {name}\n\nNo comparison: harness compare ended with {exit_code}."


def _lower(text: str) -> str:
    """Its headings one level lower."""
    lines = text.strip().splitlines()
    return "\n".join(f"#{line}" if line.startswith("#") else line for line in lines)


def _links() -> str:
    """The run, and where the page is; nothing outside of GitHub."""
    names = ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID")
    server, repository, number = (os.environ.get(name, "") for name in names)
    if not (server and repository and number):
        return ""
    run = f"{server}/{repository}/actions/runs/{number}"
    return f"[This run]({run}), whose artifact `night` has the page `page.html` and all numbers."


def _code(text: str) -> str:
    """Code in a cell of a table, which a bar would end."""
    return code(text).replace("|", "\\|")


def _scorecard(folder: Path) -> Scorecard | None:
    try:
        return load(folder)
    except HarnessError:
        return None


def _comparison(folder: Path) -> Comparison | None:
    try:
        return load_comparison(folder)
    except HarnessError:
        return None


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], capture_output=True, text=True).stdout.strip()


def _night() -> Night:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    for name in ("selftest", "run", "good", "release", "rotating"):
        parser.add_argument(f"--{name}", type=_code_of, help="Its exit code, if it was run.")
    parser.add_argument("--good-commit", default="", help="The commit of the last good night.")
    parser.add_argument("--accept", default="", help="'true' where a regression is accepted.")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    values = {**vars(asked), "accept": asked.accept == "true"}
    return Night(**values)


def _code_of(word: str) -> int | None:
    return int(word) if word else None


if __name__ == "__main__":
    main()
