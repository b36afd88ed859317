"""Nomad on the development cluster: a server on the hub, a client on each node, and the commands that ask them.

With `tls` they speak TLS only, and ask everybody for a certificate (mutual TLS), by the authority and the files that
Remora has on the machines, too.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.machines import ADDRESSES, HUB, NODES, Machine

HTTP_PORT, RPC_PORT = 4646, 4647
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
TLS = """
tls {{
  http      = true
  rpc       = true
  ca_file   = "{tls}/ca.pem"
  cert_file = "{tls}/cert.pem"
  key_file  = "{tls}/key.pem"
  verify_https_client = true
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


def program() -> str | None:
    return shutil.which("nomad")


def memory_mb() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20


@dataclass(frozen=True)
class Nomad:
    """Nomad of one cluster; `local` is where each machine sees its own directory, `tls` below it its certificate."""

    hub: Machine
    local: Path
    acl: bool
    tls: bool
    token: str = ""  # may do everything

    @property
    def address(self) -> str:
        return f"{'https' if self.tls else 'http'}://{ADDRESSES[HUB]}:{HTTP_PORT}"

    @property
    def environment(self) -> dict[str, str]:
        """What Nomad's command, and ours, are told on the hub."""
        files = {"NOMAD_CACERT": "ca.pem", "NOMAD_CLIENT_CERT": "cert.pem", "NOMAD_CLIENT_KEY": "key.pem"}
        told = {name: str(self.local / "tls" / file) for name, file in files.items()} if self.tls else {}
        return {"NOMAD_ADDR": self.address, **told, **({"NOMAD_TOKEN": self.token} if self.token else {})}

    def start(self, machine: Machine) -> None:
        (machine.local / "nomad.hcl").write_text(self.configuration(machine))
        machine.start("nomad", [program() or "nomad", "agent", f"-config={self.local / 'nomad.hcl'}"])

    def configuration(self, machine: Machine) -> str:
        text = COMMON.format(
            name=machine.name, data=self.local / "nomad", address=machine.address, acl=json.dumps(self.acl)
        )
        if self.tls:
            text += TLS.format(tls=self.local / "tls")
        if machine.name == HUB:
            return text + SERVER
        mhz, memory = 2000 * (os.cpu_count() or 1), memory_mb() // len(NODES)
        return text + CLIENT.format(server=ADDRESSES[HUB], rpc=RPC_PORT, mhz=mhz, memory=memory)

    def call(self, *words: str, check: bool = True) -> str:
        """A command of Nomad's own, run on the hub."""
        return self.hub.call(program() or "nomad", *words, env=self.environment, check=check)

    def led(self) -> bool:
        """Has the server a leader that answers?"""
        return '"' in self.call("operator", "api", "/v1/status/leader", check=False)

    def first_token(self) -> str:
        """The token that may do everything; can be had once."""
        token: str = json.loads(self.call("acl", "bootstrap", "-json"))["SecretID"]
        return token

    def ready_nodes(self) -> list[str]:
        try:
            nodes = json.loads(self.call("operator", "api", "/v1/nodes", check=False))
        except ValueError:  # no server, or none that leads: it says so in words
            return []
        return sorted(node["Name"] for node in nodes if node["Status"] == "ready")

    def ending(self, jobs: Sequence[str]) -> list[str]:
        """Allocations of these jobs that are to end, and have not as far as Nomad knows; with what it says of them."""
        found = []
        for job in jobs:
            try:
                placed = json.loads(self.call("operator", "api", f"/v1/job/{job}/allocations", check=False))
            except ValueError:
                return [job]
            found += [
                f"{one['Name']} on {one['NodeName']}: {one['ClientStatus']}"
                for one in placed
                if one["DesiredStatus"] == "stop" and one["ClientStatus"] not in ("complete", "failed")
            ]
        return found
