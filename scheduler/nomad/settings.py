"""The settings of reservations, from the environment of the supervisor.

NOMAD_ADDR, NOMAD_TOKEN, NOMAD_NAMESPACE, …  as for Nomad's own command
REMORA_NOMAD_LAUNCHER      path of `launcher` on every node  [this installation's]
REMORA_NOMAD_SOCKET        the agents' launch socket on every node  [/var/lib/remora/launch.sock]
REMORA_NOMAD_NODE_POOL     [default]
REMORA_NOMAD_DATACENTERS   a comma list  [*]
REMORA_NOMAD_PRIORITY      of instances, 1 to 100  [50]
REMORA_NOMAD_CPU           MHz that each instance reserves  [100]
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

import datapath
from scheduler.nomad.api import Access, NomadError
from scheduler.nomad.job_documents import Template

SOCKET = "/var/lib/remora/launch.sock"


def template_of(environment: Mapping[str, str], access: Access, mark: str = "") -> Template:
    """The template of this cluster, whose `mark` distinguishes its jobs from another cluster's. Raises NomadError."""

    def value(name: str, default: str) -> str:
        return environment.get(f"REMORA_NOMAD_{name}", "").strip() or default

    for name in ("LAUNCHER", "SOCKET"):
        if not value(name, "/").startswith("/"):
            raise NomadError(f"REMORA_NOMAD_{name} is no absolute path: {value(name, '')!r}")
    return Template(
        cluster=mark,
        launcher=value("LAUNCHER", str(datapath.libexec("launcher"))),
        socket=value("SOCKET", SOCKET),
        namespace=access.namespace,
        datacenters=tuple(value("DATACENTERS", "*").replace(",", " ").split()),
        node_pool=value("NODE_POOL", "default"),
        priority=_number("REMORA_NOMAD_PRIORITY", value("PRIORITY", "50"), 1, 100),
        cpu=_number("REMORA_NOMAD_CPU", value("CPU", "100"), 1, 1_000_000),
    )


def mark_of(key: str) -> str:
    """The mark of a cluster that has recorded none yet: earlier versions derived it from the agents' key."""
    return hmac.new(key.encode(), b"nomad", hashlib.sha256).hexdigest()[:8]


def _number(name: str, text: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
        raise NomadError(f"{name} is no number from {least} to {most}: {text!r}")
    return int(text)
