"""What several of mjob's commands share: which jobs are meant, and one thing done to each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cli.client.problem import Problem
from cli.frame import session
from cli.text import short_date

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from cli.client.jobs import Jobs, Status

T = TypeVar("T")


@contextmanager
def jobs(context: click.Context | None = None) -> Iterator[Jobs]:
    """The jobs of the account that the common options name."""
    with session(context) as client:
        from cli.client.jobs import Jobs

        yield Jobs(client)


def ids(mine: Jobs, texts: Sequence[str]) -> list[str]:
    """The ids of the jobs that operands stand for (see `job_names`). Raises a usage error if there is no operand."""
    from cli.client.job_names import find

    if not texts:
        raise click.UsageError("At least one JobId must be specified", click.get_current_context())
    return [find(mine, text) for text in texts]


def only(mine: Jobs, texts: Sequence[str]) -> str:
    """The id of the one job among operands. Raises a usage error if there is none or more, as `ids` for no job."""
    if len(texts) != 1:
        raise click.UsageError("Exactly one JobId must be specified", click.get_current_context())
    return ids(mine, texts)[0]


def check_done(mine: Jobs, job: str) -> Status:
    """The status of a job that is done. Raises `Problem` if it is not, or if there is no such job."""
    status = mine.status_or_archive(job)
    if status["state"] != "done":
        state = status["state"]
        raise Problem(f"job {job} is {state}: wait for it (mjob watch {job}) or end it (mjob cancel {job}) first")
    return status


def parallel_option(default: int) -> Callable[[Callable[..., T]], Callable[..., T]]:
    return click.option(
        "-p", "--parallel", type=click.IntRange(min=1), default=default, show_default=True, metavar="N",
        help="Requests at once.",
    )  # fmt: skip


def ignored_parallel_option(function: Callable[..., T]) -> Callable[..., T]:
    """`-p` where Manta's tool has it and this one goes from job to job: lists and waits do not fit side by side."""
    option = click.option("-p", "--parallel", type=click.IntRange(min=1), expose_value=False, metavar="N",
                          help="Accepted and ignored: jobs are shown one after another.")  # fmt: skip
    return option(function)


def for_each(texts: Sequence[str], parallel: int, act: Callable[[Jobs, str], T]) -> Iterable[T]:
    """Do `act` for each job, some at once; results in the order of the operands."""
    with jobs() as mine:
        wanted = ids(mine, texts)
        if len(wanted) == 1:
            yield act(mine, wanted[0])
            return
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(min(parallel, len(wanted))) as pool:
            yield from pool.map(lambda job: act(mine, job), wanted)


def job_argument(function: Callable[..., T]) -> Callable[..., T]:
    return click.argument("job", metavar="job...", nargs=-1, shell_complete=complete_job)(function)


def one_job_argument(function: Callable[..., T]) -> Callable[..., T]:
    """As `job_argument`, for commands that take one: `only` says so if there are more."""
    return click.argument("job", nargs=-1, metavar="job", shell_complete=complete_job)(function)


def complete_job(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Ids of jobs that begin as the word does, with state and age, the newest first. No service, no candidates."""
    from click.shell_completion import CompletionItem

    try:
        with jobs(context) as mine:
            running = {entry["name"] for entry in mine.listing(state="running")}
            found = [entry for entry in mine.listing() if entry["name"].startswith(incomplete)]
    except Problem:
        return []
    found.sort(key=lambda entry: str(entry.get("mtime", "")), reverse=True)
    now = time.time_ns() // 1_000_000
    return [
        CompletionItem(entry["name"], help=described(entry, now, is_running=entry["name"] in running))
        for entry in found
    ]


def described(entry: Mapping[str, Any], now: int, *, is_running: bool) -> str:
    """`running, created Nov 28 17:33`: what tells a job from others."""
    return f"{'running' if is_running else 'done'}, created {short_date(entry['mtime'], now, pad=False)}"
