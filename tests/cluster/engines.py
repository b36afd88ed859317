"""The engines that a cluster stands on: PostgreSQL and a Nomad server on the hub, a Nomad client on each node."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

from tests.cluster import certificates
from tests.cluster.machines import ADDRESSES, HUB, NODES, ClusterError, Machine, end, wait_until

HTTP_PORT, RPC_PORT = 4646, 4647
NOMAD = "nomad"
READY_SECONDS = 60.0
COMMON = """
name       = "{name}"
data_dir   = "{data}"
region     = "global"
datacenter = "dc1"
bind_addr  = "{address}"
log_level  = "INFO"
disable_update_check = true
leave_on_interrupt   = false
leave_on_terminate   = false
acl {{
  enabled = {acl}
}}
"""
SERVER = """
server {
  enabled          = true
  bootstrap_expect = 1
}
"""
# The host's memory is shared out: what Nomad books is there.
CLIENT = """
client {{
  enabled           = true
  servers           = ["{server}:{rpc}"]
  network_interface = "eth0"
  cpu_total_compute = {mhz}
  memory_total_mb   = {memory}
  reserved {{
    cpu    = 100
    memory = 128
    disk   = 1024
  }}
  options = {{
    "driver.allowlist"      = "raw_exec"
    "fingerprint.denylist"  = "env_aws,env_gce,env_azure,env_digitalocean"
  }}
}}
plugin "raw_exec" {{
  config {{
    enabled = true
  }}
}}
"""


def nomad_there() -> bool:
    return shutil.which(NOMAD) is not None


def memory_mb() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20


def configuration(machine: Machine, local: Path, acl: bool) -> str:
    """The configuration file of Nomad on this machine."""
    text = COMMON.format(name=machine.name, data=local / "nomad", address=machine.address, acl=json.dumps(acl))
    if machine.name == HUB:
        return text + SERVER
    return text + CLIENT.format(
        server=ADDRESSES[HUB],
        rpc=RPC_PORT,
        mhz=2000 * (os.cpu_count() or 1),
        memory=memory_mb() // len(NODES),
    )


def start_nomad(machine: Machine, local: Path, acl: bool) -> None:
    (machine.local / "nomad.hcl").write_text(configuration(machine, local, acl))
    machine.start("nomad", [shutil.which(NOMAD) or NOMAD, "agent", f"-config={local / 'nomad.hcl'}"])


def nomad_address() -> str:
    return f"http://{ADDRESSES[HUB]}:{HTTP_PORT}"


def nomad(hub: Machine, *words: str, token: str = "", check: bool = True) -> str:
    """A command of Nomad's own, run on the hub."""
    env = {"NOMAD_ADDR": nomad_address(), **({"NOMAD_TOKEN": token} if token else {})}
    return hub.call(NOMAD, *words, env=env, check=check)


def led(hub: Machine) -> bool:
    """Has the server a leader that answers?"""
    return '"' in nomad(hub, "operator", "api", "/v1/status/leader", check=False)


def first_token(hub: Machine) -> str:
    """The token that may do everything; can be had once."""
    token: str = json.loads(nomad(hub, "acl", "bootstrap", "-json"))["SecretID"]
    return token


def ready_nodes(hub: Machine, token: str) -> list[str]:
    try:
        nodes = json.loads(nomad(hub, "operator", "api", "/v1/nodes", token=token, check=False))
    except ValueError:  # no server, or none that leads: it says so in words
        return []
    return sorted(node["Name"] for node in nodes if node["Status"] == "ready")


# PostgreSQL.


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
