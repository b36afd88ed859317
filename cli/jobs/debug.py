"""mjob debug: the phases of a job, the last of which is a shell on what its command would read."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import click

from cli.client.problem import Problem
from cli.jobs.common import jobs
from cli.jobs.create import Create, body_of, in_order, phase_options
from cli.jobs.shell import idle_option, log_in_after
from cli.output import null_option

if TYPE_CHECKING:
    from cli.client.jobs import Jobs
    from cli.postmortem.inputs import Say
    from cli.postmortem.tasks import Task

Phase = dict[str, Any]
BATCH = 1000


@click.command("debug", cls=Create)
@phase_options
@click.option("--reducer", metavar="N", type=click.IntRange(min=0), default=0, show_default=True,
              help="Which of several reducers the shell is.")  # fmt: skip
@idle_option
@null_option("Names on stdin end in NUL, as mfind -0 prints them.", "--null")
@click.argument("expression", metavar="[map [^ map] [^^ reduce]]", nargs=-1)
def command(expression: Sequence[str], reducer: int, idle: int, null: bool, **options: Any) -> None:
    """Run a job on the objects named on stdin, with a shell on your terminal in the place of its last command.

    Phases are given as to mjob create. All but the last run. The shell is where the last would run: in /task, with
    what it would read as the file input, and its command as ./run.sh. If the last phase reduces, this is all that one
    reducer reads; if it is a map phase, the first of its inputs.

    The job of the phases before is removed when you leave.

    \b
    Examples:
      mfind -t o ~~/stor/logs | mjob debug -m 'grep -c ERROR || true' -r "awk '{n += \\$1} END {print n}'"
      mfind -t o ~~/stor | mjob debug --reducer 1 -m 'msplit -n 2' --count 2 -r 'sort | uniq -c'

    Exit status: as of mlogin.
    """
    from cli.terminal.screen import Screen, take_keyboard
    from cli.terminal.session import Wish

    if sys.stdin is None or sys.stdin.isatty():
        raise Problem("stdin names no objects: give it names, one a line, as to mjob create")
    screen, words = Screen(quiet=False), in_order(options)
    with take_keyboard() as keyboard, jobs() as mine:
        phases: list[Phase] = json.loads(body_of(mine, expression, None, "", words))["phases"]
        if not 0 <= reducer < int(phases[-1].get("count", 1)):
            raise Problem(f"there is no reducer {reducer}: the last phase has {phases[-1].get('count', 1)}")
        with last_task(mine, phases, reducer, names_of_stdin(mine, null=null), screen.say) as (task, path):
            keyboard()
            ended = log_in_after(mine, phases[-1], task, path, Wish(None, "~", idle), screen)
    click.get_current_context().exit(ended)


def names_of_stdin(mine: Jobs, *, null: bool) -> Iterator[bytes]:
    from cli.jobs.documents.input_names import typed

    return chain.from_iterable(typed(sys.stdin.fileno(), BATCH, mine.session.settings.home, null=null))


@contextmanager
def last_task(
    mine: Jobs, phases: Sequence[Phase], reducer: int, names: Iterator[bytes], say: Say
) -> Iterator[tuple[Task, str]]:
    """The task that would run last, and the object with its input, as long as the block lasts. Raises `Problem`."""
    from cli.jobs.documents.specification import document, encoded
    from cli.postmortem.inputs import collecting, made, output_of_reducer
    from cli.postmortem.tasks import Task

    number, before = len(phases) - 1, list(phases[:-1])
    is_reducer = phases[-1]["type"] == "reduce"
    if is_reducer:
        before.append(collecting(phases[-1]))
    elif not before:
        if (first := next(names, None)) is None:
            raise Problem("stdin names no objects")
        path = first.decode("utf-8", "surrogateescape")
        yield Task("", number, path), path
        return
    body = encoded(document("input of a shell (mjob debug)", before))
    pick = output_of_reducer(reducer) if is_reducer else first_output
    with made(mine, body, names, pick, say, "running the phases before the shell") as path:
        yield Task("", number, None if is_reducer else path, reducer=reducer), path


def first_output(mine: Jobs, job: str) -> str | None:
    found = next(islice(mine.records(job, "out", page=1), 1), None)
    return None if found is None else found.decode("utf-8", "surrogateescape")
