"""What readers of JUnit XML take for granted, as assertions on a document."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

_ATTRIBUTES = {
    "testsuites": {"name", "tests", "failures", "errors", "skipped", "time"},
    "testsuite": {"name", "hostname", "timestamp", "tests", "failures", "errors", "skipped",
                  "time"},
    "properties": set[str](),
    "property": {"name", "value"},
    "testcase": {"name", "classname", "time"},
    "failure": {"message", "type"},
    "error": {"message", "type"},
    "skipped": {"message", "type"},
    "system-out": set[str](),
}  # fmt: skip
_CHILDREN = {
    "testsuites": {"testsuite"},
    "testsuite": {"properties", "testcase"},
    "properties": {"property"},
    "testcase": {"failure", "error", "skipped", "system-out"},
}
# What XML 1.0 may hold, section 2.2.
_CHARACTERS = re.compile("[\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*")
_COUNTED = {"failures": "failure", "errors": "error", "skipped": "skipped"}


def sound(xml: str) -> ET.Element:
    """The root of a document that keeps all rules."""
    assert _CHARACTERS.fullmatch(xml)
    root = ET.fromstring(xml.encode())
    assert root.tag == "testsuites"
    for element in root.iter():
        _assert_element(element)
    suites = root.findall("testsuite")
    for suite in suites:
        _assert_counts(suite, suite.findall("testcase"))
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.attrib["timestamp"])
        order = [child.tag for child in suite]
        assert order == sorted(order)  # "properties" before "testcase", as the schema has it
    cases = [case for suite in suites for case in suite.findall("testcase")]
    _assert_counts(root, cases)
    for suite in suites:
        names = [(c.attrib["classname"], c.attrib["name"]) for c in suite.findall("testcase")]
        assert len(set(names)) == len(names)
    return root


def _assert_element(element: ET.Element) -> None:
    assert set(element.attrib) == _ATTRIBUTES[element.tag]
    assert {child.tag for child in element} <= _CHILDREN.get(element.tag, set())
    assert all(
        _CHARACTERS.fullmatch(text) for text in (element.text or "", *element.attrib.values())
    )
    assert all(element.attrib[key] for key in ("name", "message", "type") if key in element.attrib)
    if "time" in element.attrib:
        assert re.fullmatch(r"\d+(\.\d+)?", element.attrib["time"])  # no exponents in xs:decimal
    if element.tag == "testcase":
        assert sum(child.tag in _COUNTED.values() for child in element) <= 1


def _assert_counts(element: ET.Element, cases: list[ET.Element]) -> None:
    got = {name: int(element.attrib[name]) for name in ("tests", *_COUNTED)}
    expected = {name: sum(c.find(tag) is not None for c in cases) for name, tag in _COUNTED.items()}
    assert got == {"tests": len(cases), **expected}
    total = sum(float(case.attrib["time"]) for case in cases)
    assert abs(float(element.attrib["time"]) - total) < 0.01


def outcomes(suite: ET.Element) -> dict[str, str]:
    """Name of each case -> "pass", "failure", "error" or "skipped"."""
    found = {}
    for case in suite.findall("testcase"):
        tags = [child.tag for child in case if child.tag in _COUNTED.values()]
        found[case.attrib["name"]] = tags[0] if tags else "pass"
    return found
