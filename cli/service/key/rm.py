"""remora key rm: take a key from an account."""

from __future__ import annotations

from pathlib import Path

import click

from cli.frame import Plain, note
from cli.service.account_options import change, end_jobs_option, tell_of_jobs, with_records


@click.command("rm", cls=Plain)
@click.argument("login")
@click.argument("fingerprint")
def command(login: str, fingerprint: str, end_jobs: bool, state_dir: Path | None) -> None:
    """Take the key with this FINGERPRINT, MD5 or SHA256, from the account LOGIN.

    The next request that it signs is refused, and so is the next one with a token (POST /LOGIN/tokens) or a presigned
    URL (msign) that came from it. Jobs that were created with it go on: their tasks act as the account until they are
    done. How many there are is said; --end-jobs cancels them. If the key is added again, its presigned URLs open
    again, its tokens do not.

    \b
    Examples:
      remora key rm jill c1:3a:35:…
      remora key rm jill SHA256:jjC4bx… --end-jobs
    """
    from scheduler.records import accounts
    from scheduler.records.database import Connection
    from scheduler.service import administration

    def work(c: Connection) -> tuple[int, tuple[int, int]]:
        key = accounts.remove_key(c, login, fingerprint)
        return len(accounts.list_keys(c, login)), administration.settle_jobs(c, login, end_jobs, key)

    left, jobs = change(state_dir, work, "key removed", account=login, key=fingerprint, end_jobs=end_jobs or None)
    if not left:
        note(f"{login} has no key any more")
    tell_of_jobs(login, *jobs)


with_records(command, end_jobs_option())
