"""PostgreSQL on the hub of the development cluster: the database, and the directory that a restart leaves as it was."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

from tests.cluster import certificates
from tests.cluster.machines import ADDRESSES, HUB, ClusterError, Machine, end, wait_until

READY_SECONDS = 60.0


def database_url() -> str:
    return f"postgresql://remora:remora@{ADDRESSES[HUB]}:5432/remora"


def postgres_program(name: str) -> str:
    """The newest installed one. Raises `ClusterError` if there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    if not found:
        raise ClusterError(f"PostgreSQL's {name} is not installed (apt-get install postgresql)")
    return str(found[-1])


def as_postgres(*argv: str) -> list[str]:
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--", *argv]


def make_database(hub: Machine, local: Path, authority: Path) -> None:
    """A fresh server's files, with one database, `remora`, of a user of that name; reached from everywhere, by TLS."""
    data = hub.local / "postgresql"
    data.mkdir()
    shutil.chown(data, "postgres", "postgres")
    inside = str(local / "postgresql")
    hub.call(
        *as_postgres(postgres_program("initdb"), "-D", inside, "--auth=trust", "--locale=C", "--encoding=UTF8"),
    )
    with (data / "pg_hba.conf").open("a") as file:
        file.write("hostssl all all 10.213.0.0/24 scram-sha-256\n")
    certificates.give_server(authority, hub, data, "postgres")
    start_database(hub, local)
    for statement in ("CREATE ROLE remora LOGIN PASSWORD 'remora'", "CREATE DATABASE remora OWNER remora"):
        hub.call(*as_postgres("psql", "-q", "-h", inside, "-d", "postgres", "-c", statement))


def start_database(hub: Machine, local: Path) -> None:
    inside = str(local / "postgresql")
    options = {"listen_addresses": hub.address, "unix_socket_directories": inside, "max_connections": "200"}
    options |= {"ssl": "on", "ssl_cert_file": "cert.pem", "ssl_key_file": "key.pem"}
    words = [word for key, value in options.items() for word in ("-c", f"{key}={value}")]
    hub.start("postgres", as_postgres(postgres_program("postgres"), "-D", inside, *words))
    wanted = as_postgres(postgres_program("pg_isready"), "-q", "-h", inside)
    if not wait_until(lambda: not failed(hub, wanted), READY_SECONDS):
        raise ClusterError(f"PostgreSQL does not come up: see {hub.log('postgres')}")


def failed(machine: Machine, argv: list[str]) -> bool:
    try:
        machine.call(*argv)
    except ClusterError:
        return True
    return False


def restart_database(hub: Machine, local: Path) -> None:
    """As `pg_ctl restart -m fast` does: connections are cut at once."""
    pid = hub.pid_of("postgres")
    if pid is not None:
        end(pid, signal.SIGINT)
    start_database(hub, local)
