"""The task that is looked into: the first that failed, or the one that the user names, which may still run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from cli.client import objects
from cli.client.problem import NoSuchJob, Problem
from cli.jobs.tasks import tasks

if TYPE_CHECKING:
    from cli.client.jobs import Jobs, Status

SAVED = ("stderr", "core")  # members of an error record


@dataclass(frozen=True, slots=True)
class Task:
    """A task. `id` is empty if it is not known; `input` is the object that it read, None for a reducer.

    `origin`: the input of the job that it descends from, if there is one; `reducer`: its number among those of its
    phase; `left`: the objects that its failure left, by `stderr`, `stdout`, `core`; `runs`: whether it was running, and
    `number`: its number in the records then.
    """

    id: str
    phase: int
    input: str | None
    origin: str | None = None
    reducer: int = 0
    left: Mapping[str, str] = field(default_factory=dict)
    runs: bool = False
    number: int = 0

    @property
    def described(self) -> str:
        """`the task of phase 0 on "/jill/stor/x"`, `reducer 1 of phase 2`."""
        if self.input is None:
            return f"reducer {self.reducer} of phase {self.phase}"
        return f'the task of phase {self.phase} on "{self.input}"'


def running(mine: Jobs, job: str, word: str) -> Task | None:
    """The only task whose id begins with `word`, if it runs."""
    try:
        found = [task for task in map(of_record, mine.tasks(job, state="running")) if task.id.startswith(word)]
    except NoSuchJob:  # what is left of the job is its archive
        return None
    return found[0] if len(found) == 1 else None


def find(mine: Jobs, job: str, status: Status, word: str | None) -> Task:
    """The task whose id begins with `word`; without, that of the first error. Raises `Problem` for none, or several."""
    if "type" in status:
        raise Problem(f"job {job} is an operation: its tasks read ranges of objects, which no other task can be given")
    task = first_failed(mine, job) if word is None else named(mine, job, word)
    if task.input is None and int(status["phases"][task.phase].get("count", 1)) > 1:
        task = replace(task, reducer=number_of(mine, job, task))
    return replace(task, left={name: path for name, path in task.left.items() if is_object(mine, path)})


def first_failed(mine: Jobs, job: str) -> Task:
    """The task of the first error of a job. Raises `Problem` if there is none."""
    if (task := next(failed(mine, job), None)) is None:
        raise Problem(f"no task of job {job} failed: say which one (mjob tasks {job})")
    return task


def named(mine: Jobs, job: str, word: str) -> Task:
    """The task whose id begins so, with what its failure left. Raises `Problem` for none, or several."""
    found = {task.id: task for task in failed(mine, job) if task.id.startswith(word)}
    if len(found) != 1 or word not in found:  # a task that did not fail may have such an id, too
        others = (of_record(each) for each in tasks(mine, job) if each["taskId"].startswith(word))
        found = {task.id: task for task in others} | found
    if len(found) != 1:
        raise Problem(f"{len(found) or 'no'} tasks of job {job} have ids that begin with {word}")
    return next(iter(found.values()))


def failed(mine: Jobs, job: str) -> Iterator[Task]:
    """The tasks of a job's errors."""
    for line in mine.records(job, "err"):
        record = json.loads(line)
        if "phase" in record or "phaseNum" in record:
            yield of_error(record)


def of_error(record: Mapping[str, Any]) -> Task:
    """The task of an error record. Live records name no task, but the stderr that it left ends with its id.

    Its stdout, if it left one, has the same name without `err`.
    """
    phase = int(record.get("phase", record.get("phaseNum", 0)))
    left = {name: str(record[name]) for name in SAVED if name in record}
    base, _, end = left.get("stderr", "").rpartition(f".{phase}.err.")
    if base:
        left["stdout"] = f"{base}.{phase}.{end}"
    name = str(record.get("taskId", end if base else ""))
    return Task(name, phase, record.get("input"), record.get("p0input"), left=left)


def of_record(record: Mapping[str, Any]) -> Task:
    """The task of a record of `mjob tasks`."""
    reducer = int(record.get("reducer", 0))
    runs = record.get("state") == "running"
    phase, number = int(record["phaseNum"]), int(record["number"])
    return Task(record["taskId"], phase, record.get("input"), record.get("p0input"), reducer, runs=runs, number=number)


def number_of(mine: Jobs, job: str, task: Task) -> int:
    """The number of a reducer among those of its phase. Raises `Problem` if the job has no record of it any more."""
    for each in tasks(mine, job):
        if each["taskId"] == task.id:
            return int(each.get("reducer", 0))
    raise Problem(f"which of the reducers of phase {task.phase} failed is not known: say which one (mjob tasks {job})")


def is_object(mine: Jobs, path: str) -> bool:
    found = objects.info_or_none(mine.session, path)
    return found is not None and not found.is_directory
