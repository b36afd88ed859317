"""remora user revoke: end what the keys of an account gave out."""

from __future__ import annotations

from pathlib import Path

import click

from cli.frame import Plain
from cli.service.account_options import change, end_jobs_option, tell_of_jobs, with_records


@click.command("revoke", cls=Plain)
@click.argument("login")
def command(login: str, end_jobs: bool, state_dir: Path | None) -> None:
    """End all tokens (POST /LOGIN/tokens) and all presigned URLs (msign) of the account LOGIN at once.

    Its keys stay and sign requests as before; they may ask for new tokens. A presigned URL does not say when it was
    signed, so new ones need a key that is added from now on. Jobs go on, with what their tasks may do, unless
    --end-jobs. To shut an account out, remove its keys: remora key rm.

    \b
    Examples:
      remora user revoke jill
      remora user revoke jill --end-jobs

    Exit status: 0, or 1 if something is wrong.
    """
    from scheduler.records import accounts
    from scheduler.records.database import Connection
    from scheduler.service import administration

    def work(c: Connection) -> tuple[int, int]:
        accounts.revoke(c, login)
        return administration.settle_jobs(c, login, end_jobs)

    tell_of_jobs(login, *change(state_dir, work, "tokens revoked", account=login))


with_records(command, end_jobs_option())
