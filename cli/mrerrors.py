"""mrerrors: errors of jobs, grouped and counted."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli import text, when
from cli.frame import Plain, note
from cli.service.account_options import json_option, use_store, with_store

if TYPE_CHECKING:
    from scheduler.objects.blobs import BlobStore
    from scheduler.records.database import Connection, Database
    from scheduler.service.operators.errors import Errors, Kind

DAY_MS = 86_400_000
SHOWN = ("job", "account", "what", "message", "server", "stderr", "core")


@click.command("mrerrors", cls=Plain)
@click.argument("job", metavar="[JOB...]", nargs=-1)
@click.option("--since", type=when.Moment(), metavar="WHEN", help="Jobs created since: 2h, 7d, a date. [default: 1d]")
@click.option("--before", type=when.Moment(), metavar="WHEN", help="Jobs created before: 2h, 7d, a date.")
@click.option("--account", "-a", metavar="LOGIN", default="", help="Only jobs of this account.")
@click.option("--code", metavar="CODE", default="", help="Only errors with this code, such as UserTaskError.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the N most frequent kinds.")
def command(
    job: tuple[str, ...],
    since: int | None,
    before: int | None,
    account: str,
    code: str,
    limit: int | None,
    as_json: bool,
    objects: Path | None,
    state_dir: Path | None,
) -> None:
    """Fetch and summarize the errors of jobs, or of all jobs of a time: each kind with its number and an example.

    Errors are of one kind if they have the same code, and messages that differ in names and ids only. Jobs may be any
    account's, and archived. Without JOB those of the last day are looked through.

    \b
    Examples:
      mrerrors 8bd3c96e
      mrerrors --since 2h
      mrerrors --since 7d -a jill --code UserTaskError --json | jq -r .example.stderr
    """
    if job and (since is not None or before is not None or account):
        raise click.UsageError("JOB excludes --since, --before and --account", click.get_current_context())
    from scheduler.service.operators.errors import Errors

    errors = Errors(code)
    now = time.time_ns() // 1_000_000
    span = (now - DAY_MS if since is None else since, now + 1 if before is None else before)

    async def use(db: Database, blobs: BlobStore) -> None:
        def read(c: Connection) -> None:
            collect(c, blobs, errors, job, span, account)

        await db.read(read)

    use_store(state_dir, objects, use)
    kinds = errors.kinds()[:limit]
    for kind in kinds:
        if as_json:
            print(text.compact(record(kind)))
        else:
            print("\n".join(paragraph(kind)))
    if not kinds:
        note("no errors")


def collect(
    c: Connection, blobs: BlobStore, errors: Errors, words: tuple[str, ...], span: tuple[int, int], account: str
) -> None:
    from scheduler.records import accounts
    from scheduler.service.operators.find_job import find_job, jobs_between
    from scheduler.service.operators.job_record import errors_of

    if account:
        accounts.require(c, account)
    found = [find_job(c, word) for word in words] if words else jobs_between(c, *span, account)
    for job in found:
        errors.add(job.owner, job.uuid, errors_of(c, blobs, job))


def record(kind: Kind) -> dict[str, object]:
    return {
        "code": kind.code,
        "message": kind.message,
        "count": kind.count,
        "jobs": len(kind.jobs),
        "accounts": sorted(kind.accounts),
        "example": kind.example,
    }


def paragraph(kind: Kind) -> list[str]:
    """`3 UserTaskError  user command exited with code 3`, and an example below."""
    where = f"{text.count(len(kind.jobs), 'job')} of {', '.join(sorted(kind.accounts)[:5])}"
    head = f"{kind.count}  {kind.code}: {text.escape(kind.message)}  ({where})"
    example = kind.example
    return [head, *(f"    {name:8} {text.escape(str(example[name]))}" for name in SHOWN if example.get(name))]


with_store(command, json_option())
