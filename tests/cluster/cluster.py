"""A development cluster: what there is, where its files are, starting and ending it.

Everything lies in one directory: `cluster.json` says which machines were made; `nodes/NAME` is what the
machine NAME sees as `local`; `objects` is the directory that all of them share. The cluster is gone when
its machines are off and the directory is removed, whatever happened in between.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from scheduler.tls import authority
from tests.cluster import certificates, database
from tests.cluster.machines import (
    HOLD,
    HUB,
    NODES,
    ClusterError,
    Machine,
    command,
    kill,
    make_bridge,
    plug_in,
    remove_groups,
    switch_on,
    wait_until,
)
from tests.cluster.nomads import Nomad, program

ROOT = Path(__file__).parents[2]
DEFAULT = Path("/tmp/remora-cluster")
# Sockets of containerd, its shims and agents: each machine has its own.
RUN = Path("/run")
READY_SECONDS = 60.0
Say = Callable[[str], None]


KEPT = ("nomad", "acl", "tls_nomad", "provider", "token", "gateways")


@dataclass
class Cluster:
    """A cluster that is up, or on its way."""

    directory: Path
    machines: dict[str, Machine] = field(default_factory=dict)
    nomad: bool = True
    acl: bool = True  # Nomad asks for tokens
    tls_nomad: bool = False  # Nomad speaks TLS, and asks for certificates
    provider: str = "process"
    token: str = ""  # Nomad's, that may do everything
    gateways: list[str] = field(default_factory=list)  # URLs

    @property
    def tag(self) -> str:
        """Tells this cluster's control groups from those of others."""
        return hashlib.sha256(str(self.directory).encode()).hexdigest()[:6]

    @property
    def local(self) -> Path:
        """Where each machine sees its own directory."""
        return self.directory / "local"

    @property
    def objects(self) -> Path:
        return self.directory / "objects"

    @property
    def authority(self) -> Path:
        """Where its certificates come from."""
        return self.directory / "authority"

    @property
    def tls(self) -> Path:
        """Where each machine sees its own certificate."""
        return self.local / "tls"

    @property
    def credential(self) -> Path:
        """Where each node's agent sees its own credential."""
        return self.local / "credential"

    @property
    def hub(self) -> Machine:
        return self.machines[HUB]

    @property
    def nodes(self) -> list[Machine]:
        return [self.machines[name] for name in NODES]

    @property
    def scheduler(self) -> Nomad:
        """Its Nomad."""
        return Nomad(self.hub, self.local, self.acl, self.tls_nomad, self.token)

    def save(self) -> None:
        kept = {name: getattr(self, name) for name in KEPT}
        kept["machines"] = {
            name: {**asdict(machine), "local": str(machine.local)} for name, machine in self.machines.items()
        }
        new = self.directory / "cluster.new"
        new.touch(0o600)
        new.write_text(json.dumps(kept, indent=1))
        new.rename(self.directory / "cluster.json")

    def add(self, name: str) -> Machine:
        place = self.directory / "nodes" / name
        for path in (place, place / RUN.name, self.local, self.objects):
            path.mkdir(parents=True, exist_ok=True)
        machine = switch_on(name, self.tag, place, {self.local: place, RUN: place / RUN.name})
        self.machines[name] = machine
        self.save()
        return machine


def load(directory: Path) -> Cluster:
    """The cluster of this directory. Raises `ClusterError` if there is none."""
    try:
        kept = json.loads((directory / "cluster.json").read_text())
    except FileNotFoundError:
        raise ClusterError(f"no cluster in {directory} (python -m tests.cluster up)") from None
    machines = {name: Machine(**{**m, "local": Path(m["local"])}) for name, m in kept["machines"].items()}
    return Cluster(directory, machines, **{name: kept[name] for name in KEPT})


