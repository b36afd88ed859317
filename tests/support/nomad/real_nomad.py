"""A real Nomad of the tests' own: server and client in one process, on the loopback, gone afterwards."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx

from tests.support.eventually import eventually_here

READY_SECONDS = 60.0
CONFIG = """
name       = "{name}"
datacenter = "dc1"
data_dir   = "{directory}/data"
bind_addr  = "127.0.0.1"
log_level  = "WARN"
ports {{
  http = {ports[0]}
  rpc  = {ports[1]}
  serf = {ports[2]}
}}
advertise {{
  http = "127.0.0.1:{ports[0]}"
  rpc  = "127.0.0.1:{ports[1]}"
  serf = "127.0.0.1:{ports[2]}"
}}
server {{
  enabled          = true
  bootstrap_expect = 1
}}
client {{
  enabled           = true
  servers           = ["127.0.0.1:{ports[1]}"]
  cpu_total_compute = 8000
  options {{ "fingerprint.denylist" = "env_aws,env_gce,env_azure,env_digitalocean" }}
}}
plugin "raw_exec" {{
  config {{ enabled = true }}
}}
"""


def why_not() -> str | None:
    """Why there is none here."""
    if shutil.which("nomad") is None:
        return "no `nomad` on PATH: nothing here was tried on a real one"
    return None if os.geteuid() == 0 else "Nomad's client needs root"


@contextlib.contextmanager
def running(directory: Path, name: str) -> Iterator[str]:
    """Its URL, once its node is ready."""
    config = directory / "nomad.hcl"
    (directory / "data").mkdir()
    config.write_text(CONFIG.format(name=name, directory=directory, ports=free_ports(3)))
    with open(directory / "nomad.log", "w") as log:
        process = subprocess.Popen(
            ["nomad", "agent", "-config", str(config)], stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield wait_for_node(config, directory / "nomad.log")
    finally:
        end(process, directory)


def wait_for_node(config: Path, log: Path) -> str:
    port = next(line.split()[-1] for line in config.read_text().splitlines() if line.strip().startswith("http = "))
    url = f"http://127.0.0.1:{port}"

    def ready() -> bool:
        with contextlib.suppress(httpx.HTTPError):
            nodes = httpx.get(f"{url}/v1/nodes", trust_env=False)
            return nodes.status_code == 200 and any(node["Status"] == "ready" for node in nodes.json())
        return False

    try:
        eventually_here(ready, "a node of Nomad is ready", READY_SECONDS)
    except AssertionError:
        print(log.read_text()[-3000:])
        raise
    return url


def end(process: subprocess.Popen[bytes], directory: Path) -> None:
    """Its executors outlive it: they are of its session, as is all that they started."""
    process.send_signal(signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(15)
    process.kill()
    process.wait()
    for pid in [int(name) for name in os.listdir("/proc") if name.isdigit()]:
        with contextlib.suppress(OSError):
            if str(directory).encode() in Path(f"/proc/{pid}/cmdline").read_bytes() or str(directory) in os.readlink(
                f"/proc/{pid}/cwd"
            ):
                os.kill(pid, signal.SIGKILL)
    for line in Path("/proc/self/mounts").read_text().splitlines():
        if line.split()[1].startswith(str(directory)):
            subprocess.run(["umount", "-l", line.split()[1]], check=False)


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
