"""mjob shell: a shell where a task of a job ran, with what it had."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from cli.client import objects
from cli.client.problem import Problem, Refused
from cli.completion import one_of
from cli.frame import Command
from cli.jobs.common import complete_job, jobs, only
from cli.jobs.tasks import tasks
from cli.when import Duration
from scheduler.model.tiers import MEMORY_MB

if TYPE_CHECKING:
    from cli.client.jobs import Jobs
    from cli.terminal.session import Wish

KEPT = ("memory", "disk", "init", "image")  # properties of the phase that the shell has, too
LEFT = ("stderr", "core")
MAX_IDLE_S = 7 * 86_400
MAX_SCRIPT = 48 * 1024  # of bytes, in the message that starts the shell
# A bash that runs a script removes PS1 from its environment.
PROMPT = r"PS1='\[\033[1m\]'$MANTA_USER'@manta # \[\033[0m\]'"
RUN = """#!/bin/bash
exec bash --norc -c "$MANTA_EXEC" < "${MANTA_INPUT_FILE:-/dev/null}"
"""


@dataclass(frozen=True, slots=True)
class Task:
    """The task that is looked into: its phase, its input (None: a reducer), and the objects that its failure left."""

    phase: int
    input: str | None
    left: dict[str, str]


@click.command("shell", cls=Command)
@click.option("--memory", metavar="MB", type=int, shell_complete=one_of(MEMORY_MB),
              help="Memory of the instance, if not that of the phase.")  # fmt: skip
@click.option("--idle", metavar="TIME", type=Duration(MAX_IDLE_S), default="1h", show_default=True,
              help="End a session in which nothing is typed or shown for so long: 90s, 15m, 2h.")  # fmt: skip
@click.argument("words", metavar="job [task]", nargs=-1, shell_complete=complete_job)
def command(words: tuple[str, ...], memory: int | None, idle: int) -> None:
    """Log in where a task of a job ran: the same input, assets, init, image and caps, on your terminal (see mlogin).

    Without a task, by its id or the beginning of it (see mjob tasks), it is the first that failed. Its script is in
    $MANTA_EXEC, and ./run.sh runs it on the input, as the task did. If it failed, $TASK_STDERR is the file with what
    it said, and $TASK_CORE its core dump, where there are any.

    The shell is a job of its own. The input is read by its name, as it is now. A task that read what an earlier phase
    had made, or a reducer, has no input that is kept: no shell can be given it.

    \b
    Examples:
      mjob shell last                 then: ./run.sh; cat $TASK_STDERR
      mjob shell --memory 4096 8bd3c96e
      mjob shell nightly 0b92

    Exit status: as of mlogin.
    """
    from cli.terminal.screen import Screen, require_terminal
    from cli.terminal.session import Session

    if not 1 <= len(words) <= 2:
        raise click.UsageError("a job, and a task of it if need be", click.get_current_context())
    require_terminal()
    with jobs() as mine:
        job = only(mine, words[:1])
        phases = mine.status_or_archive(job)["phases"]
        task = find_task(mine, job, words[1]) if len(words) > 1 else first_failed(mine, job)
        check_input(mine, task)
        status = Session(mine, wish_of(task, phases[task.phase], memory, idle), Screen(quiet=False)).run()
    click.get_current_context().exit(status)


def first_failed(mine: Jobs, job: str) -> Task:
    """The task of the first error of a job. Raises `Problem` if there is none."""
    for line in mine.records(job, "err"):
        error = json.loads(line)
        if "phase" in error or "phaseNum" in error:
            return of_error(error)
    raise Problem(f"no task of job {job} failed: say which one (mjob tasks {job})")


def find_task(mine: Jobs, job: str, word: str) -> Task:
    """The task whose id begins so. Raises `Problem` for none, or several."""
    found = [task for task in tasks(mine, job) if task["taskId"].startswith(word)]
    if len(found) != 1:
        raise Problem(f"{len(found) or 'no'} tasks of job {job} have ids that begin with {word}")
    phase, name = int(found[0]["phaseNum"]), found[0].get("input")
    for line in mine.records(job, "err"):
        task = of_error(json.loads(line))
        if (task.phase, task.input) == (phase, name):
            return task
    return Task(phase, name, {})


def of_error(error: dict[str, Any]) -> Task:
    """The task that an error record is about: live ones name the phase in another way than archived ones."""
    left = {name: str(error[name]) for name in LEFT if name in error}
    return Task(int(error.get("phase", error.get("phaseNum", 0))), error.get("input"), left)


def check_input(mine: Jobs, task: Task) -> None:
    """Raises `Problem` unless the task had an input that a new task can read."""
    if task.input is None:
        raise Problem(
            f"the task is a reducer of phase {task.phase}, whose input is not kept: "
            "run the job once more with the reducer cat (-r cat), and log in at its output (mlogin)"
        )
    try:
        objects.info(mine.session, task.input)
    except Refused as error:
        if error.status != 404:
            raise
        why = "is not there any more" if task.phase == 0 else "was made by the phase before and is not kept"
        raise Problem(f"the input of the task, {task.input}, {why}") from None


def wish_of(task: Task, phase: dict[str, Any], memory: int | None, idle: int) -> Wish:
    """The session at a task. Raises `Problem` if its script is too long."""
    from cli.terminal.session import Wish

    properties = {name: phase[name] for name in KEPT if phase.get(name)}
    if memory is not None:
        properties["memory"] = memory
    assets = [*phase.get("assets", ()), *task.left.values()]
    return Wish(task.input, shell_of(phase["exec"], task), properties, assets, "~", idle)


def shell_of(script: str, task: Task) -> str:
    """The script that makes the shell: variables, ./run.sh, a line about them, bash."""
    if len(script.encode()) > MAX_SCRIPT:
        raise Problem(f"the task's script has more than {MAX_SCRIPT} bytes: log in with mlogin {task.input}")
    variables = {"MANTA_EXEC": script} | {f"TASK_{name.upper()}": f"/assets{path}" for name, path in task.left.items()}
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    lines.append(f"printf %s {shlex.quote(RUN)} > run.sh; chmod +x run.sh")
    lines.append(f"echo {shlex.quote(hint(task))}")
    return "\n".join([*lines, f"{PROMPT} exec bash --norc"])


def hint(task: Task) -> str:
    shown = ", ".join(["its script: ./run.sh", *(f"its {name}: $TASK_{name.upper()}" for name in task.left)])
    return f"input: $MANTA_INPUT_FILE, {shown}"
