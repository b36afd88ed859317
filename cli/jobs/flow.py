"""What happens after a job has been created: it is fed, its end is awaited, its outputs are shown.

`mjob create` and `mjob rerun` make a job in different ways and then go the same way, so they have
the same options for it. The job's id is printed first, unless stdout is for its outputs; a job
that could not be fed to the end stays, and is named.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cli.client.problem import Problem
from cli.frame import INTERRUPTED, note

if TYPE_CHECKING:
    from cli.client.jobs import Jobs

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Flow:
    """What the options said. `batch` inputs go into a request, `parallel` requests are under way at once."""

    batch: int
    parallel: int
    cat_outputs: bool
    watch: bool
    quiet: bool


def flow_options(function: Function) -> Function:
    """The options of a `Flow`; `taken` makes one of what the function gets."""
    for option in reversed((
        click.option("-b", "--batch", type=click.IntRange(min=1), default=1000, show_default=True, metavar="N",
                     help="Inputs per request."),
        click.option("-p", "--parallel", type=click.IntRange(min=1), default=25, show_default=True, metavar="N",
                     help="Requests at once."),
        click.option("-o", "--cat-outputs", is_flag=True, help="Wait, then print all outputs."),
        click.option("-w", "--watch", is_flag=True, help="Wait until the job is done."),
        click.option("-q", "--quiet", is_flag=True, help='No "added ..." lines.'),
    )):  # fmt: skip
        function = option(function)
    return function


def taken(options: dict[str, Any]) -> Flow:
    """Take a flow's options out of all the options."""
    return Flow(**{name: options.pop(name) for name in Flow.__slots__})


def run(mine: Jobs, body: bytes, flow: Flow, feed: Callable[[str], None]) -> None:
    """Create a job from its JSON text; `feed` gives it its inputs. Raises `Problem`; also if the job had errors."""
    job = mine.create(body)
    if not flow.cat_outputs:
        print(job, flush=True)
    with telling_of(job):
        feed(job)
    if flow.cat_outputs or flow.watch:
        see_through(mine, job, show_outputs=flow.cat_outputs)


def add_all(mine: Jobs, job: str, batches: Iterable[list[bytes]], flow: Flow) -> None:
    """Add inputs to a job, several batches at once. Raises `Problem`."""
    from cli.jobs.inputs_from import pour

    pour(mine, [job], batches, parallel=flow.parallel, quiet=flow.quiet)


@contextmanager
def telling_of(job: str) -> Iterator[None]:
    """A job whose inputs could not all be added is still there: say so."""
    try:
        yield
    except Problem as problem:
        raise Problem(f"{problem.message}\njob {job} is left with its input open: mjob cancel {job}") from None
    except KeyboardInterrupt:
        note(f"\njob {job} is left with its input open: mjob cancel {job}")
        sys.exit(INTERRUPTED)


def see_through(mine: Jobs, job: str, *, show_outputs: bool) -> None:
    """Wait for the job; print its outputs if wanted. Raises `Problem` if it had errors."""
    from cli.jobs.cat import print_contents
    from cli.jobs.watching import Watcher, error_message, tell_first_error

    watcher = Watcher(mine, job)
    status = watcher.run()
    if status["stats"].get("errors"):
        if not watcher.told:
            tell_first_error(mine, job)
        raise Problem(error_message(job, status))
    if show_outputs:
        print_contents(mine, mine.records(job, "out"))
