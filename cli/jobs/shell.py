"""mjob shell: a shell where a task of a job ran, with what it had."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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

Function = TypeVar("Function", bound=Callable[..., Any])
KEPT = ("memory", "disk", "init", "image")  # properties of the phase that the shell has, too
MAX_IDLE_S = 7 * 86_400


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
    """Log in where a task of a job ran: the same input, assets, init, image and caps, on your terminal (see mlogin).

    Without a task, by its id or the beginning of it (see mjob tasks), it is the first that failed. The shell begins in
    /task (below $HOME where the root is read-only): input is what the task read, ./run.sh runs its script on it, as
    the task did; stderr, stdout and core are what its failure left, if anything.

    The shell is a job of its own, in an instance of its own, also if the task still runs. Objects are read by their
    names, as they are now. What an earlier phase had made is not kept, and neither is what a reducer read: for these,
    the phases before run again, in another job, on the same inputs, and that job is removed when you leave. What else
    their commands do, they do again.

    \b
    Examples:
      mjob shell last                 then: ./run.sh; cat stderr
      mjob shell --memory 4096 8bd3c96e
      mjob shell nightly 0b92

    Exit status: as of mlogin.
    """
    from cli.postmortem.inputs import input_of
    from cli.postmortem.tasks import find
    from cli.terminal.screen import Screen, require_terminal

    if not 1 <= len(words) <= 2:
        raise click.UsageError("a job, and a task of it if need be", click.get_current_context())
    require_terminal()
    screen = Screen(quiet=False)
    caps = {name: cap for name, cap in (("memory", memory), ("disk", disk)) if cap is not None}
    with jobs() as mine:
        job = only(mine, words[:1])
        status = mine.status_or_archive(job)
        task = find(mine, job, status, words[1] if len(words) > 1 else None)
        if task.runs:
            screen.say(
                f"the task still runs; this is another instance (what it has printed: mjob logs {job} {task.id})"
            )
        with input_of(mine, job, status, task, screen.say) as path:
            ended = log_in(mine, status["phases"][task.phase] | caps, task, path, idle, screen)
    click.get_current_context().exit(ended)


def log_in(mine: Jobs, phase: Mapping[str, Any], task: Task, path: str, idle: int, screen: Screen) -> int:
    """A session at a task of a phase, whose input is the object at `path`; its exit status. Raises `Problem`."""
    from cli.postmortem.scripts import shell
    from cli.terminal.session import Session, Wish

    properties = {name: phase[name] for name in KEPT if phase.get(name)}
    assets = [*phase.get("assets", ()), *task.left.values()]
    return Session(mine, Wish(path, shell(phase["exec"], task), properties, assets, "~", idle), screen).run()