def up(cluster: Cluster, say: Say) -> None:
    """Machines, network, PostgreSQL, Nomad. Raises `ClusterError`; what was made by then, `down` removes."""
    directory = cluster.directory
    if os.geteuid():
        raise ClusterError("machines are made of namespaces: that needs root")
    if (directory / "cluster.json").exists() or holders(directory):
        raise ClusterError(f"there is a cluster in {directory} already (python -m tests.cluster down)")
    if cluster.nomad and program() is None:
        raise ClusterError("no program nomad on PATH (--bare starts a cluster without it)")
    directory.mkdir(parents=True, exist_ok=True)
    say("machines and their network")
    make_bridge(cluster.add(HUB))
    for name in NODES:
        plug_in(cluster.hub, cluster.add(name))
    say("certificates")
    authority.init(cluster.authority)
    for machine in cluster.machines.values():
        certificates.give(cluster.authority, machine)
    say("PostgreSQL")
    database.make_database(cluster.hub, cluster.local, cluster.authority)
    if cluster.nomad:
        say("Nomad: a server and three clients")
        start_nomads(cluster)


def start_nomads(cluster: Cluster) -> None:
    cluster.scheduler.start(cluster.hub)
    if not wait_until(cluster.scheduler.led, READY_SECONDS, 0.3):
        raise ClusterError(f"the Nomad server does not come up: see {cluster.hub.log('nomad')}")
    for node in cluster.nodes:
        cluster.scheduler.start(node)
    if cluster.acl:
        cluster.token = cluster.scheduler.first_token()
        cluster.save()
    if not wait_until(lambda: cluster.scheduler.ready_nodes() == list(NODES), READY_SECONDS, 0.3):
        raise ClusterError(f"Nomad's clients do not come up: see {cluster.machines['n1'].log('nomad')}")


def down(directory: Path, keep: bool = False) -> None:
    """End everything, whatever state it is in; remove the directory (`keep`: but not the logs, keys and objects)."""
    for pid in holders(directory):
        kill(pid)
    if not wait_until(lambda: not holders(directory), 10):
        raise ClusterError(f"machines of {directory} do not end: processes {holders(directory)}")
    remove_groups(f"remora-{Cluster(directory).tag}")
    if keep:
        (directory / "cluster.json").unlink(missing_ok=True)
    else:
        shutil.rmtree(directory, ignore_errors=True)


def holders(directory: Path) -> list[int]:
    """Machines of this directory, by what their process 1 was started with."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                words = command(entry)
                ours = f"/{HOLD.parent.name}/{HOLD.name} " in words  # of whichever checkout
                if ours and f" {directory / 'local'} " in f"{words} " and "unshare" not in words:
                    found.append(int(entry))
    return found


def environment(cluster: Cluster) -> dict[str, str]:
    """What commands need to reach the cluster, from the hub. The directory has a client's profile."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("MANTA_", "REMORA_", "NOMAD_"))}
    clean |= {"PATH": f"{ROOT / '.venv' / 'bin'}:{clean.get('PATH', '')}", "REMORA_STATE_DIR": str(cluster.directory)}
    clean |= {"REMORA_CA_FILE": str(cluster.authority / "ca.pem"), "PGSSLROOTCERT": str(cluster.authority / "ca.pem")}
    if not cluster.nomad:
        return clean | {"REMORA_DATABASE": database.database_url()}
    return clean | cluster.scheduler.environment


def run(cluster: Cluster, argv: list[str]) -> int:
    """Run a command on the hub, with our standard streams and directory; its exit status."""
    return subprocess.run(cluster.hub.inside("env", "-C", os.getcwd(), *argv), env=environment(cluster)).returncode


def enter_network(cluster: Cluster) -> None:
    """From here on this thread, and those that it starts, are on the hub's network, and believe its certificates."""
    os.environ |= {"REMORA_CA_FILE": str(cluster.authority / "ca.pem")}
    libc = ctypes.CDLL(None, use_errno=True)
    with open(f"/proc/{cluster.hub.holder}/ns/net") as namespace:
        if libc.setns(namespace.fileno(), 0):
            raise ClusterError(f"cannot enter the hub's network: {os.strerror(ctypes.get_errno())}")
