"""mjob: run Unix commands on stored objects: jobs of map and reduce phases, and whole operations.

`create` turns words or a file into a job (`documents`), pours stdin into it, waits, and shows what came out (`follow`);
`rerun` makes one of an earlier job and goes the same way. `map`, `merge`, `erase`, `sort`, `reduce` and `mapreduce` are
operations: jobs whose phases are ours, with one output that appears at once (`operations`). The other sub-commands are
one of these steps each, or say what a job was and what it took.
"""

from __future__ import annotations

from cli.frame import Lazy

MODULES = {
    "create": "create",
    "map": "map",
    "merge": "merge",
    "erase": "erase",
    "sort": "sort",
    "reduce": "reduce",
    "mapreduce": "mapreduce",
    "addinputs": "addinputs",
    "close": "close",
    "get": "get",
    "watch": "watch",
    "wait": "watch",
    "cancel": "cancel",
    "suspend": "suspend",
    "resume": "resume",
    "complete": "complete",
    "abort": "abort",
    "update": "update",
    "abort-attempt": "abort_attempt",
    "abandon": "abandon",
    "inputs": "inputs",
    "outputs": "outputs",
    "errors": "errors",
    "failures": "failures",
    "list": "list",
    "tasks": "tasks",
    "attempts": "attempts",
    "stderr": "stderr",
    "input": "input",
    "logs": "logs",
    "cat": "cat",
    "rerun": "rerun",
    "shell": "shell",
    "replay": "replay",
    "debug": "debug",
    "cost": "cost",
    "share": "share",
    "delete": "delete",
}

command = Lazy(
    "mjob",
    commands_in="cli.jobs",
    modules=MODULES,
    hidden=("wait",),
    help="""Run Unix commands on stored objects: jobs of map and reduce phases, and whole operations.

    \b
    Examples:
      mfind -t o ~~/stor/logs | mjob create -o -m 'grep -c ERROR || true' -r "awk '{n += \\$1} END {print n}'"
      mjob map -o ~~/stor/errors 'grep ERROR || true' ~~/stor/logs/
      mjob list -s running
      mjob watch last && mjob cat last
      mjob rerun --failed 8bd3c96e

    A job is named by its id, the beginning of it, its name, its *alias, or last: the one that was created last.

    See mjob COMMAND --help, and begin with mjob create --help.
    """,
)
