"""Steps run for real, in the order, under the conditions and with the variables of GitHub."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.rehearsal.runner import Event, JobDone, Rehearsal, read_pairs, run_workflow
from tests.rehearsal.stage import build, git
from tests.rehearsal.workflow import WorkflowError, read


@pytest.fixture
def rehearsal(tmp_path: Path) -> Rehearsal:
    """On a repository with one file, in two commits."""
    source = tmp_path / "source"
    source.mkdir()
    git(source, "init", "--quiet", "--initial-branch=main")
    for text in ("old", "new"):
        (source / "file.txt").write_text(text, encoding="utf-8")
        git(source, "add", ".")
        author = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        git(source, *author, "commit", "--quiet", "-m", text)
    stage = build(tmp_path / "stage", source)
    return Rehearsal(stage, Event("push", "refs/heads/main", git(source, "rev-parse", "HEAD")))


def ran(rehearsal: Rehearsal, jobs: str, head: str = "") -> dict[str, JobDone]:
    file = rehearsal.stage.folder / "w.yml"
    file.write_text(f"on: push\n{head}\ndefaults: {{run: {{shell: bash}}}}\njobs:\n{jobs}", "utf-8")
    return run_workflow(read(file), rehearsal)


def test_outputs_environment_and_summary_go_from_step_to_step_and_from_job_to_job(
    rehearsal: Rehearsal,
) -> None:
    done = ran(rehearsal, """
  first:
    outputs: {word: "${{ steps.a.outputs.word }}"}
    env: {LEVEL: job}
    steps:
    - id: a
      run: |
        echo "word=one two" >> "$GITHUB_OUTPUT"
        echo "KEPT=yes" >> "$GITHUB_ENV"
        echo "# Heading" >> "$GITHUB_STEP_SUMMARY"
        echo "$LEVEL $TOP"
    - name: b
      env: {LEVEL: step, WORD: "${{ steps.a.outputs.word }}"}
      run: echo "$LEVEL $TOP $KEPT $WORD $GITHUB_EVENT_NAME $GITHUB_REF_NAME"
  second:
    needs: first
    steps:
    - name: c
      run: echo "${{ needs.first.outputs.word }}, ${{ needs.first.result }}"
""", head="env: {TOP: workflow}")  # fmt: skip

    assert [step.log for step in done["first"].steps] == [
        "job workflow\n", "step workflow yes one two push main\n"
    ]  # fmt: skip
    assert done["first"].summary == "# Heading\n"
    assert done["second"].step("c").log == "one two, success\n"


def test_after_a_failure_only_steps_and_jobs_that_ask_for_it_go_on(rehearsal: Rehearsal) -> None:
    done = ran(rehearsal, """
  first:
    steps:
    - {name: forgiven, continue-on-error: true, run: exit 3}
    - {name: goes on, run: "true"}
    - {name: in a pipe, run: "false | cat"}
    - {name: not run, run: "true"}
    - {name: told, if: failure(), run: "true"}
    - {name: always, if: "${{ !cancelled() }}", run: "true"}
  second: {needs: first, steps: [{run: "true"}]}
  third: {needs: second, if: "${{ !cancelled() && needs.second.result == 'skipped' }}",
          steps: [{run: "true"}]}
""")  # fmt: skip

    outcomes = [(step.outcome, step.conclusion) for step in done["first"].steps]
    assert outcomes == [
        ("failure", "success"), ("success", "success"), ("failure", "failure"),
        ("skipped", "skipped"), ("success", "success"), ("success", "success"),
    ]  # fmt: skip
    assert {name: job.result for name, job in done.items()} == {
        "first": "failure", "second": "skipped", "third": "success"
    }  # fmt: skip


def test_checkout_gives_the_commit_of_the_event_with_the_history_that_was_asked_for(
    rehearsal: Rehearsal,
) -> None:
    count = "{run: git rev-list --count HEAD && cat file.txt && git status --porcelain}"
    done = ran(rehearsal, f"""
  one: {{steps: [{{uses: actions/checkout@x}}, {count}]}}
  all: {{steps: [{{uses: actions/checkout@x, with: {{fetch-depth: 0}}}}, {count}]}}
