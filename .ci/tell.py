"""Tells people on GitHub, through `gh`: one comment of a pull request, one issue for red nights.

`tell.py comment NUMBER FILE` updates the comment whose first line is that of the file, or makes
it. `tell.py issue red TITLE FILE` opens the issue, or adds to the one that is open; `issue green
TITLE` closes it. Needs nothing but Python's standard library.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

LABEL = "red-night"
AUTHOR = "github-actions[bot]"


def main(words: list[str]) -> None:
    """One of the three forms above."""
    match words:
        case ["comment", number, file]:
            comment(number, Path(file))
        case ["issue", "red", title, file]:
            red(title, Path(file))
        case ["issue", "green", title]:
            green(title)
        case _:
            raise SystemExit(f"usage: {__doc__}")


def comment(number: str, file: Path) -> None:
    """Update our comment, known by its first line, or make it; nobody else's is touched."""
    marker = file.read_text(encoding="utf-8").partition("\n")[0]
    if not marker.startswith("<!--"):
        raise SystemExit(f"{file}: the first line is no marker: {marker!r}")
    place = f"repos/{os.environ['GITHUB_REPOSITORY']}/issues"
    pages = json.loads(gh("api", f"{place}/{number}/comments", "--paginate", "--slurp"))
    ours = [
        each["id"]
        for page in pages
        for each in page
        if each["user"]["login"] == AUTHOR and each["body"].startswith(marker)
    ]
    where = f"{place}/comments/{ours[0]}" if ours else f"{place}/{number}/comments"
    gh("api", where, "--method", "PATCH" if ours else "POST", "--field", f"body=@{file}")


def red(title: str, file: Path) -> None:
    """Open the issue; where it is open, give it tonight's title and add tonight's summary."""
    number = open_issue()
    if number:
        gh("issue", "edit", number, "--title", title)
        gh("issue", "comment", number, "--body-file", str(file))
    else:
        gh("label", "create", LABEL, "--force", "--description", "The nightly run is red.")
        gh("issue", "create", "--title", title, "--body-file", str(file), "--label", LABEL)


def green(title: str) -> None:
    """Close the issue, if one is open."""
    if number := open_issue():
        gh("issue", "close", number, "--comment", f"{title}. {run_address()}")


def open_issue() -> str:
    """The number of the issue that is open; "" where there is none."""
    found = gh("issue", "list", "--label", LABEL, "--state", "open", "--json", "number")
    return str(min((each["number"] for each in json.loads(found)), default=""))


def run_address() -> str:
    """Of this run of the workflow."""
    names = ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID")
    server, repository, number = (os.environ[name] for name in names)
    return f"{server}/{repository}/actions/runs/{number}"


def gh(*words: str) -> str:
    """What gh prints; where it fails, this ends with its exit code."""
    done = subprocess.run(["gh", *words], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(done.returncode)
    return done.stdout


if __name__ == "__main__":
    main(sys.argv[1:])
