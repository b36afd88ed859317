"""remora user: the accounts of a service."""

from __future__ import annotations

from cli.frame import Lazy

command = Lazy(
    "user",
    commands_in="cli.service.user",
    modules={
        "add": "add",
        "ls": "ls",
        "show": "show",
        "set": "set",
        "disable": "disable",
        "enable": "enable",
        "revoke": "revoke",
    },
    help="""Accounts of the service whose state you can read. It may run meanwhile; what you change holds at once.

    What lies below /LOGIN is that account's alone, but for /LOGIN/public, which can be read without an account, and for
    operators (user add --operator), who read everything and can cancel any job.

    \b
    Examples:
      remora user add jill --key jill.pub
      remora user ls
      remora user show jill
      remora user set jill --keep-jobs 7d
      remora user disable jill --end-jobs
      remora user revoke jill

    Exit status: 0, or 1 if something is wrong.
    """,
)