""")  # fmt: skip

    assert done["one"].steps[1].log == "1\nnew"
    assert done["all"].steps[1].log == "2\nnew"


def test_artifacts_go_from_job_to_job_and_missing_ones_are_a_failure(rehearsal: Rehearsal) -> None:
    done = ran(rehearsal, """
  make:
    steps:
    - run: mkdir -p out/deep && echo 1 > out/a && echo 2 > out/deep/b
    - {uses: actions/upload-artifact@x, with: {name: made, path: out}}
  take:
    needs: make
    steps:
    - {uses: actions/download-artifact@x, with: {name: made, path: here}}
    - run: cat here/a here/deep/b
    - {uses: actions/download-artifact@x, with: {name: other}}
""")  # fmt: skip

    assert done["take"].steps[1].log == "1\n2\n"
    assert done["take"].steps[2].outcome == "failure"


def test_a_push_needs_the_permission_of_its_job(rehearsal: Rehearsal) -> None:
    push = "{run: git push origin HEAD:refs/heads/$GITHUB_JOB}"
    done = ran(rehearsal, f"""
  may: {{permissions: {{contents: write}}, steps: [{{uses: actions/checkout@x}}, {push}]}}
  may-not: {{permissions: {{contents: read}}, steps: [{{uses: actions/checkout@x}}, {push}]}}
""")  # fmt: skip

    assert done["may"].result == "success"
    assert done["may-not"].result == "failure"
    assert "no permission contents: write" in done["may-not"].steps[1].log


def test_gh_needs_a_token_and_the_permission_of_its_job(rehearsal: Rehearsal) -> None:
    make = "{run: gh label create red --force, env: {GH_TOKEN: '${{ github.token }}'}}"
    done = ran(rehearsal, f"""
  may: {{permissions: {{issues: write}}, steps: [{make}]}}
  may-not: {{permissions: {{issues: read}}, steps: [{make}]}}
  no-token: {{permissions: {{issues: write}}, steps: [{{run: gh issue list}}]}}
""")  # fmt: skip

    assert [job.result for job in done.values()] == ["success", "failure", "failure"]
    assert "403" in done["may-not"].steps[0].log
    assert "GH_TOKEN" in done["no-token"].steps[0].log
    assert rehearsal.stage.hub["labels"] == ["red"]


def test_only_the_steps_and_jobs_that_were_asked_for_are_run(rehearsal: Rehearsal) -> None:
    jobs = """
  a: {steps: [{uses: actions/checkout@x}, {name: one, run: echo 1}, {name: two, run: cat file.txt}]}
  b: {steps: [{name: two, run: echo 2}]}
"""
    done = ran(replace(rehearsal, jobs=("a",), step="two"), jobs)

    assert [step.outcome for step in done["a"].steps] == ["success", "skipped", "success"]
    assert done["b"].result == "skipped"
    alone = ran(
        replace(rehearsal, jobs=("d",), number=2),
        f"{jobs}  d: {{needs: b, steps: [{{name: two, run: 'echo ${{{{ needs.b.result }}}}'}}]}}\n",
    )
    assert (alone["b"].result, alone["d"].step("two").log) == ("skipped", "skipped\n")
    with pytest.raises(WorkflowError, match="no step 'three'"):
        ran(replace(rehearsal, step="three"), jobs)


def test_an_action_without_a_stand_in_is_refused(rehearsal: Rehearsal) -> None:
    with pytest.raises(WorkflowError, match="no stand-in for other/action@x"):
        ran(rehearsal, "  a: {steps: [{uses: other/action@x}]}\n")
    with pytest.raises(WorkflowError, match="does not know lfs"):
        ran(replace(rehearsal, number=2),
            "  a: {steps: [{uses: actions/checkout@x, with: {lfs: true}}]}\n")  # fmt: skip


def test_values_of_several_lines_are_read_up_to_their_end_mark() -> None:
    text = "a=1\nb<<END\ntwo\nlines=x\nEND\nc=d=e<<f\n"

    assert read_pairs(text) == {"a": "1", "b": "two\nlines=x", "c": "d=e<<f"}
    with pytest.raises(WorkflowError, match="never comes"):
        read_pairs("a<<END\n1\n")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
