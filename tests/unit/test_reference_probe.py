"""Every run against the reference: planted faults are found at their step, phase and tensor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from harness.autograd import optim
from harness.autograd.function import Function
from harness.autograd.ops.matmul import LinearBackward
from harness.backends import load
from harness.backends.base import Backend
from harness.checks.base import Verdict
from harness.config_files import load as load_config
from harness.faults import find, planted
from harness.probes.milestone.reference import followed
from harness.probes.models.specimen import Specimen
from harness.references import files
from tests.examples import NAMES, small_config, small_file
from tests.references import verdict
from tests.specimens import backwards, shipped, swapped

# What a verdict says of the first divergence.
Where = tuple[str, int, str, str]


def where(found: Verdict) -> Where:
    evidence: dict[str, Any] = dict(found.evidence)
    assert found.status == "fail", found.reason
    return evidence["phase"], evidence["step"], evidence["tensor"], evidence["culprits"][0]


def with_fault(fault: str, milestone: str) -> Verdict:
    with planted(fault, "numpy") as ground:
        config = find(fault).declares(shipped(milestone).config)
        found, dataset = ground.of(config)
        return verdict(Specimen(found, ground.backend, dataset, 0), config)


@pytest.mark.parametrize("milestone", NAMES)
def test_healthy_engine_follows_to_rounding(milestone: str) -> None:
    found = verdict(shipped(milestone))
    assert (found.status, found.reason[:20]) == ("pass", "10 steps are those o")
    assert float(found.reason.rpartition(" ")[2]) < 1e-9


@pytest.mark.parametrize("milestone", NAMES)
def test_all_steps_of_the_file_are_followed_to_rounding(milestone: str) -> None:
    reference = files.load(milestone)
    assert reference is not None
    rows = list(followed(shipped(milestone), reference))
    assert max(row.error for row in rows) < 1e-9
    assert "update at step 20: " in rows[-1].what


@pytest.mark.parametrize("seed", [1, 7])
def test_seed_of_the_run_makes_no_difference(seed: int) -> None:
    assert verdict(shipped("xor", seed=seed)).status == "pass"


@pytest.mark.parametrize(
    ("fault", "milestone", "phase", "step", "tensor", "culprit"),
    [
        ("linear_bias_dropped", "perceptron", "forward", 1, "output", "Linear"),
        ("attn_scale_mul", "transformer", "forward", 1, "attention", "MultiHeadAttention"),
        ("ln_no_center", "transformer", "forward", 1, "norm1", "LayerNorm"),
        ("ce_log_eps_big", "mlp", "loss", 1, "", "CrossEntropyLoss"),
        ("relu_by_gradient", "mlp", "gradient", 1, "hidden.bias", "hidden.bias"),
        ("conv_bias_unlinked", "cnn", "gradient", 1, "conv2.bias", "conv2.bias"),
        ("attn_k_detached", "transformer", "gradient", 1, "attention.key.weight",
         "attention.key.weight"),
        ("cfg_lr_x10", "perceptron", "update", 1, "output.weight", "the training loop"),
        ("mean_twice", "mlp", "gradient", 1, "output.bias", "the training loop"),
    ],
)  # fmt: skip
def test_fault_is_found_where_it_is(
    fault: str, milestone: str, phase: str, step: int, tensor: str, culprit: str
) -> None:
    assert where(with_fault(fault, milestone)) == (phase, step, tensor, culprit)


@pytest.mark.parametrize(
    ("variant", "milestone", "words"),
    [
        ("ok_weight_layout", "mlp", "Linear 'hidden': its weight is (in_features, out_features)"),
        ("ok_conv_true_convolution", "cnn", "it turns its kernels by half a circle"),
        ("ok_pos_concat_layout", "transformer", "all sines come before all cosines"),
        ("ok_ln_eps_outside", "transformer", "it divides by sqrt(variance) + eps"),
        ("ok_momentum_torch_vs_sutskever", "mlp", "reads SGD or its schedule in another way"),
        ("ok_warmup_zero_first", "cnn", "reads Adam or its schedule in another way"),
    ],
)
def test_other_right_convention_is_not_judged_and_said(
    variant: str, milestone: str, words: str
) -> None:
    found = with_fault(variant, milestone)
    assert found.status == "skip"
    assert words in found.reason


@pytest.mark.parametrize(
    ("variant", "milestone"),
    [("ok_fused_linear", "transformer"), ("ok_ce_fused_logsumexp", "mlp"),
     ("ok_pool_tie_last", "cnn"), ("ok_init_he_normal", "cnn"),
     ("ok_order_drawn_otherwise", "mlp"), ("ok_gradients_zeroed", "xor")],
)  # fmt: skip
def test_other_right_way_passes(variant: str, milestone: str) -> None:
    assert with_fault(variant, milestone).status == "pass"


def test_wrong_factor_in_one_gradient_is_its_tensors_and_not_the_optimizers() -> None:
    def doubled(_: np.ndarray, grads: list[np.ndarray | None]) -> list[np.ndarray | None]:
        weight = grads[1]
        grads[1] = 2.0 * weight if weight is not None and weight.shape == (8, 2) else weight
        return grads

    with backwards(cast(type[Function], LinearBackward), doubled) as backend:
        found = verdict(shipped("xor", backend))
    assert where(found) == ("gradient", 1, "hidden.weight", "hidden.weight")
    assert found.evidence["got"] == pytest.approx(2.0 * float(str(found.evidence["expected"])))


class LateSGD(optim.SGD):
    """Takes steps of another length from the third on."""

    taken = 0

    def step(self) -> None:
        self.taken += 1
        right, self.lr = self.lr, self.lr * (1.0 if self.taken < 3 else 1.5)
        super().step()
        self.lr = right


class HoardingSGD(optim.SGD):
    """Forgets no gradient."""

    def zero_grad(self) -> None:
        """Nothing at all."""


@pytest.mark.parametrize(
    ("factory", "expected"),
    [(LateSGD, ("update", 3, "SGD")), (HoardingSGD, ("gradient", 2, "SGD"))],
)
def test_step_of_the_optimizer_is_found_when_it_comes(
    factory: Callable[..., Any], expected: tuple[str, int, str]
) -> None:
    with swapped("optimizers", "SGD", factory) as backend:
        phase, step, _, culprit = where(verdict(shipped("xor", backend)))
    assert (phase, step, culprit) == expected


def test_optimizer_that_ignores_its_rate_is_blamed_from_the_second_step_on() -> None:
    with swapped("optimizers", "Adam", Undecayed) as backend:
        phase, step, _, culprit = where(verdict(shipped("cnn", backend)))
    assert (phase, step, culprit) == ("update", 2, "Adam")


class Undecayed(optim.Adam):
    """Keeps the rate that it began with, whatever it is told."""

    def step(self) -> None:
        self.lr = 0.01
        super().step()


class Single:
    """An engine that keeps every parameter in single precision."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def set_value(self, parameter: Any, array: np.ndarray) -> None:
        self._backend.set_value(parameter, array.astype(np.float32))

    def tensor(self, array: np.ndarray) -> Any:
        return self._backend.tensor(array.astype(np.float32) if array.dtype.kind == "f" else array)


