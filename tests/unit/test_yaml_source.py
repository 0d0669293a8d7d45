"""YAML as plain data with places; what PyYAML would misread is refused where it stands."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harness.errors import ConfigError, Problem
from harness.yaml_source import MAX_SIZE_BYTES, dotted, parse, read
from tests.examples import placed


def problems_of(text: str) -> list[Problem]:
    """All that is wrong with a text, whether it is raised or left for the caller to raise."""
    try:
        return parse(text, "t.yaml").problems
    except ConfigError as error:
        return error.problems


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-3", -3),
        ("+7", 7),
        ("0", 0),
        ("1.5", 1.5),
        ("-.5", -0.5),
        ("1.", 1.0),
        ("1.0e-3", 0.001),
        ("2.5E+2", 250.0),
        ("true", True),
        ("false", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("word", "word"),
        ("'no'", "no"),
        ('"012"', "012"),
        ("'1e-3'", "1e-3"),
        ("'true'", "true"),
        ("Yes, please", "Yes, please"),
        ("1969-07-20", "1969-07-20"),
        ("v1.2.3", "v1.2.3"),
        ("|\n  a\n  b\n", "a\nb\n"),
        ("[1, [2.0, x], {b: }]", [1, [2.0, "x"], {"b": None}]),
        ("{}", {}),
        ("é", "é"),
    ],
)
def test_value_means_what_a_person_reads(text: str, value: object) -> None:
    source = parse(f"a: {text}", "t.yaml")
    assert source.problems == []
    assert source.data == {"a": value}
    assert type(source.data["a"]) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: ^1e-3", "a: is the text '1e-3', expected a number. YAML needs the dot: 1.0e-3"),
        ("a: ^5E7", "a: is the text '5E7', expected a number. YAML needs the dot: 5.0E7"),
        ("a: ^no", "a: 'no' may mean a truth value; write true or false, or 'no' in quotes"),
        ("a: [1, ^On]", "a[1]: 'On' may mean a truth value; write true or false, or 'On' in"),
        ("a: ^y", "a: 'y' may mean a truth value"),
        ("a: ^True", "a: write true in lower case, or 'True' in quotes"),
        ("a: ^NULL", "a: write null in lower case, or 'NULL' in quotes"),
        ("a: ^012", "a: '012' may mean several numbers; write it in plain decimal, or in quotes"),
        ("a: ^0x1F", "a: '0x1F' may mean several numbers"),
        ("a: ^0o17", "a: '0o17' may mean several numbers"),
        ("a: ^1_000", "a: '1_000' may mean several numbers"),
        ("a: ^1:30", "a: '1:30' may mean several numbers"),
        ("a: ^.inf", "a: '.inf' is not a finite number"),
        ("a: ^-.Inf", "a: '-.Inf' is not a finite number"),
        ("a: ^.nan", "a: '.nan' is not a finite number"),
        ("a: ^1.0e999", "a: '1.0e999' is not a finite number"),
        ("a: 1\nb:\n  c: 2\n  ^c: 3", "b: the key 'c' stands here twice"),
        ("{a: 1, ^a: 1}", "the key 'a' stands here twice"),
        ("^[1]: 2", "a key must be a word"),
        ("a: ^!foo x", "a: tags such as !foo are not taken"),
        ("a: ^&x 1", "anchors and aliases (& and *) are not taken; write the value out"),
        ("a: ^*x", "anchors and aliases (& and *) are not taken; write the value out"),
        ("a: b^: c", "not valid YAML: mapping values are not allowed in this context"),
        ("^\tx", "not valid YAML: found character that cannot start any token"),
        ("a: 1\n^---\nb: 2", "not valid YAML: but found another document"),
    ],
)
def test_misleading_yaml_is_refused_where_it_stands(text: str, message: str) -> None:
    text, place = placed(text)
    (problem,) = problems_of(text)
    assert str(problem).startswith(f"t.yaml:{place}: {message}")


@pytest.mark.parametrize(
    "text",
    [
        "a: ^!!int '3'",
        "a: ^!!str 3",
        "a: ^!!python/object/apply:os.getcwd []",
        "a: ^!!python/name:os.system x",
        "a: ^!mine [1]",
        "a: ^!mine {b: 1}",
        "a: ^!!set {b}",
        "a: ^! x",
        "^!mine {a: 1}",
        "? ^!!str a\n: 1",
        "a: ^!<tag:example.org,2000:x> 1",
    ],
)
def test_tags_are_refused_on_every_kind_of_value(text: str) -> None:
    text, place = placed(text)
    found = problems_of(text)
    assert [str(problem).split(": ")[0] for problem in found] == [f"t.yaml:{place}"]
    assert "tag" in found[0].message


def test_caret_stands_under_the_place() -> None:
    (problem,) = problems_of("a:\n  lr: 1e-3   # learning rate\n")
    line, caret = str(problem).splitlines()[1:]
    assert line == "      lr: 1e-3   # learning rate"
    assert caret.index("^") == line.index("1e-3")


def test_problem_in_a_very_long_line_shows_no_snippet() -> None:
    (problem,) = problems_of(f"a: [{'0, ' * 200}no]")
    assert str(problem).count("\n") == 0


def test_every_misleading_value_is_found_at_once() -> None:
    found = problems_of("a: no\nb: 012\nc: {d: 1e-3, d: 2}\ne: !x 1\n")
    assert [(problem.line, problem.path) for problem in found] == [
        (1, "a"),
        (2, "b"),
        (3, "c.d"),
        (3, "c"),
        (4, "e"),
    ]


def test_place_of_a_missing_path_is_that_of_its_parent() -> None:
    source = parse("a:\n  b: {c: 1}\n", "t.yaml")
    assert str(source.problem(("a", "b", "x"), "is missing")).startswith("t.yaml:2:6: a.b.x: is")
    assert str(source.problem(("z",), "is missing")).startswith("t.yaml:1:1: z: is missing")


def test_path_is_shown_with_dots_and_brackets() -> None:
    assert dotted(("layers", "conv1", 0, "a")) == "layers.conv1[0].a"
    assert dotted(()) == ""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"# nothing but a comment\n", "is empty"),
        (b"a: \xff\xfe", "is not UTF-8 text (byte 3)"),
        (b"x" * (MAX_SIZE_BYTES + 1), "is larger than 1 MB"),
        (b"a: \x00", "not valid YAML: "),
    ],
)
def test_unusable_file_is_refused(
    content: bytes, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("t.yaml").write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read(tmp_path / "t.yaml")
    assert str(caught.value).startswith(f"t.yaml: {message}")


@pytest.mark.parametrize(("name", "reason"), [("gone.yaml", "No such file"), (".", "Is a direct")])
def test_unreadable_file_is_refused(name: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"cannot be read: {reason}"):
        read(tmp_path / name)


def test_a_number_of_any_length_is_read_or_refused() -> None:
    assert parse(f"a: {'9' * 30}", "t.yaml").data == {"a": int("9" * 30)}
    problems_of(f"a: {'9' * 5000}")  # longer than Python turns into an int
    problems_of(f"a: {'9' * 5000}.0")


EVIL = {
    "brackets": "'[' * 100000",
    "closed brackets": "'[' * 50000 + ']' * 50000",
    "braces": "'{a: ' * 50000",
    "dashes": "'- ' * 100000",
    "questions": "'? ' * 100000",
    "mappings": "''.join(' ' * i + 'a:\\n' for i in range(1000))",
    "laughs": "'a: &a [x, x]\\n' + ''.join("
    "f'{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)}, *{chr(97 + i)}]\\n' for i in range(24))",
    "loop": "'a: &a [*a]'",
    "quote": "'\"' + 'x' * 900000",
}


def test_evil_yaml_is_refused_without_a_crash() -> None:
    """In a process of its own: a stack that overflows in C takes the interpreter with it."""
    script = "from harness.yaml_source import parse\nfrom harness.errors import ConfigError\n"
    for name, text in EVIL.items():
        script += f"""
try:
    refused = bool(parse({text}, "t.yaml").problems)
except ConfigError:
    refused = True
print({name!r} if refused else "accepted " + {name!r}, flush=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.splitlines() == list(EVIL), done.stderr
    assert done.returncode == 0


@given(st.text(st.characters(codec="utf-8"), max_size=60))
@example("\x85: \u2028")
@example("? ?")
def test_parse_raises_nothing_but_config_errors(text: str) -> None:
    for problem in problems_of(text):
        assert str(problem)


@given(st.lists(st.sampled_from(["a", "no", "1", ": ", "- ", "\n", "  ", "[", "]", "{", "}", ",",
                                 "!", "&", "*", "'", '"', "|", "#", "?", "~", "1e3", "%", "---"]),
                max_size=12))  # fmt: skip
def test_parse_of_yaml_like_text_raises_nothing_but_config_errors(tokens: list[str]) -> None:
    problems_of("".join(tokens))


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_survives(value: float) -> None:
    text = repr(value)
    if "e" in text and "." not in text:
        text = text.replace("e", ".0e")
    found = parse(f"a: {text}", "t.yaml").data
    assert found == {"a": value}
    assert math.copysign(1.0, found["a"]) == math.copysign(1.0, value)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
