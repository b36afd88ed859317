"""mlogin: a shell in a task, at an object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from cli.client import objects, paths
from cli.client.problem import Problem
from cli.completion import one_of, remote_path
from cli.frame import Command, session
from cli.when import Duration
from scheduler.model.tiers import DISK_GB, MEMORY_MB

if TYPE_CHECKING:
    from cli.client.session import Session as Client

MAX_IDLE_S = 7 * 86_400


@click.command("mlogin", cls=Command)
@click.option("--task", "task", metavar="JOB TASK", nargs=2,
              help="Log in where this task of a job runs or ran, as mjob shell does.")  # fmt: skip
@click.option("-c", "--command", "run", metavar="CMD", help="Run this instead of a shell.")
@click.option("-s", "--asset", "assets", metavar="PATH", multiple=True, shell_complete=remote_path,
              help="Object to be had at /assets/PATH. Repeatable.")  # fmt: skip
@click.option("--memory", metavar="MB", type=int, shell_complete=one_of(MEMORY_MB),
              help="Memory of the instance: 128, 256, ... 8192.")  # fmt: skip
@click.option("--disk", metavar="GB", type=int, shell_complete=one_of(DISK_GB),
              help="Disk of the instance: 2, 4, ... 1024.")  # fmt: skip
@click.option("--init", metavar="CMD", help="Runs once in the instance, before the shell.")
@click.option("--image", metavar="SEMVER", help="Version of the image.")
@click.option("-e", "--escape", metavar="CHAR", default="~", show_default=True,
              help="Character that begins a command to mlogin; none: there is none.")  # fmt: skip
@click.option("--idle", metavar="TIME", type=Duration(MAX_IDLE_S), default="1h", show_default=True,
              help="End a session in which nothing is typed or shown for so long: 90s, 15m, 2h.")  # fmt: skip
@click.option("-q", "--quiet", is_flag=True, help='No messages of " * ...".')
@click.argument("where", metavar="[path]", nargs=-1, shell_complete=remote_path)
def command(
    where: Sequence[str],
    task: tuple[str, str] | None,
    run: str | None,
    assets: Sequence[str],
    memory: int | None,
    disk: int | None,
    init: str | None,
    image: str | None,
    escape: str,
    idle: int,
    quiet: bool,
) -> None:
    """Log in to a task: a shell on your terminal, in the place where a task runs.

    With a path it is a map task on that object, which is the file $MANTA_INPUT_FILE. Without one it is a reduce task
    without input. All variables and tools of tasks are there. The job is one as any other: mjob shows and cancels it.
    With --task it is beside a task that runs already, in its instance, or has what one had that has ended.

    \b
    Examples:
      mlogin                                     look around
      mlogin ~~/stor/lear.txt                    then: wc $MANTA_INPUT_FILE
      mlogin -c 'less $MANTA_INPUT_FILE' ~~/stor/lear.txt
      mlogin -s ~~/stor/prog --memory 4096       try a program: /assets/$MANTA_USER/stor/prog
      mlogin --task last 0b92 -c 'ps ax'         what does this task do?

    \b
    At the beginning of a line:
      ~.   end the session
      ~i   show the job
      ~?   help
      ~~   send one ~

    Exit status: that of the remote program. 255 if the session ended without one: by ~., because it was idle, or
    because the connection was lost; 1 if it never began.
    """
    from cli.client.jobs import Jobs
    from cli.jobs.shell import log_in
    from cli.terminal.places import OwnJob
    from cli.terminal.screen import Screen, require_terminal
    from cli.terminal.session import Session, Wish

    context = click.get_current_context()
    if len(where) > 1:
        raise click.UsageError("at most one path", context)
    if task and (where or assets or init or image):
        raise click.UsageError("--task has the task's own object, assets, init and image", context)
    check_escape(escape)
    require_terminal()
    caps = {name: cap for name, cap in (("memory", memory), ("disk", disk)) if cap is not None}
    wish, screen = Wish(run, None if escape == "none" else escape, idle), Screen(quiet)
    with session() as client:
        mine, home = Jobs(client), client.settings.home
        if task:
            context.exit(log_in(mine, task, caps, wish, screen))
        path = existing(client, where[0], home) if where else None
        properties = {**caps, **{name: text for name, text in (("init", init), ("image", image)) if text is not None}}
        place = OwnJob(mine, path, properties, [paths.valid(asset, home) for asset in assets])
        status = Session(mine, place, wish, screen).run()
    context.exit(status)


def check_escape(escape: str) -> None:
    """Raises `Problem` unless this is an escape character, or `none`."""
    if escape in ("\r", "\n"):
        raise Problem("escape character must not be carriage return or linefeed")
    if escape != "none" and len(escape.encode()) != 1:
        raise Problem("escape character sequences must be a single character")


def existing(client: Client, text: str, home: str) -> str:
    """The path of an object that there is. Raises `Problem`."""
    if not paths.is_full(text):
        raise Problem(f'"{text}" is not a valid path')
    path = paths.valid(text, home)
    if objects.info(client, path).is_directory:
        raise Problem("mlogin only works on objects, not directories")
    return path
