"""The scorecard: what it says, that it is whole or not there, and who can read it."""

from __future__ import annotations

import json
import math
import os
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from harness import scorecard as module
from harness.atomic_files import held, write_text
from harness.checks import judge
from harness.checks.base import Stage, Verdict
from harness.errors import (
    JobCrashedError,
    JobKilledError,
    JobNotRunError,
    JobTimeoutError,
    OutputError,
    ScorecardError,
)
from harness.json_files import to_json
from harness.results import judged_result
from harness.scorecard import (
    CURVES_NAME,
    FILE_NAME,
    Scorecard,
    load,
    open_folder,
    save,
)
from tests.examples import (
    LABELS,
    bias_lost,
    healthy,
    judged,
    scorecard_of,
    small_config,
    with_gradient,
    without_steps,
    without_verdict,
)

TIMEOUT = JobTimeoutError("it was stopped after 1 s", "Does it loop?")


@pytest.fixture
def mixed() -> Scorecard:
    """A pass, a failure, a run with NaN in it, and one without a verdict."""
    nan = replace(healthy(seed=2), loss=np.full(20, np.nan), held_out_loss=np.full(2, np.nan))
    nan = with_gradient(nan, "hidden.bias", np.nan, slice(None))
    return scorecard_of(
        judged(healthy()), judged(bias_lost(1)), judged(nan), without_verdict(TIMEOUT, 3)
    )


# --- status --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statuses", "status", "exit_code"),
    [
        ("p", "pass", 0),
        ("pp", "pass", 0),
        ("pf", "fail", 1),
        ("pe", "error", 3),
        ("pfe", "fail", 1),
        ("e", "error", 3),
        ("", "error", 3),
    ],
)
def test_card_passes_only_if_all_results_do(statuses: str, status: str, exit_code: int) -> None:
    results = {"p": judged(healthy()), "f": judged(bias_lost()), "e": without_verdict(TIMEOUT)}
    card = scorecard_of(*(results[letter] for letter in statuses))
    assert (card.status, card.exit_code) == (status, exit_code)


@pytest.mark.parametrize(
    ("statuses", "status"),
    [(["pass"], "pass"), (["pass", "fail"], "fail"), (["pass", "error"], "error"),
     (["error", "fail"], "fail"), ([], "error")],
)  # fmt: skip
def test_result_passes_only_if_all_checks_do(statuses: list[str], status: str) -> None:
    verdicts = [Verdict(f"check{i}", each, "why") for i, each in enumerate(statuses)]  # type: ignore[arg-type]
    assert judged_result(small_config(), healthy(), verdicts).status == status


@pytest.mark.parametrize(
    "error", [TIMEOUT, JobKilledError("by SIGKILL"), JobCrashedError("it raised", "", "Traceback"),
              JobNotRunError("it was not run: interrupted")],
)  # fmt: skip
def test_what_did_not_run_is_never_a_pass(error: JobTimeoutError) -> None:
    result = without_verdict(error)
    assert result.status == "error"
    assert [verdict.status for verdict in result.verdicts] == ["error"]
    assert result.verdicts[0].reason == error.message
    assert result.verdicts[0].evidence["kind"] == type(error).__name__
    assert result.accuracy.held_out is None
    assert result.accuracy.target == 1.0
    assert (result.tensors.with_gradient, result.tensors.moved) == (0, 0)


def test_traceback_of_a_crash_is_kept() -> None:
    result = without_verdict(JobCrashedError("it raised", "", "Traceback ..."))
    assert result.verdicts[0].evidence["traceback"] == "Traceback ..."


def test_run_without_steps_claims_nothing() -> None:
    result = judged(without_steps(healthy()))
    assert result.status == "fail"
    assert result.steps == 0
    assert (result.loss.first, result.loss.last) == (None, None)
    assert (result.tensors.with_gradient, result.tensors.moved) == (0, 0)


# --- what it says --------------------------------------------------------------------------


def test_result_says_what_was_observed() -> None:
    result = judged(healthy())
    assert (result.milestone, result.title, result.year, result.seed) == ("small", "Small", 1986, 0)
    assert (result.accuracy.held_out, result.accuracy.target) == (1.0, 1.0)
    assert (result.accuracy.steps_to_target, result.accuracy.examples) == (20, 4)
    assert result.loss.first == 0.7
    assert result.loss.last == pytest.approx((0.1 + 0.1 + 0.6 / 19) / 2)
    assert [row.label for row in result.parameters] == LABELS
    assert {row.verdict for row in result.parameters} == {"OK"}
    assert result.tensors.model_dump() == {
        "expected": 4, "with_gradient": 4, "must_move": 4, "moved": 4,
    }  # fmt: skip


