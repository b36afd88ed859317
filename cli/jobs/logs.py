"""mjob logs: what tasks print, on stdout and stderr, while they run and of those that have ended."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from cli.client.problem import NoSuchJob, Problem
from cli.client.transport.patience import Patience
from cli.frame import Command, note
from cli.jobs.common import complete_job, jobs, only
from cli.jobs.follow.interruption import WATCHING, telling_of
from cli.jobs.follow.task_log import STREAMS, Screen, TaskLog, kept
from cli.jobs.tasks import input_of, tasks
from scheduler.common.backoff import Backoff

if TYPE_CHECKING:
    from cli.client.jobs import Jobs

Record = dict[str, Any]
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 4.0  # between two looks, of which the last showed nothing
FOLLOWED = 32  # tasks that run whose logs are shown
SHORTEST = 4  # characters of a task's id


@click.command("logs", cls=Command)
@click.option("-f", "--follow", is_flag=True, help="Go on with what is printed from now on, until the end.")
@click.option("--stdout", "stdout", is_flag=True, help="Only what tasks print on stdout.")
@click.option("--stderr", "stderr", is_flag=True, help="Only what tasks print on stderr.")
@click.argument("words", metavar="job [task|text]", nargs=-1, shell_complete=complete_job)
def command(words: tuple[str, ...], follow: bool, stdout: bool, stderr: bool) -> None:
    """Print what the tasks of a job print, each piece after a line that says which task and attempt it is of.

    Of tasks that run it is all that they have printed so far, on stdout and stderr, of 32 tasks at most; of those that
    failed, their error and stderr. With a task, by its id or the beginning of it (see mjob tasks), it is that task's
    alone; with any other text, only tasks whose input or error contains it.

    With -f more is shown as it comes, less and less often while nothing does. An attempt that is tried again begins
    anew. Ctrl-C ends the watching; the job goes on. What a task keeps in a buffer of its own is not printed yet.

    Once a task has ended, its stderr is kept only if it failed, and its stdout if it failed or was one of the last
    phase: what others printed between the last look and their end is not shown.

    \b
    Examples:
      mjob logs last
      mjob logs -f last
      mjob logs -f --stderr last 5b2c
      mjob logs last access.log
    """
    if len(words) > 2:
        raise click.UsageError("a job, and at most one task or text", click.get_current_context())
    streams = [name for name, wanted in zip(STREAMS, (stdout, stderr), strict=True) if wanted] or list(STREAMS)
    with jobs() as mine:
        job = only(mine, words[:1])
        logs = found(mine, job, words[1] if words[1:] else "", streams)
        if not follow:
            logs.show()
            logs.end()
            return
        mine.session.patience = Patience(note)
        with telling_of(job, WATCHING):
            follow_all(logs)


def found(mine: Jobs, job: str, word: str, streams: Sequence[str]) -> Logs:
    """The logs that a word means: of the task with such an id, or of all whose input or error contains it."""
    screen = Screen()
    if task := task_named(mine, job, word):
        return OneTask(TaskLog(mine, job, task, streams, screen), screen)
    return AllTasks(mine, job, word, streams, screen)


def task_named(mine: Jobs, job: str, word: str) -> Record | None:
    """The task whose id is or begins with a word. Raises `Problem` if there are several."""
    if len(word) < SHORTEST or word.strip("0123456789abcdef-"):
        return None
    try:
        named = [task for task in tasks(mine, job) if task["taskId"].startswith(word)]
    except Problem:  # what is left of the job is its archive
        return None
    if len(named) > 1:
        raise Problem(f"{len(named)} tasks of job {job} have ids that begin with {word}: say more of it")
    return named[0] if named else None


def follow_all(logs: Logs) -> None:
    """Show what is new until there can be no more."""
    pauses = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
    while True:
        over = logs.over()
        if logs.show():
            pauses.reset()
        if over:
            logs.end()
            return
        time.sleep(pauses.next())


class OneTask:
    """The logs of one task."""

    def __init__(self, log: TaskLog, screen: Screen) -> None:
        self._log = log
        self._screen = screen

    def over(self) -> bool:
        return self._log.over

    def show(self) -> bool:
        return self._log.show()

    def end(self) -> None:
        self._screen.end()


class AllTasks:
    """The logs of the tasks of a job that run, and the errors of those that failed; of both what contains a text."""

    def __init__(self, mine: Jobs, job: str, text: str, streams: Sequence[str], screen: Screen) -> None:
        self._mine, self._job, self._text = mine, job, text
        self._streams = streams
        self._screen = screen
        self._errors = 0  # that were looked at
        self._running: dict[int, TaskLog] = {}
        self._followed: set[str] = set()  # ids of tasks whose logs were shown while they ran
        self._many = False

    def over(self) -> bool:
        return bool(self._mine.status_or_archive(self._job)["state"] == "done")

    def show(self) -> bool:
        """Show what is new; whether anything was. What runs comes first, so that an error follows what led to it."""
        self._look_for_tasks()
        shown = [log.show() for log in self._running.values()]
        self._running = {number: log for number, log in self._running.items() if not log.over}
        return any([*shown, self._show_errors()])

    def end(self) -> None:
        self._screen.end()

    def _look_for_tasks(self) -> None:
        try:
            running = self._mine.tasks(self._job, state="running")
        except NoSuchJob:  # what is left of the job is its archive
            return
        for task in running:
            if task["number"] in self._running or self._text not in input_of(task):
                continue
            if len(self._running) >= FOLLOWED:
                self._tell_many()
                return
            self._running[task["number"]] = TaskLog(self._mine, self._job, task, self._streams, self._screen)
            self._followed.add(task["taskId"])

    def _tell_many(self) -> None:
        if not self._many:
            self._many = True
            note(f"more than {FOLLOWED} tasks run: the logs of {FOLLOWED} are shown (see mjob tasks -s running)")

    def _show_errors(self) -> bool:
        """Show the errors that are new."""
        before = self._errors
        for line in islice(self._mine.records(self._job, "err"), before, None):
            self._errors += 1
            record = json.loads(line)
            if self._text in f"{record.get('what')} {record.get('message')}":
                self._show_error(record)
        return self._errors > before

    def _show_error(self, record: Record) -> None:
        self._screen.end()
        self._screen.head(f"{record.get('what')}: {record.get('message')}")
        path = str(record.get("stderr") or "")
        if path and "stderr" in self._streams and path[-36:] not in self._followed:
            for piece in self._saved(path):
                self._screen.write(piece)
        self._screen.end()

    def _saved(self, path: str) -> Iterator[bytes]:
        """A saved stderr. Raises `Problem` if it is gone."""
        return kept(self._mine, path, 0)


Logs = OneTask | AllTasks
