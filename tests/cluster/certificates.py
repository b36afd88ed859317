"""Certificates of the development cluster: an authority in its directory, and every machine's files in its own.

On each machine `local/tls` has `cert.pem`, `key.pem` and `ca.pem`, as on real nodes `/etc/remora/tls` does.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from scheduler.tls import authority
from tests.cluster.machines import Machine

FILES = ("cert.pem", "key.pem", "ca.pem")


def give(directory: Path, machine: Machine, authorities: bytes | None = None) -> None:
    """New files for a machine, by the authority in `directory`; it believes that one, or `authorities`."""
    made = authority.issue(directory, machine.name, [machine.address])
    place = machine.local / "tls"
    place.mkdir(mode=0o700, exist_ok=True)
    for name in FILES:
        data = (made / name).read_bytes()
        authority.write(place / name, authorities if authorities and name == "ca.pem" else data, 0o600)


def give_server(directory: Path, machine: Machine, place: Path, user: str) -> None:
    """The same as PostgreSQL wants it: files of its user's."""
    made = authority.issue(directory, machine.name, [machine.address])
    for name, mode in (("cert.pem", 0o644), ("key.pem", 0o600)):
        authority.write(place / name, (made / name).read_bytes(), mode)
        shutil.chown(place / name, user, user)


def environment(tls: Path) -> dict[str, str]:
    """What a process is told of its files."""
    return {
        "REMORA_TLS_CERT": str(tls / "cert.pem"),
        "REMORA_TLS_KEY": str(tls / "key.pem"),
        "REMORA_TLS_CA": str(tls / "ca.pem"),
        "PGSSLROOTCERT": str(tls / "ca.pem"),
    }
