"""mjob: the jobs' command, a program of sub-commands.

`create` turns words into a job (`specification`), pours stdin into it (`inputs`), waits
(`watching`) and shows what came out (`outputs`); the other sub-commands are one of these
steps each.
"""

from __future__ import annotations

from cli.frame import Lazy

MODULES = {
    "create": "create",
    "addinputs": "addinputs",
    "close": "close",
    "get": "get",
    "watch": "watch",
    "wait": "watch",
    "cancel": "cancel",
    "inputs": "inputs",
    "outputs": "outputs",
    "errors": "errors",
    "failures": "failures",
    "list": "list",
    "delete": "delete",
}

command = Lazy(
    "mjob",
    commands_in="cli.jobs",
    modules=MODULES,
    hidden=("wait",),
    help="""Run Unix commands on stored objects, as map and reduce phases.

    \b
    Examples:
      mfind ~~/stor/logs | mjob create -o -m 'grep -c ERROR' -r "awk '{n+=\\$1} END {print n}'"
      mjob list -s running
      mjob watch 8bd3c96e-… && mjob outputs 8bd3c96e-…

    See mjob COMMAND --help, and begin with mjob create --help.
    """,
)
