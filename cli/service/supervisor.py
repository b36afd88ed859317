"""remora supervisor: an owner of jobs, as a process of its own."""

from __future__ import annotations

import click

from cli.frame import Plain
from cli.service.retention import keep_jobs_option
from cli.service.role_options import run, shared_options


@click.command("supervisor", cls=Plain)
def command(**options: object) -> None:
    """Own jobs, and hand their tasks to agents, in the foreground. Ctrl-C ends it.

    Run two at least: the jobs of one that dies are another's within seconds. Jobs are shared out evenly; one that
    ends by SIGTERM gives its own to the others at once. Only agents talk to it, at the address that it advertises.

    With --nomad it books instances through Nomad, which it finds by NOMAD_ADDR, NOMAD_TOKEN and the like; how, is in
    REMORA_NOMAD_LAUNCHER, _SOCKET, _NODE_POOL, _DATACENTERS, _PRIORITY and _CPU.

    \b
    Examples:
      remora supervisor --database postgresql://remora@db/remora --objects /srv/remora/objects --listen 10.0.0.5:8090 \\
          --token-secret-file /etc/remora/token --agent-key-file /etc/remora/agents
      remora supervisor --listen :8090 --advertise http://node5:8090 …

    Logs are JSON lines on stderr; /healthz and /metrics tell how it is.

    Exit status: 0 after Ctrl-C or SIGTERM, 1 if it could not start.
    """
    run("supervisor", options)


command.params[:0] = [
    *shared_options("127.0.0.1:8090"),
    click.Option(["--nomad"], is_flag=True, envvar="REMORA_NOMAD",
                 help="Book instances through Nomad. [$REMORA_NOMAD]"),
    keep_jobs_option(),
]  # fmt: skip
