"""The input of a task as one object: the one that it read, or what the phases before make again.

    the task              its input
    map, phase 0          an object of the user, by its name, as it is now
    map, later phases     the object, if it is still there (mpipe ~~/stor/x); else an output of the phases before, run
                          on the one input of the job that it descends from, or on all if reducers are among them
    a reducer             the output of a reducer `cat` in its place, after the phases before, on all inputs of the job

The job that runs them is the user's as any other, and is removed with the block that needs its output. Whatever it
could not make is a `Problem`, with the first error of that job.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import click

from cli.client import objects
from cli.client.problem import Problem
from cli.jobs.documents.input_names import pour
from cli.jobs.documents.specification import document, encoded
from cli.jobs.follow.interruption import exit_code, terminable
from cli.jobs.tasks import tasks
from cli.meter import Meter
from cli.postmortem.lineage import Place, UnknownMakerError, made_before
from cli.postmortem.tasks import Task, of_record
from cli.text import count

if TYPE_CHECKING:
    from cli.client.jobs import Jobs, Status

Phase = dict[str, Any]
Say = Callable[[str], None]
Pick = Callable[["Jobs", str], str | None]  # of a job that is done: the output that is meant
REQUESTS = 8  # at once
CAPS = ("memory", "disk", "image", "count")  # what `cat` has of the reducer in whose place it is
BATCH = 1000


@contextmanager
def input_of(mine: Jobs, job: str, status: Status, task: Task, say: Say) -> Iterator[str]:
    """The object with the input of a task, as long as the block lasts. Raises `Problem`."""
    phases = status["phases"][: task.phase]
    if task.input is None:
        phases.append(collecting(status["phases"][task.phase]))
        pick = output_of_reducer(task.reducer)
    elif objects.info_or_none(mine.session, task.input):
        yield task.input
        return
    elif task.phase == 0:
        raise Problem(f"the input of the task, {task.input}, is not there any more")
    else:
        pick = output_at(task.phase, place_of(mine, job, task))
    body = encoded(document(f"input of {task.described} of job {job}"[:255], phases))
    inputs = inputs_for(mine, job, task, phases)
    with made(mine, body, inputs, pick, say, "making the input of the task again") as path:
        yield path


def collecting(phase: Phase) -> Phase:
    """A reduce phase in the place of another, whose outputs are the inputs of the other's reducers."""
    return {"type": "reduce", "exec": "cat", **{name: phase[name] for name in CAPS if name in phase}}


def inputs_for(mine: Jobs, job: str, task: Task, phases: Iterable[Phase]) -> Iterable[bytes]:
    """The inputs of a job that its earlier phases need to make a task's input again."""
    if task.origin is not None and all(phase["type"] != "reduce" for phase in phases):
        return [task.origin.encode("utf-8", "surrogateescape")]
    return mine.records(job, "in")


def place_of(mine: Jobs, job: str, task: Task) -> Place:
    """The place of a task's input among what the phase before made. Raises `Problem`."""
    assert task.input is not None
    try:
        return made_before(task.phase, of_origin(mine, job, task.origin)).place(task.input)
    except UnknownMakerError as error:
        raise Problem(
            f"the input of the task, {task.input}, is not kept, and cannot be made again: which of the tasks of "
            f"phase {task.phase - 1} made {error} is not known"
        ) from None


def of_origin(mine: Jobs, job: str, origin: str | None) -> list[Task]:
    """The tasks of a job that descend from one of its inputs; all, if none is given."""
    return [task for task in map(of_record, tasks(mine, job)) if origin is None or task.origin == origin]


def output_at(phase: int, place: Place) -> Pick:
    """Picks the output of a run of the phases before `phase` that is at a place."""

    def pick(mine: Jobs, job: str) -> str | None:
        outputs = [line.decode("utf-8", "surrogateescape") for line in mine.records(job, "out")]
        return made_before(phase, list(map(of_record, mine.tasks(job))), outputs).at(place)

    return pick


def output_of_reducer(number: int) -> Pick:
    """Picks the output of a reducer of the last phase, by its number."""

    def pick(mine: Jobs, job: str) -> str | None:
        reducers = (task for task in map(of_record, mine.tasks(job)) if task.input is None and task.reducer == number)
        last = max(reducers, key=lambda task: task.phase, default=None)
        outputs = (line.decode("utf-8", "surrogateescape") for line in mine.records(job, "out"))
        return next((name for name in outputs if last and name.endswith(f".{last.phase}.{last.id}")), None)

    return pick


@contextmanager
def made(mine: Jobs, body: bytes, inputs: Iterable[bytes], pick: Pick, say: Say, why: str) -> Iterator[str]:
    """Run a job for one of its outputs, which is there as long as the block lasts. Raises `Problem` if it is not made.

    `why` is said with the id of the job, which is ended and removed whatever ends the block, a signal too.
    """
    from cli.jobs.rerun import batches

    with terminable(signal.SIGHUP):
        job = mine.create(body)
        try:
            say(f"{why} -- {job}")
            pour(mine, [job], batches(inputs, BATCH), parallel=REQUESTS, quiet=True)
            mine.end_input(job)
            status = finished(mine, job)
            if (path := pick(mine, job)) is None:
                raise Problem(not_made(mine, job))
            if errors := int(status["stats"]["errors"]):
                say(f"with {count(errors, 'error')} of the phases before")
            yield path
        except KeyboardInterrupt as end:
            raise click.exceptions.Exit(exit_code(end)) from None
        finally:
            with suppress(Problem):
                remove(mine, job)


def finished(mine: Jobs, job: str) -> Status:
    """Wait until a job is done, with a line on the terminal."""

    def show(status: Status) -> None:
        stats = status["stats"]
        meter.show(f"{stats['tasksDone']}/{stats['tasks']} tasks")

    with Meter() as meter:
        return mine.wait(job, show)


def not_made(mine: Jobs, job: str) -> str:
    error = mine.first_error(job)
    why = f"{error.get('code')}: {error.get('message')}" if error else "the phases before made no such output this time"
    return f"the input of the task could not be made again: {why}"


def remove(mine: Jobs, job: str) -> None:
    """End a job, if it is not done, and remove what it left."""
    if mine.status_or_archive(job)["state"] != "done":
        mine.cancel(job)
        mine.wait(job)
    mine.remove(job, REQUESTS)
