"""remora gateway: the HTTP front door, as a process of its own."""

from __future__ import annotations

import click

from cli.frame import Plain
from cli.service.role_options import log_file_options, require_signed_target_option, run, shared_options


@click.command("gateway", cls=Plain)
def command(**options: object) -> None:
    """Serve objects and jobs to users, in the foreground. Ctrl-C ends it.

    It keeps nothing: any number run beside each other, behind any balancer. What is asked of jobs is recorded in the
    database; whichever supervisor owns a job hears of it at once. Agents ask here who the supervisors are.

    \b
    Examples:
      remora gateway --database postgresql://remora@db/remora --objects /srv/remora/objects --listen :8080 \\
          --token-secret-file /etc/remora/token --agent-key-file /etc/remora/agents
      REMORA_DATABASE=… REMORA_OBJECTS=… REMORA_TOKEN_SECRET=… REMORA_AGENT_KEY=… remora gateway

    Other machines are served by TLS, with --tls-cert and --tls-key; new files are read on SIGHUP.

    Accounts are made with `remora user add LOGIN --database URL`. Logs are JSON lines on stderr; /healthz and
    /metrics tell how it is.

    Exit status: 0 after Ctrl-C or SIGTERM, 1 if it could not start.
    """
    run("gateway", options)


command.params[:0] = [
    *shared_options("127.0.0.1:8080"),
    require_signed_target_option(),
    *log_file_options("none is written"),
    click.Option(["--images"], metavar="VERSION,...", envvar="REMORA_IMAGES", default="",
                 help="Images of the nodes that jobs may ask for, beside the published ones. [$REMORA_IMAGES]"),
]  # fmt: skip
