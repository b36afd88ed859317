"""mjob shell: a shell beside a running task of a job, or where one ran, with what it had."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cli.completion import one_of
from cli.frame import Command
from cli.jobs.common import complete_job, jobs, only
from cli.when import Duration
from scheduler.model.tiers import DISK_GB, MEMORY_MB

if TYPE_CHECKING:
    from cli.client.jobs import Jobs
    from cli.postmortem.tasks import Task
    from cli.terminal.screen import Screen
    from cli.terminal.session import Wish

Function = TypeVar("Function", bound=Callable[..., Any])
KEPT = ("memory", "disk", "init", "image")  # properties of the phase that the shell has, too
MAX_IDLE_S = 7 * 86_400
ENDED = "TaskNotRunningError"


def idle_option(function: Function) -> Function:
    return click.option("--idle", metavar="TIME", type=Duration(MAX_IDLE_S), default="1h", show_default=True,
                        help="End a session in which nothing is typed or shown for so long: 90s, 15m, 2h.")(
        function
    )  # fmt: skip


@click.command("shell", cls=Command)
@click.option("--memory", metavar="MB", type=int, shell_complete=one_of(MEMORY_MB),
              help="Memory of the instance, if not that of the phase.")  # fmt: skip
@click.option("--disk", metavar="GB", type=int, shell_complete=one_of(DISK_GB),
              help="Disk of the instance, if not that of the phase.")  # fmt: skip
@idle_option
@click.argument("words", metavar="job [task]", nargs=-1, shell_complete=complete_job)
def command(words: tuple[str, ...], memory: int | None, disk: int | None, idle: int) -> None:
    """Log in where a task of a job runs or ran, on your terminal (see mlogin).

    A task that runs, by its id or the beginning of it (see mjob tasks): the shell is beside it in its instance. It sees
    the task's processes and files, has its variables, and shares its caps. The task goes on when you leave, and its end
    ends the shell. Nothing of the shell is the task's output: mpipe and the like refuse. A task has one such shell at a
    time.

    A task that has ended; without a task, the first that failed: the shell has the same input, assets, init, image and
    caps. It begins in /task (below $HOME where the root is read-only): input is what the task read, ./run.sh runs its
    script on it, as the task did; stderr, stdout and core are what its failure left, if anything. This shell is a job
    of its own. Objects are read by their names, as they are now. What an earlier phase had made is not kept, and
    neither is what a reducer read: for these, the phases before run again, in another job, on the same inputs, and that
    job is removed when you leave. What else their commands do, they do again.

    \b
    Examples:
      mjob shell last                 then: ./run.sh; cat stderr
      mjob shell --memory 4096 8bd3c96e
      mjob shell nightly 0b92

    Exit status: as of mlogin.
    """
    from cli.terminal.screen import Screen, require_terminal
    from cli.terminal.session import Wish

    if not 1 <= len(words) <= 2:
        raise click.UsageError("a job, and a task of it if need be", click.get_current_context())
    require_terminal()
    caps = {name: cap for name, cap in (("memory", memory), ("disk", disk)) if cap is not None}
    with jobs() as mine:
        ended = log_in(mine, words, caps, Wish(None, "~", idle), Screen(quiet=False))
    click.get_current_context().exit(ended)


def log_in(mine: Jobs, words: Sequence[str], caps: Mapping[str, int], wish: Wish, screen: Screen) -> int:
    """A session at a task: beside it while it runs, else one that has its input; its exit status. Raises `Problem`.

    `words` name the job, and the task if it is not the first that failed.
    """
    from cli.postmortem.inputs import input_of
    from cli.postmortem.tasks import find, running

    job = only(mine, words[:1])
    status = mine.status_or_archive(job)
    word = words[1] if len(words) > 1 else None
    runs = running(mine, job, word) if word else None
    if runs is not None and (ended := log_in_beside(mine, job, runs, wish, screen)) is not None:
        return ended
    task = find(mine, job, status, word)
    if task.runs:
        screen.say(f"the task still runs; this is another instance (what it has printed: mjob logs {job} {task.id})")
    with input_of(mine, job, status, task, screen.say) as path:
        return log_in_after(mine, status["phases"][task.phase] | caps, task, path, wish, screen)


def log_in_beside(mine: Jobs, job: str, task: Task, wish: Wish, screen: Screen) -> int | None:
    """A session beside a running task; its exit status, or None if it cannot be there. Raises `Problem`."""
    from cli.client.problem import Refused
    from cli.terminal.places import BesideTask, NotBegunError
    from cli.terminal.session import Session

    try:
        return Session(mine, BesideTask(job, task.number), wish, screen).run()
    except NotBegunError as why:
        screen.say(f"no shell beside the task: {why}")
    except Refused as refused:
        if refused.name != ENDED:
            raise
    return None


def log_in_after(mine: Jobs, phase: Mapping[str, Any], task: Task, path: str, wish: Wish, screen: Screen) -> int:
    """A session that has the task's input, the object at `path`; its exit status. Raises `Problem`."""
    from cli.postmortem.scripts import shell
    from cli.terminal.places import OwnJob
    from cli.terminal.session import Session

    properties = {name: phase[name] for name in KEPT if phase.get(name)}
    assets = [*phase.get("assets", ()), *task.left.values()]
    inside = replace(wish, command=shell(phase["exec"], task, wish.command))
    return Session(mine, OwnJob(mine, path, properties, assets), inside, screen).run()
