"""What `remora gateway` and `remora supervisor` have in common: options, and how they become settings."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.client.problem import Problem

if TYPE_CHECKING:
    from scheduler.service.settings import RoleOptions


def shared_options(listen: str) -> list[click.Parameter]:
    """Each can be said in the environment, too: `REMORA_DATABASE` for `--database`."""
    file = click.Path(path_type=Path)
    return [
        click.Option(["--database"], metavar="URL", envvar="REMORA_DATABASE",
                     help="PostgreSQL database that all share, postgresql://USER@HOST/NAME. [$REMORA_DATABASE]"),
        click.Option(["--objects"], metavar="DIR", envvar="REMORA_OBJECTS", type=file,
                     help="Directory of objects, which all nodes mount. [$REMORA_OBJECTS]"),
        click.Option(["--listen"], metavar="HOST:PORT", envvar="REMORA_LISTEN", default=listen, show_default=True,
                     help="Address to listen on; port 0 picks a free one. [$REMORA_LISTEN]"),
        click.Option(["--advertise"], metavar="URL", envvar="REMORA_ADVERTISE",
                     help="How others reach it. [$REMORA_ADVERTISE; default: by --listen]"),
        *tls_options(),
        click.Option(["--tls-ca"], metavar="FILE", envvar="REMORA_TLS_CA", type=file,
                     help="Authorities of nodes' certificates: agents have to show theirs. [$REMORA_TLS_CA]"),
        click.Option(["--token-secret-file"], metavar="FILE", envvar="REMORA_TOKEN_SECRET_FILE", type=file,
                     help="Secret of the tokens, the same for all. [or the secret itself in $REMORA_TOKEN_SECRET]"),
        click.Option(["--agent-key-file"], metavar="FILE", envvar="REMORA_AGENT_KEY_FILE", type=file,
                     help="Key of the agents' credentials, the same for all. [or the key itself in $REMORA_AGENT_KEY]"),
    ]  # fmt: skip


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
    nomad: bool = False,
    images: str = "",
) -> RoleOptions:
    """Raises StateError for the first that cannot be."""
    from scheduler.service import settings as read
    from scheduler.service.parts import Secrets

    host, port = read.listen_address(listen)
    tls = read.tls_files(host, "--listen", tls_cert, tls_key, tls_ca, plain)
    token = read.secret("the secret of the tokens", "--token-secret-file", token_secret_file, os.environ)
    key = read.secret("the agents' key", "--agent-key-file", agent_key_file, os.environ)
    where, directory = read.shared_database(database), read.shared_directory(objects)
    if advertise is not None:
        read.advertised(advertise, host, "", tls)
    versions = read.image_versions(images)
    secrets = Secrets(token.encode(), key)
    return read.RoleOptions(where, directory, host, port, secrets, advertise, nomad, versions, tls)


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
