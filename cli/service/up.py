"""remora up: a whole service on this machine, in the foreground."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.client.problem import Problem
from cli.client.settings import state_directory
from cli.frame import Plain
from cli.service.database import database_options
from cli.service.retention import keep_jobs_option
from cli.service.role_options import (
    connection_options,
    log_file_options,
    metrics_token_option,
    require_signed_target_option,
    tls_options,
)

if TYPE_CHECKING:
    from scheduler.service.state import ServiceInfo

PORT = 8081
INSTANCES = {"process": "run in processes of this machine", "containerd": "run in containers"}


def state_dir_option() -> click.Option:
    return click.Option(
        ["--state-dir"], metavar="DIR", type=click.Path(path_type=Path),
        help="Where the service keeps its state. [default: $REMORA_STATE_DIR, or ~/.local/state/remora]",
    )  # fmt: skip


@click.command("up", cls=Plain)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="Port; 0 picks a free one."
)
@click.option("--login", metavar="NAME", help="Name of the first account. [default: the current user]")
@click.option("--key", metavar="FILE.pub", type=click.Path(path_type=Path),
              help="SSH public key of the first account. [default: a new key pair of its own]")  # fmt: skip
@click.option("--provider", type=click.Choice(["process", "containerd", "auto"]), default="process", show_default=True,
              help="Where instances come from; auto: containers where they work, else processes.")  # fmt: skip
@click.option("--containerd", metavar="SOCKET", help="Socket of the containerd to use. [default: one of our own]")
@click.option("--slots", type=click.IntRange(min=1), metavar="N", help="Instances at a time. [default: by the CPUs]")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, metavar="N",
              help="Processes that serve requests; more than one for many clients, on as many processors.")  # fmt: skip
@click.option("--prepared", type=click.IntRange(min=0), metavar="N", envvar="REMORA_PREPARED",
              help="Instances of the default tiers that are made before a task needs them. [default: 2]")  # fmt: skip
@click.option("--show-dirs", metavar="DIR,...", envvar="REMORA_SHOW_DIRS",
              help="Directories of this machine that tasks see, read-only, besides those with programs "
                   "[$REMORA_SHOW_DIRS].")  # fmt: skip
@click.option("--allow-networks", metavar="NAME,...", envvar="REMORA_ALLOW_NETWORKS",
              help="What tasks reach besides the internet: loopback, whatever listens at 127.0.0.1 of this machine; "
                   "link-local, the metadata of a cloud [$REMORA_ALLOW_NETWORKS].")  # fmt: skip
@click.option("--agent-metrics", metavar="HOST:PORT", envvar="REMORA_AGENT_METRICS",
              help="Where the agent serves its own metrics, which --metrics-token-file opens "
                   "[$REMORA_AGENT_METRICS].")  # fmt: skip
@click.option("--log-format", type=click.Choice(["auto", "text", "json"]), envvar="REMORA_LOG_FORMAT", default="auto",
              show_default=True,
              help="Form of the log; auto: text on a terminal, else JSON [$REMORA_LOG_FORMAT].")  # fmt: skip
def command(
    state_dir: Path | None,
    host: str,
    port: int,
    login: str | None,
    key: Path | None,
    provider: str,
    containerd: str | None,
    database: str | None,
    slots: int | None,
    workers: int,
    prepared: int | None,
    show_dirs: str | None,
    allow_networks: str | None,
    agent_metrics: str | None,
    log_format: str,
    max_connections: int | None,
    max_connections_per_peer: int | None,
    require_signed_target: bool,
    metrics_token_file: Path | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    plain: bool,
    keep_jobs: int,
    audit_log: Path | None,
    access_log: Path | None,
    access_log_format: str,
) -> None:
    """Start everything: object store, jobs, and the instances that tasks run in. Ctrl-C ends it, cleanly.

    All state is below the state directory, which only you can read. Start it again and everything goes on where it
    was, running jobs too. On first start an account is made for you with a key pair of its own, and a client profile
    that mls, mjob and the others find by themselves.

    \b
    Examples:
      remora up
      remora up --state-dir /tmp/try --port 0
      remora up --login jill --key ~/.ssh/id_ed25519.pub
      remora up --database postgresql://remora@db.example/remora
      remora up --host 0.0.0.0 --tls-cert /etc/remora/cert.pem --tls-key /etc/remora/key.pem

    Logs go to stderr, JSON lines unless that is a terminal.

    Exit status: 0 after Ctrl-C, 1 if the service could not start, or the agent that runs its tasks.
    """
    from scheduler.audit import FILE
    from scheduler.gateway.context import Guard
    from scheduler.service.listeners import Connections
    from scheduler.service.parts import LogFiles
    from scheduler.service.run import serve
    from scheduler.service.settings import ServiceOptions, metrics_token, tls_files
    from scheduler.service.state import StateError

    os.environ["REMORA_LOG_FORMAT"] = log_format  # the agent's too, which is a process of its own
    directory = state_dir or state_directory(os.environ)
    if agent_metrics and metrics_token_file is None and os.environ.get("REMORA_METRICS_TOKEN"):
        raise Problem("--agent-metrics: the agent reads its token from --metrics-token-file, not $REMORA_METRICS_TOKEN")
    try:
        options = ServiceOptions(
            state_dir=directory,
            host=host,
            port=port,
            login=login,
            key=key,
            provider=provider,
            containerd=containerd,
            slots=slots,
            workers=workers,
            prepared=prepared,
            show_dirs=show_dirs,
            allow_networks=allow_networks,
            database=database,
            connections=Connections(max_connections, max_connections_per_peer),
            guard=Guard(require_signed_target, metrics_token(metrics_token_file, os.environ)),
            tls=tls_files(host, "--host", tls_cert, tls_key, None, plain),
            plain=plain,
            keep_jobs_s=keep_jobs,
            log_files=LogFiles(audit_log or directory.absolute() / FILE, access_log, access_log_format == "text"),
            agent_metrics=agent_metrics,
            metrics_token_file=metrics_token_file,
        )
        code = serve(options, announce)
    except StateError as error:
        raise Problem(str(error)) from None
    click.get_current_context().exit(code)


command.params.insert(0, state_dir_option())
command.params[-1:-1] = [
    *tls_options(),
    *database_options("Records on PostgreSQL, postgresql://… [$REMORA_DATABASE; default: a file]"),
    *connection_options(),
    require_signed_target_option(),
    metrics_token_option(),
    keep_jobs_option(),
    *log_file_options("audit.log in the state directory"),
]


def is_default(state_dir: Path) -> bool:
    """Do commands find a state directory by themselves?"""
    try:
        return state_dir == state_directory(os.environ)
    except Problem:  # there is no default here
        return False


def announce(info: ServiceInfo) -> None:
    """The banner, once the service answers."""
    own = is_default(Path(info.state_dir))
    state = "" if own else f" --state-dir {shlex.quote(info.state_dir)}"
    print(f"remora is up at {info.public} for {info.login}")
    print(f"  state   {info.state_dir}")
    print(f"  tasks   {INSTANCES.get(info.instances, 'wait: no instance can be made yet, see the log')}")
    for number, gap in enumerate(info.gaps):
        print(f"  {'' if number else 'but':7} {gap}")
    print("  use     mls, mput, mget, mfind, mjob" + ("" if own else f', after: eval "$(remora env{state})"'))
    print("  try     echo ~~/stor/FILE | mjob create -o wc")
    print("  end     Ctrl-C")
    sys.stdout.flush()
