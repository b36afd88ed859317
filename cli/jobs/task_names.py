"""The tasks and attempts of an operation, as users name them.

A task is `STAGE.NUMBER`, an attempt `STAGE.NUMBER.ATTEMPT`, as `mjob tasks` and `mjob attempts` show them. A number
alone is a task of the stage that runs the user's command, or else does the work.

Example: in a map of 100 tasks, whose lines were counted first, 17 is 1.17, and its second attempt is 1.17.2.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from cli.client.problem import Problem

if TYPE_CHECKING:
    from cli.client.jobs import Jobs, Status

TASK = re.compile(r"([0-9]{1,4}\.)?[0-9]{1,9}\Z")
ATTEMPT = re.compile(r"[0-9]{1,4}\.[0-9]{1,9}\.[0-9]{1,9}\Z")
PREPARING = ("index", "header", "sample")  # kinds of stages that only look at the input


def task(mine: Jobs, job: str, word: str) -> str:
    """`STAGE.NUMBER` for a word that names a task. Raises a usage error, `Problem`."""
    if not TASK.match(word):
        raise click.UsageError(f'"{word}" is no task (17, or 1.17 for one of stage 1)', click.get_current_context())
    return word if "." in word else f"{main_stage(mine.status_or_archive(job))}.{word}"


def attempt(mine: Jobs, job: str, words: Sequence[str]) -> str:
    """`STAGE.NUMBER.ATTEMPT` for a task and perhaps the number of an attempt; the newest if there is none.

    Raises a usage error, `Problem`.
    """
    context = click.get_current_context()
    if not 1 <= len(words) <= 2:
        raise click.UsageError("A task, and perhaps one of its attempts, must be specified", context)
    if ATTEMPT.match(words[0]) and len(words) == 1:
        return words[0]
    name = task(mine, job, words[0])
    if words[1:]:
        if not (words[1].isascii() and words[1].isdigit()):
            raise click.UsageError(f'"{words[1]}" is no number of an attempt (1, 2, ...)', context)
        return f"{name}.{int(words[1])}"
    stage, _, number = name.partition(".")
    newest = max((int(each["attempt"]) for each in mine.attempts(job, stage=stage, task=number)), default=0)
    if not newest:
        raise Problem(f"task {name} of job {job} has not been attempted yet, or there is no such task")
    return f"{name}.{newest}"


def main_stage(status: Status) -> int:
    """The number of the stage that a bare number of a task is about. Raises `Problem` for a job of phases."""
    if not status.get("progress"):
        raise Problem("that is a job of phases: only operations number their tasks (see mjob tasks)")
    stages = status["progress"]["stages"]
    return next((int(stage["stage"]) for stage in stages if stage["kind"] not in PREPARING), 0)
