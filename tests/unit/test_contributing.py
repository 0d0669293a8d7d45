"""CONTRIBUTING.md's worked example is real code, and every config key is explained there."""

from __future__ import annotations

import re
from types import ModuleType

import numpy as np
import pytest

from harness.autograd import Tensor, gradcheck, nn
from harness.config import Control, Expectations, MilestoneConfig, Targets, Training
from tests.examples import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
EXAMPLE, TEMPLATES = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)[:2]


@pytest.fixture
def softplus_file() -> ModuleType:
    module = ModuleType("softplus")
    exec(EXAMPLE, module.__dict__)
    return module


def test_worked_example_passes_what_the_generic_tests_ask(
    softplus_file: ModuleType, rng: np.random.Generator
) -> None:
    assert len(softplus_file.CASES) > 0
    for case in softplus_file.CASES:
        inputs = case.draw(rng)
        compared = gradcheck(case.op, inputs, rng, case.varied)
        assert [each for each in compared if not each.agrees] == []
        output = case.call([Tensor(array, requires_grad=True) for array in inputs])
        assert type(output._grad_fn).__name__ == "SoftplusBackward"


def test_templates_pass_on_the_worked_example(softplus_file: ModuleType) -> None:
    names = {"np": np, "nn": nn, "Tensor": Tensor, "softplus": softplus_file.softplus}
    exec(TEMPLATES, names)
    tests = [value for name, value in names.items() if name.startswith("test_")]
    assert len(tests) == 3
    for test in tests:
        test()


@pytest.mark.parametrize("model", [MilestoneConfig, Training, Targets, Expectations, Control])
def test_every_config_key_is_explained(model: type[MilestoneConfig]) -> None:
    section = TEXT[TEXT.index("## A config, key by key") :]
    words = set(re.findall(r"[a-z_]+", " ".join(re.findall(r"`([^`]*)`", section))))
    assert sorted(set(model.model_fields) - words) == []


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
