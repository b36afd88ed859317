"""mrjob: look into jobs of all accounts, from their records."""

from __future__ import annotations

from cli.frame import Lazy

command = Lazy(
    "mrjob",
    commands_in="cli.mrjob",
    modules={"list": "list", "show": "show", "explain": "explain", "cancel": "cancel", "verify": "verify"},
    help="""Look into the jobs of all accounts, from the records of the service whose state you can read.

    It needs no key, and no service that runs. A job is named by its id, the beginning of it, or last.

    \b
    Examples:
      mrjob list --all --since 2h
      mrjob explain 8bd3c96e
      mrjob cancel 8bd3c96e
      mrjob verify 8bd3c96e

    mrerrors summarizes errors, mrjobreport writes a page about a job's performance.

    Exit status: 0, or 1 if something is wrong.
    """,
)
