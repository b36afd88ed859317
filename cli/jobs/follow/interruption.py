"""What a client says when it ends before its job does: the job stays, and this is how to get at it.

A job belongs to the service and not to the command that made it. So whatever ends the command (Ctrl-C, SIGTERM, a
service that is away for long, a problem) leaves the job as it is, and the last lines on stderr name it, with the
commands that go on from there. They depend on the stage: while inputs are added the input is left open, while the
job is watched it goes on, and while its outputs are printed it is done.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

import click

from cli.client.problem import NoSuchJob, Problem
from cli.frame import INTERRUPTED, note


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a client was: a sentence about the job, and what can be done next, each with its words of `mjob`."""

    sentence: str
    then: Sequence[tuple[str, str]]

    def about(self, job: str) -> str:
        width = max(len(what) for what, _ in self.then) + 1
        return "\n".join(
            [self.sentence.format(job=job), *(f"  {f'{what}:':<{width}} mjob {how} {job}" for what, how in self.then)]
        )


ADDING = Stage(
    "job {job} is left with its input open",
    (("to add more", "addinputs"), ("to end its input", "close"), ("to end it", "cancel")),
)
WATCHING = Stage(
    "stopped watching; job {job} goes on",
    (("to watch it again", "watch"), ("its outputs", "cat"), ("to end it", "cancel")),
)
PRINTING = Stage(
    "job {job} is done, and keeps its outputs",
    (("all of them", "cat"), ("their names", "outputs")),
)


class Terminated(KeyboardInterrupt):
    """A signal, taken as Ctrl-C is."""

    def __init__(self, number: int = signal.SIGTERM) -> None:
        super().__init__()
        self.number = number


@contextmanager
def telling_of(job: str, stage: Stage) -> Iterator[None]:
    """Whatever ends the block early is followed by what `stage` says about the job."""
    try:
        with interruptible([job], stage):
            yield
    except NoSuchJob:
        raise
    except Problem as problem:
        raise Problem(f"{problem.message}\n{stage.about(job)}", problem.name) from None


@contextmanager
def interruptible(jobs: Sequence[str], stage: Stage) -> Iterator[None]:
    """Ctrl-C and SIGTERM within the block end the command, after what `stage` says about the jobs."""
    with terminable():
        try:
            yield
        except KeyboardInterrupt as end:
            note("\n" + "\n".join(stage.about(job) for job in jobs))
            raise click.exceptions.Exit(exit_code(end)) from None


def exit_code(end: KeyboardInterrupt) -> int:
    return 128 + end.number if isinstance(end, Terminated) else INTERRUPTED


@contextmanager
def terminable(*more: signal.Signals) -> Iterator[None]:
    """Within the block SIGTERM and `more` raise `Terminated` (Python delivers signals to the main thread only)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def terminate(number: int, _frame: FrameType | None) -> None:
        raise Terminated(number)

    before = {number: signal.signal(number, terminate) for number in (signal.SIGTERM, *more)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
