"""Words of the commands about operations: the line that shows one, the names of its tasks, annotations."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import click
import pytest

from cli.client.problem import Problem
from cli.jobs import task_names
from cli.jobs.follow import operation_line
from cli.jobs.list import command_of, state_of
from cli.jobs.operations import annotations_of

NONE = dict.fromkeys(("waiting", "aborting", "failed", "aborted", "unscheduled", "lost"), 0)


def stage(kind: str, number: int, total: int, completed: int, *, planned: bool = True) -> dict[str, Any]:
    return {"kind": kind, "stage": number, "total": total, "completed": completed, "planned": planned}


def status(**more: Any) -> dict[str, Any]:
    stages = [stage("index", 0, 3, 3), stage("map", 1, 100, 80)]
    progress = {**NONE, "completed": 83, "running": 3, "pending": 17, **more.pop("progress", {}), "stages": stages}
    return {"status": "running", "suspended": False, "state": "running", "progress": progress, **more}


def fake(found: list[dict[str, Any]], **more: Any) -> Any:
    """The client's side of a service: one job with these attempts."""
    return SimpleNamespace(attempts=lambda job, **only: iter(found), status_or_archive=lambda job: status(**more))


@pytest.fixture(autouse=True)
def context():
    with click.Context(click.Command("mjob")):
        yield


def test_the_line_shows_what_is_and_leaves_out_what_is_not() -> None:
    assert operation_line.line(status()) == "running  map 80/100  83 completed  3 running  17 pending"
    unlucky = {"failed": 1, "aborted": 2, "lost": 4, "waiting": 1}
    assert operation_line.line(status(suspended=True, progress=unlucky)) == (
        "running (suspended)  map 80/100  83 completed  3 running  17 pending  1 waiting  1 failed  2 aborted  4 lost"
    )


@pytest.mark.parametrize(("word", "name"), [("17", "1.17"), ("0.2", "0.2"), ("1.17", "1.17")])
def test_a_number_alone_is_a_task_of_the_stage_that_does_the_work(word: str, name: str) -> None:
    assert task_names.task(fake([]), "job", word) == name


@pytest.mark.parametrize("word", ["", "x", "1.2.3", "-1", "1.", ".1", "1/2", "٣", "9" * 20])
def test_what_is_no_task_is_refused(word: str) -> None:
    with pytest.raises(click.UsageError, match="is no task"):
        task_names.task(fake([]), "job", word)


def test_without_a_number_the_newest_attempt_is_meant() -> None:
    mine = fake([{"attempt": 1}, {"attempt": 3}, {"attempt": 2}])
    assert task_names.attempt(mine, "job", ["17"]) == "1.17.3"
    assert task_names.attempt(mine, "job", ["17", "2"]) == "1.17.2"
    assert task_names.attempt(mine, "job", ["0.17.9"]) == "0.17.9"
    with pytest.raises(Problem, match=r"task 1\.17 of job job has not been attempted yet"):
        task_names.attempt(fake([]), "job", ["17"])
    for words in ([], ["1", "2", "3"], ["1", "x"]):
        with pytest.raises(click.UsageError):
            task_names.attempt(mine, "job", words)


def test_a_job_of_phases_has_no_numbers_of_tasks() -> None:
    with pytest.raises(Problem, match="that is a job of phases"):
        task_names.task(SimpleNamespace(status_or_archive=lambda job: {}), "job", "1")


def test_annotations_are_keys_and_values() -> None:
    assert annotations_of(["a=b", "c=d=e", "f="]) == {"a": "b", "c": "d=e", "f": ""}
    for word in ("a", "=b", ""):
        with pytest.raises(click.UsageError, match="is no annotation"):
            annotations_of([word])


def test_a_list_shows_an_operation_by_its_status_and_its_title_or_command() -> None:
    shown = {"type": "map", "spec": {"exec": "wc -l"}, "status": "running", "suspended": True, "state": "running"}
    assert (state_of(shown), command_of(shown)) == ("running (suspended)", "map wc -l")
    over = shown | {"status": "completed", "state": "done", "title": "lines"}
    assert (state_of(over), command_of(over)) == ("completed", "lines")
