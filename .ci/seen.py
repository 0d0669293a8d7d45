"""What a self-test has seen, as Markdown, and whether the night may go on.

`seen.py DIR CODE` reads DIR/selftest.json and the exit code of `harness selftest --json`, writes
DIR/selftest.md and prints `sees=true` or `sees=false` for $GITHUB_OUTPUT. Where a healthy engine
is accused, the repository itself may be broken: then the milestones say best what it is, and the
night goes on. Needs nothing but Python's standard library.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SHOWN = 20
FIGURES = {
    "caught": "planted faults caught",
    "caught_before_training": "before the first step of training",
    "named": "of the caught, the right part named",
    "harmless_accused": "harmless variants accused",
    "healthy_accused": "healthy looks with an alarm",
}
ANSWERS = {
    (True, True): "It sees what it should, and accuses nothing healthy.",
    (True, False): "It accuses the engine as it is, so that may be broken: see the milestones.",
    (False, False): "**It does not see what it should, so nothing else that it says counts.**",
}


def main(folder: Path, code: str) -> None:
    """Write the summary, and say whether to go on."""
    found = read(folder / "selftest.json")
    healthy = [each for each in found.get("accused", []) if each["fault"] is None]
    passed = code == "0" and found.get("passed") is True
    sees = passed or bool(healthy)
    lines = ["# Does the harness see planted faults?", "", ANSWERS[sees, passed], ""]
    lines += list(figures(found)) + list(complaints(found, code))
    (folder / "selftest.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"sees={str(sees).lower()}")


def read(file: Path) -> dict[str, Any]:
    """All that was printed; nothing where that is no JSON."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def figures(found: dict[str, Any]) -> Iterator[str]:
    """A table of shares."""
    if known := [name for name in FIGURES if name in found.get("figures", {})]:
        yield from ["| | |", "|---|---|"]
        for name in known:
            share = found["figures"][name]
            yield f"| {FIGURES[name]} | {share['part']} of {share['whole']} |"
        yield ""


def complaints(found: dict[str, Any], code: str) -> Iterator[str]:
    """Each fault that was not seen and each thing that was accused, as an item of a list."""
    if not found:
        yield f"`harness selftest` printed nothing that can be read; its exit code was {code}."
        return
    items = [f"`{name}` was seen by nothing" for name in found["survived"]]
    items += [f"`{name}` was not seen by {', '.join(by)}" for name, by in found["missed"].items()]
    items += [
        f"{each['fault'] or 'healthy'} was accused on {each['where']}, seed {each['seed']}: "
        f"`{each['check']}`: {plain(each['reason'])}"
        for each in found["accused"]
    ]
    if code not in ("0", "1"):
        items.append(f"not everything was looked at: the exit code was {code}")
    yield from (f"- {item}" for item in items[:SHOWN])
    if len(items) > SHOWN:
        yield f"- and {len(items) - SHOWN} more, in selftest.json"


def plain(text: str) -> str:
    """One line in which Markdown sees no markup, and that calls nobody."""
    text = " ".join(text.split())[:400]
    for mark in ("\\", "_", "*", "`", "<", "[", "#"):
        text = text.replace(mark, f"\\{mark}")
    return text.replace("@", "@&#8203;")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
