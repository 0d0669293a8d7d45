"""`harness backend`, and runs of an engine that is not the harness's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness import backends

Harness = Callable[..., tuple[int, str, str]]


@pytest.fixture
def mylib(harness: Harness, tmp_path: Path) -> Path:
    assert harness("backend", "new", "mylib")[0] == 0
    return tmp_path / "mylib_backend.py"


def scorecard(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "runs/latest/scorecard.json").read_text("utf-8"))  # type: ignore[no-any-return]


def test_list_names_every_engine(harness: Harness) -> None:
    code, out, _ = harness("backend", "list")

    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == list(backends.available())


def test_new_writes_a_file_that_passes_and_never_overwrites_it(
    harness: Harness, mylib: Path
) -> None:
    text = mylib.read_text(encoding="utf-8")
    code, out, _ = harness("run", "--backend", "./mylib_backend.py", "perceptron")

    assert code == 0, out
    assert "engine mylib: 7 of 7 checks pass" in out
    assert "1 of 1 milestones pass." in out
    code, _, err = harness("backend", "new", "mylib")
    assert (code, mylib.read_text(encoding="utf-8")) == (2, text)
    assert err.startswith("error: mylib_backend.py is there already, and is left as it is")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("numpy", "'numpy' is the name of an engine that comes with the harness"),
        ("my-lib", "'my-lib' cannot be the name of an engine"),
    ],
)
def test_new_refuses_a_name_that_would_not_do(harness: Harness, name: str, sentence: str) -> None:
    code, _, err = harness("backend", "new", name)

    assert code == 2
    assert err.startswith(f"error: {sentence}")


def test_what_is_not_supported_counts_and_is_told_by_name(
    harness: Harness, mylib: Path, tmp_path: Path
) -> None:
    code, out, _ = harness("run", "--backend", str(mylib), "perceptron", "xor", "--seeds", "2")

    assert code == 1
    assert "1 of 2 milestones pass, 1 not supported." in out
    assert "xor, seed 0 and 1 more: NOT SUPPORTED: backend 'mylib' lacks layer Tanh" in out
    card = scorecard(tmp_path)
    assert [(r["milestone"], r["status"], r["lacks"]) for r in card["results"]] == [
        ("perceptron", "pass", []), ("perceptron", "pass", []),
        ("xor", "unsupported", ["layer Tanh"]), ("xor", "unsupported", ["layer Tanh"]),
    ]  # fmt: skip
    assert card["status"] == "fail"
    source = card["provenance"]
    assert (source["backend"], source["backend_version"]) == ("mylib", "0.1")
    assert "layer Tanh" in card["engine"]["lacks"]


TOLD = {
    "text": "NOT SUPPORTED: backend 'mylib' lacks layer Tanh",
    "json": "NOT SUPPORTED: backend 'mylib' lacks layer Tanh",
    "junit": "failure message=\"NOT SUPPORTED: backend 'mylib' lacks layer Tanh\"",
    "github": "NOT SUPPORTED: backend 'mylib' lacks layer Tanh",
    "markdown": "NOT SUPPORTED: backend 'mylib' lacks layer Tanh",
    "badge": "0 of 1 pass, 1 not supported",
}


@pytest.mark.parametrize("format_", TOLD)
def test_every_report_tells_what_is_not_supported(
    format_: str, harness: Harness, mylib: Path
) -> None:
    code, out, _ = harness("run", "--backend", str(mylib), "xor", "--format", format_)

    assert code == 1
    assert TOLD[format_] in out


def test_nights_and_the_page_tell_what_is_not_supported(
    harness: Harness, mylib: Path, tmp_path: Path
) -> None:
    harness("run", "--backend", str(mylib), "xor")
    harness("history", "nights", "--add", "runs/latest/scorecard.json")
    _, out, _ = harness("history", "nights")
    harness("report", "runs/latest", "nights", "-o", "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")

    assert "xor        NOT SUPPORTED" in out
    assert "XOR is not supported" in page
    assert "0 of 1 milestones pass, 1 not supported" in page


def test_explain_of_what_is_not_supported_says_why(harness: Harness, mylib: Path) -> None:
    code, out, _ = harness("run", "--backend", str(mylib), "xor", "--explain", "hidden.bias")

    assert code == 1
    assert "hidden.bias of xor, seed 0: NOT SUPPORTED: backend 'mylib' lacks layer Tanh." in out


TEN = '''\
"""The harness's own engine with the ten functions that are asked of every one, and no more."""

from harness.backends.base import Backend
from harness.backends.numpy import BACKEND as WHOLE


def forward(name):
    return lambda self, *arguments: getattr(WHOLE, name)(*arguments)


names = sorted(Backend.__abstractmethods__)
given = {"name": "ten", "version": "1", "namespace": WHOLE.namespace}
BACKEND = type("Ten", (Backend,), {**given, **{name: forward(name) for name in names}})()
'''


def test_an_engine_of_ten_functions_loses_what_it_cannot_tell_by_name_and_nothing_else(
    harness: Harness, tmp_path: Path
) -> None:
    (tmp_path / "ten_backend.py").write_text(TEN, encoding="utf-8")
    code, out, _ = harness("run", "--backend", "./ten_backend.py", "xor", "cnn", "-v")

    assert code == 0, out
    card = scorecard(tmp_path)
    not_run = {v["check"]: v["reason"] for r in card["results"] for v in r["verdicts"]
               if v["status"] == "skip"}  # fmt: skip
    assert not_run.pop("graph_is_whole") == "ten does not tell what it makes"
    assert not_run.keys() <= {"follows_reference"}
    assert card["engine"]["lacks"] == [
        f"function {n}" for n in ("no_grad", "keep_gradient", "trace")
    ]
    assert "function no_grad, keep_gradient, trace (ten does not offer them)" in " ".join(
        out.split()
    )


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