def test_verdicts_stand_in_the_order_of_causes() -> None:
    late = Verdict("late", "fail", "x", stage=Stage.TARGET)
    early = Verdict("early", "fail", "y", stage=Stage.GRADIENT)
    result = judged_result(small_config(), healthy(), [late, early])
    assert [verdict.check for verdict in result.verdicts] == ["early", "late"]


def test_null_tensor_counts_as_having_its_gradient() -> None:
    record = with_gradient(healthy(), "hidden.bias", 0.0, slice(None))
    result = judged(record, small_config(null={"hidden.bias": "it cancels"}))
    assert result.status == "pass"
    assert (result.tensors.with_gradient, result.tensors.must_move, result.tensors.moved) == (
        4,
        3,
        3,
    )


# --- files ---------------------------------------------------------------------------------


def test_saved_scorecard_is_loaded_as_it_was(mixed: Scorecard, tmp_path: Path) -> None:
    save(mixed, [], tmp_path)
    for path in (tmp_path, tmp_path / FILE_NAME):
        assert load(path) == Scorecard.model_validate_json(to_json(mixed))
    assert to_json(load(tmp_path)) == to_json(mixed)


def test_scorecard_without_missing_numbers_survives_exactly(tmp_path: Path) -> None:
    card = scorecard_of(judged(healthy()), without_verdict(TIMEOUT, 1))
    save(card, [], tmp_path)
    assert load(tmp_path) == card


def test_json_is_strict_and_has_the_promised_keys(mixed: Scorecard) -> None:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    data = json.loads(to_json(mixed), parse_constant=refuse)
    assert list(data) == ["schema", "created", "status", "provenance", "engine", "results"]
    assert data["schema"] == "harness.scorecard/4"
    promised = {"milestone", "seed", "backend", "status", "verdicts", "parameters", "accuracy",
                "loss", "steps", "seconds"}  # fmt: skip
    for result in data["results"]:
        assert promised <= result.keys()
        for verdict in result["verdicts"]:
            assert verdict.keys() == {"check", "status", "reason", "hint", "stage", "evidence"}
        for row in result["parameters"]:
            assert {"label", "shape", "verdict"} <= row.keys()
        assert {"held_out", "target"} <= result["accuracy"].keys()
        assert {"first", "last"} <= result["loss"].keys()


def test_schema_fits_a_real_scorecard(mixed: Scorecard) -> None:
    schema = Scorecard.model_json_schema(by_alias=True)
    jsonschema.Draft202012Validator.check_schema(schema)
    data = json.loads(to_json(mixed))
    jsonschema.validate(data, schema)
    del data["status"]
    with pytest.raises(jsonschema.ValidationError, match="'status' is a required property"):
        jsonschema.validate(data, schema)


@pytest.mark.parametrize(
    "value", [np.float32(0.5), np.int64(3), np.array([1.0, 2.0]), math.nan, Path("x"), {1, 2}]
)
def test_evidence_of_any_kind_can_be_saved(value: object, tmp_path: Path) -> None:
    """A check may keep what it likes; it must not cost the results of everyone else."""
    verdict = Verdict("odd", "fail", "why", evidence={"value": value})
    card = scorecard_of(judged_result(small_config(), healthy(), [verdict]))
    save(card, [], tmp_path)
    assert load(tmp_path).results[0].verdicts[0].check == "odd"


def test_curves_stand_beside_the_scorecard(tmp_path: Path) -> None:
    record = healthy(seed=7)
    save(scorecard_of(judged(record)), [record], tmp_path)
    with np.load(tmp_path / CURVES_NAME) as curves:
        np.testing.assert_array_equal(curves["small/7/loss"], record.loss)
        np.testing.assert_array_equal(curves["small/7/accuracy"], record.accuracy)
        np.testing.assert_allclose(curves["small/7/gradient_norm"], record.gradient_norm)
    assert sorted(file.name for file in tmp_path.iterdir()) == [CURVES_NAME, FILE_NAME]


