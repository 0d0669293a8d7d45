"""The four bugs in CONTRIBUTING.md: what the page says the harness says is what it says."""

from __future__ import annotations

import re

import pytest

from harness.backends.base import Factory
from tests.examples import ROOT
from tests.integration.test_guide_bugs import (
    DetachedFlatten,
    DetachedResidual,
    EmbeddingThroughData,
    ForgetfulConv2d,
    engine_with,
    seen_before_training,
)

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
SENTENCES = re.findall(r"^    FAIL (\w+): (.*)$", TEXT, flags=re.MULTILINE)
BUGS = [
    ("Embedding", EmbeddingThroughData),
    ("Residual", DetachedResidual),
    ("Flatten", DetachedFlatten),
    ("Conv2d", ForgetfulConv2d),
]


def test_page_has_a_sentence_for_each_bug() -> None:
    assert len(SENTENCES) == len(BUGS)


@pytest.mark.parametrize(("bug", "sentence"), list(zip(BUGS, SENTENCES, strict=False)))
def test_harness_says_what_the_page_says(
    bug: tuple[str, Factory], sentence: tuple[str, str]
) -> None:
    milestone, words = sentence
    verdict = seen_before_training(milestone, engine_with(*bug))
    assert verdict.status == "fail"
    assert verdict.reason.startswith(f"{words}: got ")
    assert verdict.evidence["place"]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