@pytest.mark.parametrize("milestone", NAMES)
def test_engine_of_single_precision_follows_to_its_own_rounding(milestone: str) -> None:
    found = verdict(shipped(milestone, cast(Backend, Single(load("numpy")))))
    assert found.status == "pass", found.reason
    assert found.evidence["tolerance"] == 1e-4


def test_changed_config_is_not_judged_and_the_way_out_is_told() -> None:
    specimen = shipped("mlp")
    training = specimen.config.training.model_copy(update={"lr": 0.1})
    changed = specimen.config.model_copy(update={"training": training})
    found = verdict(Specimen(changed, specimen.backend, specimen.dataset, 0))
    assert found.status == "skip"
    assert "the reference of mlp is of another config" in found.reason
    assert "`harness reference mlp`" in found.reason


def test_milestone_of_ones_own_has_no_reference() -> None:
    mine = small_config()
    specimen = shipped("xor")
    found = verdict(Specimen(mine, specimen.backend, specimen.dataset, 0))
    assert (found.status, found.reason[:34]) == ("skip", "there is no reference of small: `h")


def test_milestone_of_a_file_is_asked_for_by_its_path(tmp_path: Path) -> None:
    file = small_file(tmp_path)
    specimen = shipped("xor")
    found = verdict(Specimen(load_config(file), specimen.backend, specimen.dataset, 0))
    words = f"there is no reference of small: `harness reference {file}` writes one"
    assert (found.status, found.reason) == ("skip", words)


def test_model_that_draws_at_random_is_promised_no_reference(tmp_path: Path) -> None:
    dropped = ("  tanh: {type: Tanh}", "  tanh: {type: Tanh}\n  drop: {type: Dropout, p: 0.5}")
    specimen = shipped("xor")
    mine = load_config(small_file(tmp_path, dropped))
    found = verdict(Specimen(mine, specimen.backend, specimen.dataset, 0))
    assert (found.status, found.reason[:39]) == ("skip", "small draws at random while it trains: ")


def test_damaged_reference_fails_with_its_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "reference.npz"
    file.write_bytes(files.file_for("xor").read_bytes()[:1000])
    monkeypatch.setattr(files, "file_for", lambda name: file)
    found = verdict(shipped("xor"))
    assert found.status == "fail"
    assert f"{file} is damaged, or no reference" in found.reason
    assert found.hint == "`harness reference NAME` writes the file anew."


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
