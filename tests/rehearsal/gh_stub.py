"""Stands in for `gh` in a rehearsal: knows the calls that our workflows make, and no other.

Issues and comments are in one JSON file, every call is written to a list beside it. As on GitHub,
nothing works without a token, and nothing is written without the permission of the job.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

AUTHOR = {"login": "github-actions[bot]"}


class RefusedError(Exception):
    """What gh says before it ends with 1."""


def main(words: list[str]) -> str:
    """The answer to one call; changes what the file holds."""
    folder = Path(os.environ["REHEARSAL_HUB"])
    with (folder / "calls.jsonl").open("a", encoding="utf-8") as calls:
        calls.write(json.dumps(words) + "\n")
    if not os.environ.get("GH_TOKEN"):
        raise RefusedError(
            "gh: To use GitHub CLI in a workflow, set the GH_TOKEN environment variable."
        )
    file = folder / "hub.json"
    hub = json.loads(file.read_text(encoding="utf-8"))
    answer = _answer(words, hub)
    file.write_text(json.dumps(hub, indent=1), encoding="utf-8")
    return answer


def _answer(words: list[str], hub: dict[str, Any]) -> str:
    match words:
        case ["auth", "setup-git"]:
            return ""
        case ["label", "create", name, *options]:
            _needs("issues", "pull-requests")
            _options(options, "--force", description=None, color=None)
            hub["labels"] = sorted({*hub["labels"], name})
            return ""
        case ["issue", verb, *rest]:
            return _issue(verb, rest, hub)
        case ["api", *rest]:
            return _api(rest, hub)
    raise RefusedError(f"gh stub: not known here: {words}")


def _issue(verb: str, rest: list[str], hub: dict[str, Any]) -> str:
    if verb == "list":
        asked = _options(rest, label=None, state="open", json="", limit="30")
        issues = [i for i in hub["issues"] if i["state"] == asked.state]
        issues = [i for i in issues if asked.label is None or asked.label in i["labels"]]
        return json.dumps([{key: i[key] for key in asked.json.split(",")} for i in issues])
    _needs("issues")
    if verb == "create":
        asked = _options(rest, title="", body_file="", label=None)
        if asked.label not in hub["labels"]:
            raise RefusedError(f"could not add label: {asked.label!r} not found")
        text = Path(asked.body_file).read_text(encoding="utf-8")
        number = len(hub["issues"]) + 1
        issue = {"number": number, "title": asked.title, "body": _fits(text), "state": "open"}
        hub["issues"].append({**issue, "labels": [asked.label], "comments": []})
        return f"https://github.test/issues/{number}"
    found = next((i for i in hub["issues"] if str(i["number"]) == rest[0]), None)
    if found is None:
        raise RefusedError(f"issue {rest[0]} not found")
    asked = _options(rest[1:], title=None, body_file=None, comment=None)
    if verb == "edit" and asked.title:
        found["title"] = asked.title
    elif verb == "comment" and asked.body_file:
        found["comments"].append(_fits(Path(asked.body_file).read_text(encoding="utf-8")))
    elif verb == "close":
        found["comments"] += [_fits(asked.comment)] if asked.comment else []
        found["state"] = "closed"
    else:
        raise RefusedError(f"gh stub: not known here: issue {verb} {rest}")
    return ""


def _api(rest: list[str], hub: dict[str, Any]) -> str:
    """Comments of a pull request: all of them, a new one, another text for one."""
    asked = _options(rest, "--paginate", "--slurp", method="GET", field=None, paths=True)
    body = Path(asked.field.removeprefix("body=@")).read_text("utf-8") if asked.field else ""
    if found := re.fullmatch(r"repos/[\w.-]+/[\w.-]+/issues/(\d+)/comments", asked.path):
        comments = hub["pull_requests"].setdefault(found[1], [])
        if asked.method == "GET":
            return json.dumps([comments] if asked.slurp else comments)
        _needs("issues", "pull-requests")
        hub["last_comment"] += 1
        comments.append({"id": hub["last_comment"], "user": AUTHOR, "body": _fits(body)})
        return json.dumps(comments[-1])
    if found := re.fullmatch(r"repos/[\w.-]+/[\w.-]+/issues/comments/(\d+)", asked.path):
        _needs("issues", "pull-requests")
        for comments in hub["pull_requests"].values():
            for comment in comments:
                if str(comment["id"]) == found[1] and asked.method == "PATCH":
                    comment["body"] = _fits(body)
                    return json.dumps(comment)
    raise RefusedError(f"gh stub: HTTP 404: {asked.path}")


def _needs(*any_of: str) -> None:
    held = json.loads(os.environ["REHEARSAL_PERMISSIONS"])
    if not any(held.get(name) == "write" for name in any_of):
        raise RefusedError(f"gh: Resource not accessible by integration (HTTP 403): needs {any_of}")


def _fits(body: str) -> str:
    if not 0 < len(body) <= 65536:
        raise RefusedError("gh: HTTP 422: body is too long or empty (65536 characters at most)")
    return body


def _options(
    words: list[str], *flags: str, paths: bool = False, **valued: str | None
) -> argparse.Namespace:
    parser = argparse.ArgumentParser(exit_on_error=False, add_help=False)
    for flag in flags:
        parser.add_argument(flag, action="store_true")
    for name, value in valued.items():
        parser.add_argument(f"--{name.replace('_', '-')}", default=value)
    if paths:
        parser.add_argument("path")
    return parser.parse_args(words)


if __name__ == "__main__":
    try:
        print(main(sys.argv[1:]))
    except RefusedError as refused:
        print(refused, file=sys.stderr)
        raise SystemExit(1) from None
