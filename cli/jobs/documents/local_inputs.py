"""Local files as inputs of a new job: stored as `mput -r` stores them, then named to the job.

The files come first and the job after them, so a run that is broken off leaves no job, and the same command goes on
with what is not there yet. If a file cannot be stored there is no job either: its outputs would be those of some of
the files. They stay where they are stored, for the next job, until they are removed (`mrm -r`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from cli.client import paths
from cli.client.problem import Problem
from cli.output import leave_out
from cli.text import count

if TYPE_CHECKING:
    from cli.client.session import Session
    from cli.jobs.follow.run_job import Flow

DEFAULT_GOAL = "~~/stor"
THERE = ("stored", "same")
PARALLEL = 16


def store(session: Session, sources: Sequence[str], goal: str, flow: Flow) -> list[str]:
    """Store files, and all files of directories, in the directory `goal`; their paths, sorted. Raises `Problem`."""
    from cli.bulk.run import Done, Run
    from cli.commands.mput import guessed_type, store_all
    from cli.commands.msync import headers_of

    stored: list[str] = []

    def keep(done: Done) -> None:
        if done.action in THERE:
            stored.append(done.path)

    run = Run(click.get_current_context().command_path, PARALLEL, quiet=flow.quiet, told=keep)
    target = paths.valid(goal, session.settings.home)
    store_all(
        session, run, sources, target, headers_of(guessed_type), recursive=True, follow=False, make=True, md5=False
    )
    if failed := run.counts["failed"]:
        raise Problem(f"{count(failed, 'file')} could not be stored, so no job was created")
    if not stored:
        raise Problem(f"there are no files in {' '.join(sources)}, so no job was created")
    return sorted(stored)


def batches(stored: Sequence[str], size: int) -> Iterator[list[bytes]]:
    """Paths as names of inputs, so many at a time. A list has a name a line: one with a line break is left out."""
    fit = [path.encode() for path in stored if "\n" not in path and "\r" not in path]
    for path in stored:
        if "\n" in path or "\r" in path:
            leave_out(path)
    for start in range(0, len(fit), size):
        yield fit[start : start + size]
