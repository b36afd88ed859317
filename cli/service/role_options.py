"""What `remora gateway` and `remora supervisor` have in common: options, and how they become settings."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.client.problem import Problem
from cli.service.database import database_options

if TYPE_CHECKING:
    from scheduler.service.settings import RoleOptions


def shared_options(listen: str) -> list[click.Parameter]:
    """Each can be said in the environment, too: `REMORA_DATABASE` for `--database`."""
    file = click.Path(path_type=Path)
    return [
        *database_options("PostgreSQL database that all share, postgresql://USER@HOST/NAME. [$REMORA_DATABASE]"),
        click.Option(["--objects"], metavar="DIR", envvar="REMORA_OBJECTS", type=file,
                     help="Directory of objects, which all nodes mount. [$REMORA_OBJECTS]"),
        click.Option(["--listen"], metavar="HOST:PORT", envvar="REMORA_LISTEN", default=listen, show_default=True,
                     help="Address to listen on; port 0 picks a free one. [$REMORA_LISTEN]"),
        click.Option(["--advertise"], metavar="URL", envvar="REMORA_ADVERTISE",
                     help="How agents reach a supervisor, and gateways each other. [$REMORA_ADVERTISE;"
                          " default: by --listen]"),
        *tls_options(),
        click.Option(["--tls-ca"], metavar="FILE", envvar="REMORA_TLS_CA", type=file,
                     help="Authorities of nodes' certificates: agents have to show theirs. [$REMORA_TLS_CA]"),
        click.Option(["--token-secret-file"], metavar="FILE", envvar="REMORA_TOKEN_SECRET_FILE", type=file,
                     help="Secret of the tokens, the same for all: one key a line; the first signs, all verify. "
                     "[or the secret itself in $REMORA_TOKEN_SECRET]"),
        click.Option(["--agent-key-file"], metavar="FILE", envvar="REMORA_AGENT_KEY_FILE", type=file,
                     help="Key of the agents' credentials, the same for all. [or the key itself in $REMORA_AGENT_KEY]"),
        *connection_options(),
        metrics_token_option(),
    ]  # fmt: skip


def connection_options() -> list[click.Parameter]:
    """The bounds on connections, as `Connections` has them."""
    number = click.IntRange(min=1)
    return [
        click.Option(["--max-connections"], metavar="N", envvar="REMORA_MAX_CONNECTIONS", type=number,
                     help="Connections at a time. [$REMORA_MAX_CONNECTIONS; default: by the limit on open files]"),
        click.Option(["--max-connections-per-peer"], metavar="N", envvar="REMORA_MAX_CONNECTIONS_PER_PEER",
                     type=number, help="Of one address, such as a proxy's. [default: a quarter of all, or 256]"),
    ]  # fmt: skip


def metrics_token_option() -> click.Option:
    return click.Option(
        ["--metrics-token-file"], metavar="FILE", envvar="REMORA_METRICS_TOKEN_FILE", type=click.Path(path_type=Path),
        help="Token that opens /metrics, sent as Authorization: Bearer. "
        "[or $REMORA_METRICS_TOKEN; default: open to this machine only]",
    )  # fmt: skip


def log_file_options(audit_default: str) -> list[click.Parameter]:
    """The files of the audit log and of the access log."""
    file = click.Path(path_type=Path)
    return [
        click.Option(["--audit-log"], metavar="FILE", envvar="REMORA_AUDIT_LOG", type=file,
                     help=f"File of changes, and of denied requests. [$REMORA_AUDIT_LOG; default: {audit_default}]"),
        click.Option(["--access-log"], metavar="FILE", envvar="REMORA_ACCESS_LOG", type=file,
                     help="File of all requests, JSON lines, or text with --access-log-format. [$REMORA_ACCESS_LOG]"),
        click.Option(["--access-log-format"], type=click.Choice(["json", "text"]), default="json", show_default=True,
                     envvar="REMORA_ACCESS_LOG_FORMAT", help="Form of its lines. [$REMORA_ACCESS_LOG_FORMAT]"),
    ]  # fmt: skip


def require_signed_target_option() -> click.Option:
    return click.Option(
        ["--require-signed-target"], is_flag=True, envvar="REMORA_REQUIRE_SIGNED_TARGET",
        help="Refuse signatures over the date alone, as stock clients make them: such a signature, once overheard, is "
        "good for any request of its account for five minutes.",
    )  # fmt: skip


def tls_options() -> list[click.Parameter]:
    """How an address is served."""
    file = click.Path(path_type=Path)
    return [
        click.Option(["--tls-cert"], metavar="FILE", envvar="REMORA_TLS_CERT", type=file,
                     help="Certificate to serve HTTPS with, and those above it. Read again on SIGHUP. "
                          "[$REMORA_TLS_CERT]"),
        click.Option(["--tls-key"], metavar="FILE", envvar="REMORA_TLS_KEY", type=file,
                     help="Its key, which no other user may read. [$REMORA_TLS_KEY]"),
        click.Option(["--plain"], is_flag=True, envvar="REMORA_PLAIN",
                     help="Serve plain HTTP to other machines, too: only for a network of your own. [$REMORA_PLAIN]"),
    ]  # fmt: skip


def settings(
    database: str | None,
    objects: Path | None,
    listen: str,
    advertise: str | None,
    token_secret_file: Path | None,
    agent_key_file: Path | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    tls_ca: Path | None,
    plain: bool,
    metrics_token_file: Path | None = None,
    require_signed_target: bool = False,
    nomad: bool = False,
    images: str = "",
    max_connections: int | None = None,
    max_connections_per_peer: int | None = None,
    keep_jobs: int = 0,
    audit_log: Path | None = None,
    access_log: Path | None = None,
    access_log_format: str = "json",
) -> RoleOptions:
    """Raises StateError for the first that cannot be."""
    from scheduler.gateway.context import Guard
    from scheduler.service import settings as read
    from scheduler.service.listeners import Connections
    from scheduler.service.parts import LogFiles, Secrets

    host, port = read.listen_address(listen)
    tls = read.tls_files(host, "--listen", tls_cert, tls_key, tls_ca, plain)
    token = read.secret("the secret of the tokens", "--token-secret-file", token_secret_file, os.environ)
    key = read.secret("the agents' key", "--agent-key-file", agent_key_file, os.environ)
    where, directory = read.shared_database(database), read.shared_directory(objects)
    if advertise is not None:
        read.advertised(advertise, host, "", tls)
    versions = read.image_versions(images)
    guard = Guard(require_signed_target, read.metrics_token(metrics_token_file, os.environ))
    return read.RoleOptions(
        where, directory, host, port, Secrets(token.encode(), key), advertise, nomad, versions,
        Connections(max_connections, max_connections_per_peer), guard, tls, keep_jobs,
        LogFiles(audit_log, access_log, access_log_format == "text"),
    )  # fmt: skip


def run(name: str, options: dict[str, object]) -> None:
    """Serve in the foreground as `gateway` or `supervisor`. Raises Problem."""
    from scheduler.service import roles
    from scheduler.service.state import StateError

    def announce(url: str) -> None:
        print(f"remora {name} is up at {url}")
        sys.stdout.flush()

    serve = {"gateway": roles.serve_gateway, "supervisor": roles.serve_supervisor}[name]
    try:
        code = serve(settings(**options), announce)  # type: ignore[arg-type]
    except StateError as error:
        raise Problem(str(error)) from None
    click.get_current_context().exit(code)
