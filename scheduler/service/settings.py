"""The settings of a gateway or a supervisor, parsed from texts: each error is a sentence that names the option."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from yarl import URL

from scheduler.common.addresses import EVERYWHERE
from scheduler.gateway.context import UNGUARDED, Guard
from scheduler.model.credentials.secrets import SHORTEST, keys_of
from scheduler.model.semver import parse_version
from scheduler.service.listeners import BY_DESCRIPTORS, Connections
from scheduler.service.parts import NO_LOG_FILES, LogFiles, Secrets
from scheduler.service.state import StateError
from scheduler.tls import plain
from scheduler.tls.identity import TlsError, TlsFiles, files_of

ADDRESS = re.compile(r"(\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[^\s:\[\]]*)):(?P<port>\d{1,5})", re.ASCII)
SHARED = ("postgresql://", "postgres://")


@dataclass(frozen=True, slots=True)
class RoleOptions:
    """The options of `remora gateway` and `remora supervisor`. `advertise`: the URL or address for others, if given."""

    database: str
    objects: Path
    host: str
    port: int
    secrets: Secrets
    advertise: str | None = None
    nomad: bool = False  # instances are reserved in Nomad
    images: tuple[str, ...] = ()  # versions that jobs may ask for, beside the published ones
    connections: Connections = BY_DESCRIPTORS
    guard: Guard = UNGUARDED
    tls: TlsFiles | None = None
    keep_jobs_s: int = 0  # retention of finished jobs of accounts that set none; 0: for ever
    log_files: LogFiles = NO_LOG_FILES


@dataclass(frozen=True, slots=True)
class ServiceOptions:
    """The options of `remora up`. `port` 0 picks a free one; `slots` None follows the number of processors."""

    state_dir: Path
    host: str = "127.0.0.1"
    port: int = 8081
    login: str | None = None
    key: Path | None = None
    provider: str = "process"
    containerd: str | None = None  # the socket of a containerd that runs already; None: one of our own
    slots: int | None = None
    workers: int = 1  # gateway processes, this one included
    show_dirs: str | None = None  # directories of the machine that tasks see, a comma list
    allow_networks: str | None = None  # networks that tasks reach besides the internet, a comma list
    prepared: int | None = None  # instances that are made before they are needed
    database: str | None = None  # URL of a shared database; None: SQLite in the state directory
    connections: Connections = BY_DESCRIPTORS
    guard: Guard = UNGUARDED
    tls: TlsFiles | None = None
    plain: bool = False  # other machines may be served plain HTTP
    keep_jobs_s: int = 0  # retention of finished jobs of accounts that set none; 0: for ever
    log_files: LogFiles = NO_LOG_FILES
    agent_metrics: str | None = None  # HOST:PORT of the agent's own metrics, which that file's token opens
    metrics_token_file: Path | None = None


def shared_database(text: str | None) -> str:
    """The URL of a shared database. Raises StateError."""
    if not text:
        raise StateError("which database? Say --database postgresql://USER@HOST/NAME, or set REMORA_DATABASE")
    if not text.startswith(SHARED):
        raise StateError(
            "--database: processes of their own share a PostgreSQL database, postgresql://USER@HOST/NAME; "
            "what needs no more than a file is all in one: `remora up`"
        )
    return text


def shared_directory(path: Path | None) -> Path:
    """The directory of objects.

    It is not created: in place of a missing mount a new one would lose the data. Raises StateError.
    """
    if path is None:
        raise StateError("where are the objects? Say --objects DIR, the directory that all nodes mount")
    if not path.is_dir():
        raise StateError(f"--objects: there is no directory {path}: is it mounted?")
    return path.absolute()


def listen_address(text: str) -> tuple[str, int]:
    """Host (empty: every address) and port of `HOST:PORT`. Raises StateError."""
    match = ADDRESS.fullmatch(text)
    if match is None or int(match["port"]) > 65535:
        raise StateError(f'--listen: "{text}" is not HOST:PORT, such as 10.0.0.5:8080, [::1]:8080 or :8080')
    return match["v6"] or match["name"], int(match["port"])


def tls_files(
    host: str, option: str, certificate: Path | None, key: Path | None, authority: Path | None, in_plain: bool
) -> TlsFiles | None:
    """The TLS files of the address that `option` names; None for plain HTTP, on loopback or if an option allows it.

    Raises StateError.
    """
    try:
        files = files_of(certificate, key, authority)
    except TlsError as error:
        raise StateError(str(error)) from None
    if files is None and not in_plain and not plain.stays_here(host):
        raise StateError(plain.refusal(option, host or "every address"))
    return files


def image_versions(text: str) -> tuple[str, ...]:
    """The versions in a comma list. Raises StateError."""
    versions = tuple(text.replace(",", " ").split())
    for version in versions:
        try:
            parse_version(version)
        except ValueError:
            raise StateError(f'--images: "{version}" is not a version, such as 20.1.0') from None
    return versions


def advertised(said: str | None, host: str, url: str, tls: TlsFiles | None = None) -> str:
    """The URL at which others reach a process that listens on `host` at `url`. Raises StateError."""
    if said is not None:
        parts = urlsplit(said)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise StateError(f'--advertise: "{said}" is not a URL, such as http://10.0.0.5:8090')
        if tls is not None and parts.scheme == "http":
            raise StateError(f'--advertise: what listens speaks TLS, so "{said}" has to begin with https://')
        return said.rstrip("/")
    if host in EVERYWHERE:
        raise StateError("it listens on every address: say with --advertise URL at which one agents reach it")
    return url


def own_address(said: str | None, host: str, url: str, database: str) -> str | None:
    """The URL at which other gateways reach one that listens on `host` at `url`; None if that cannot be known.

    One that listens on every address is reached by the address that leads to the database.
    """
    if said is not None or host not in EVERYWHERE:
        return said or url
    try:
        server = urlsplit(database).netloc.rpartition("@")[2].partition(",")[0]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:  # nothing is sent
            probe.connect((urlsplit(f"//{server}").hostname or "127.0.0.1", 9))
            return str(URL(url).with_host(probe.getsockname()[0]))
    except (OSError, ValueError):
        return None


def metrics_token(file: Path | None, environment: Mapping[str, str]) -> str | None:
    """The token that opens the metrics, if one was given. Raises StateError."""
    if file is None and not environment.get("REMORA_METRICS_TOKEN", "").strip():
        return None
    return secret("the token of the metrics", "--metrics-token-file", file, environment)


def secret(what: str, option: str, file: Path | None, environment: Mapping[str, str]) -> str:
    """A secret from its file, or from the variable of its name. Raises StateError, without any part of the secret.

    During a replacement a secret has several keys, one a line.
    """
    variable = f"REMORA_{option.removeprefix('--').removesuffix('-file').replace('-', '_').upper()}"
    if file is not None:
        where = f"{option} {file}"
        try:
            text = file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not text"
            raise StateError(f"cannot read {what}: {where}: {why}") from None
    else:
        where, text = variable, environment.get(variable, "").strip()
        if not text:
            raise StateError(f"{what} is missing: say {option} FILE, or set {variable}")
    shortest = min(map(len, keys_of(text)), default=0)
    if shortest < SHORTEST:
        raise StateError(f"{what} is too short: {where} has {shortest} characters, at least {SHORTEST} are needed")
    return text