@pytest.mark.parametrize("at", ["replace", "fsync"])
def test_failing_write_leaves_the_old_file_whole(
    at: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = scorecard_of(judged(healthy()))
    save(old, [], tmp_path)

    def fail(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, at, fail)
    with pytest.raises(OutputError, match=r"cannot write to .*: No space left on device"):
        save(scorecard_of(judged(bias_lost())), [], tmp_path)
    assert load(tmp_path) == old
    assert sorted(file.name for file in tmp_path.iterdir()) == [CURVES_NAME, FILE_NAME]


def test_interrupted_write_leaves_the_old_file_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_text(tmp_path / "a", "old")

    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_text(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text(encoding="utf-8") == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_written_file_can_be_read_by_others(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        write_text(tmp_path / "a", "x")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o644


def test_folder_is_made_and_tried(tmp_path: Path) -> None:
    open_folder(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []
    (tmp_path / "file").write_text("x", encoding="utf-8")
    for place in ("file", "file/below"):
        with pytest.raises(OutputError, match="cannot write to") as caught:
            open_folder(tmp_path / place)
        assert "--out" in caught.value.hint


def test_scorecard_in_the_way_of_a_folder_is_found_before_training(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(OutputError):
        open_folder(tmp_path)


# --- versions ------------------------------------------------------------------------------


def write(folder: Path, **changes: object) -> Path:
    data = json.loads(to_json(scorecard_of(judged(healthy())))) | changes
    (folder / FILE_NAME).write_text(json.dumps(data), encoding="utf-8")
    return folder


def test_newer_scorecard_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ScorecardError) as caught:
        load(write(tmp_path, schema="harness.scorecard/99"))
    assert str(caught.value).endswith(
        "scorecard.json was written by a newer harness (schema 99, known up to 4)"
    )
    assert caught.value.hint == "Update the harness to read it."


def test_older_scorecard_is_upgraded_step_by_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upgrades = {
        1: lambda data: data | {"created": data["created"] + " one"},
        2: lambda data: data | {"created": data["created"] + " two"},
    }
    monkeypatch.setattr(module, "SCHEMA_VERSION", 3)
    monkeypatch.setattr(module, "UPGRADES", upgrades)
    card = load(write(tmp_path, created="zero", schema="harness.scorecard/1"))
    assert card.created == "zero one two"
    assert card.schema_ == "harness.scorecard/3"


def test_scorecard_of_version_1_is_read_as_one_that_did_not_look_at_the_engine(
    tmp_path: Path,
) -> None:
    file = write(tmp_path, schema="harness.scorecard/1")
    data = json.loads((file / "scorecard.json").read_text(encoding="utf-8"))
    del data["engine"]
    for result in data["results"]:
        del result["uses"], result["probe_seconds"]
    (file / "scorecard.json").write_text(json.dumps(data), encoding="utf-8")
    card = load(file)
    assert (card.schema_, card.engine) == ("harness.scorecard/4", None)
    assert [result.uses for result in card.results] == [[] for _ in card.results]


def test_scorecard_of_version_3_is_read_as_one_in_which_all_was_supported(tmp_path: Path) -> None:
    file = write(tmp_path, schema="harness.scorecard/3")
    data = json.loads((file / "scorecard.json").read_text(encoding="utf-8"))
    del data["provenance"]["backend_version"], data["provenance"]["backend_from"]
    for result in data["results"]:
        del result["lacks"]
    (file / "scorecard.json").write_text(json.dumps(data), encoding="utf-8")
    card = load(file)
    assert (card.schema_, card.provenance.backend_version) == ("harness.scorecard/4", "")
    assert [result.lacks for result in card.results] == [[] for _ in card.results]


@pytest.mark.parametrize(
    ("statuses", "right"),
    [(["pass", "unsupported"], "fail"), (["unsupported"], "fail"),
     (["unsupported", "error"], "fail"), (["pass", "error"], "error")],
)  # fmt: skip
def test_what_is_not_supported_counts_like_a_failure(statuses: list[str], right: str) -> None:
    assert module.overall(statuses) == right


def test_every_older_version_has_its_upgrade() -> None:
    assert set(module.UPGRADES) == set(range(1, module.SCHEMA_VERSION))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("[]", "is not a scorecard"),
        ("{}", "is not a scorecard"),
        ('{"schema": "other/1"}', "is not a scorecard"),
        ('{"schema": "harness.scorecard/x"}', "is not a scorecard"),
        ('{"schema": "harness.scorecard/²"}', "is not a scorecard"),
        ('{"schema": "harness.scorecard/1"}', "is not a scorecard: created: Field required"),
        ('{"schema": "harness.scorecard/0"}', "has schema 0, which never existed"),
        ("[" * 100_000, "is not JSON"),
    ],
)
def test_what_is_no_scorecard_is_refused(content: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / FILE_NAME
    file.write_text(content, encoding="utf-8")
    with pytest.raises(ScorecardError, match=message):
        load(file)


def test_missing_scorecard_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScorecardError, match=r"scorecard.json cannot be read: No such file"):
        load(tmp_path)


def test_judging_again_gives_the_same_verdicts() -> None:
    record = bias_lost()
    assert judge(small_config(), record) == judge(small_config(), record)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs locks of folders")
def test_folder_is_held_by_one_at_a_time_and_by_the_next_after_it(tmp_path: Path) -> None:
    with held(tmp_path), pytest.raises(BlockingIOError), held(tmp_path):
        pass
    with held(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
