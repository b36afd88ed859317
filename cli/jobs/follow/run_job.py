"""What happens after a job has been created: it is fed, its end is awaited, its outputs are shown.

`mjob create` and `mjob rerun` make a job in different ways and then go the same way, so they have
the same options for it. The job's id is printed first, unless stdout is for its outputs; a job
that could not be fed to the end stays, and is named.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cli.client.transport.patience import Patience
from cli.frame import note
from cli.jobs.follow.interruption import ADDING, PRINTING, telling_of
from cli.jobs.follow.output_printing import Printing, print_outputs, printing_of, printing_options

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
    halt: int | None
    joblog: str | None
    rm: bool
    printing: Printing

    @property
    def shows(self) -> bool:
        """Whether outputs are wanted, on stdout or as files."""
        return self.cat_outputs or self.printing != Printing()

    @property
    def prints(self) -> bool:
        """Whether stdout is for the outputs."""
        return self.shows and not self.printing.results

    @property
    def waits(self) -> bool:
        return self.shows or self.watch or self.halt is not None or self.joblog is not None


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
        printing_options,
        click.option("--halt", type=click.IntRange(min=1), metavar="N", help="Cancel the job after N errors; as -w."),
        click.option("--joblog", metavar="FILE", type=click.Path(),
                     help="Write a line for each task to FILE, as GNU parallel does; as -w."),
        click.option("--rm", is_flag=True, help="Remove the job once its outputs are shown, unless it failed."),
    )):  # fmt: skip
        function = option(function)
    return function


def taken(options: dict[str, Any]) -> Flow:
    """Take a flow's options out of all the options. Raises a usage error."""
    printing = printing_of(options)
    words = {name: options.pop(name) for name in Flow.__slots__ if name != "printing"}
    flow = Flow(**words, printing=printing)
    context = click.get_current_context()
    if flow.rm and not flow.shows:
        raise click.UsageError("--rm removes outputs that were not shown: say -o or --results, too", context)
    if flow.cat_outputs and printing.results:
        raise click.UsageError("-o prints the outputs, --results writes them to files: say one of them", context)
    return flow


def run(mine: Jobs, body: bytes, flow: Flow, feed: Callable[[str], None]) -> None:
    """Create a job from its JSON text; `feed` gives it its inputs. Raises `Problem`; also if the job had errors."""
    job = mine.create(body)
    if not flow.prints:
        print(job, flush=True)
    mine.session.patience = Patience(note)
    with telling_of(job, ADDING):
        feed(job)
    if flow.waits:
        see_through(mine, job, flow)


def add_all(mine: Jobs, job: str, batches: Iterable[list[bytes]], flow: Flow) -> int:
    """Add inputs to a job, several batches at once; how many there were. Raises `Problem`."""
    from cli.jobs.documents.input_names import pour

    return pour(mine, [job], batches, parallel=flow.parallel, quiet=flow.quiet)


def see_through(mine: Jobs, job: str, flow: Flow) -> None:
    """Wait for the job and do with it what was wanted. Raises `Problem` if it had errors or was cancelled."""
    from cli.jobs.follow import outcome
    from cli.jobs.follow.wait import Watcher

    status = Watcher(mine, job, flow.halt).run()
    if flow.shows:
        with telling_of(job, PRINTING):
            print_outputs(mine, job, flow.printing)
            sys.stdout.flush()
    if flow.joblog:
        from cli.jobs.tasks import write_joblog

        with telling_of(job, PRINTING):
            write_joblog(mine, job, flow.joblog)
    outcome.check(mine, job, status)
    if flow.rm:
        mine.remove(job, flow.parallel)
