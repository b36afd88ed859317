"""Machines that are only namespaces: the nodes of the development cluster, and the hub between them.

A *machine* is a process (`hold.py`) that is process 1 of a PID namespace, with a network, mounts
and a host name of its own. Four things follow, and they are why it is done so:

- Killing that process ends all that runs there, at once, as a power switch would: nothing can be left behind.
- The network is the machines' own: a bridge in the hub's namespace, a cable (veth) from it to each node.
  The host's network has no part in it, so any number of clusters can run side by side with the same addresses.
- A partition is a cable pulled out of the bridge: frames vanish, and nobody is told.
- Machines share disks, but each sees its own directory at the same path, `local`: as on real nodes,
  where `/var/lib/remora` is another disk on each.

Each has the root of its own control groups below the host's, so that engines which name theirs alike
(Nomad, agents) do not meet. Processes are found by namespace and command line, and are ended by number.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scheduler.providers.linux.cgroups import hierarchies

HOLD = Path(__file__).with_name("hold.py")
NAMESPACES = ("--net", "--mount", "--uts", "--pid", "--cgroup")
NODES = ("n1", "n2", "n3")
HUB = "hub"
ADDRESSES = {HUB: "10.213.0.1", "n1": "10.213.0.11", "n2": "10.213.0.12", "n3": "10.213.0.13"}
BRIDGE = "br0"
# Into the machine's control groups first: children follow.
GROUPED = 'g=$1; shift; IFS=:; for d in $g; do echo $$ >"$d/cgroup.procs"; done; exec "$@"'
# Detached: the shell in between ends, and the process belongs to process 1 of its machine.
DETACHED = 'p=$1 l=$2; shift 2; cd /; setsid sh -c \'echo $$ >"$0"; exec "$@"\' "$p" "$@" >>"$l" 2>&1 </dev/null &'
END_SECONDS = 20.0
# A machine knows nothing of the shell that started it.
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
}


class ClusterError(Exception):
    """What went wrong, in a sentence."""


def started(pid: int) -> str | None:
    """When a process started, in ticks: its name for ever, as numbers are used again. None if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return None


@dataclass
class Machine:
    """A machine by its process 1 (`holder`, as the host numbers it) and when that one `began`."""

    name: str
    holder: int
    began: str
    local: Path  # its own directory, as everybody sees it
    groups: list[str]  # control groups in which all that runs there is

    @property
    def address(self) -> str:
        return ADDRESSES[self.name]

    def alive(self) -> bool:
        return started(self.holder) == self.began

    def inside(self, *argv: str) -> list[str]:
        """A command line that runs `argv` on this machine."""
        enter = ["nsenter", f"--target={self.holder}", *NAMESPACES, "--", *argv]
        return ["sh", "-c", GROUPED, "sh", ":".join(self.groups), *enter]

    def call(self, *argv: str, env: Mapping[str, str] | None = None, check: bool = True) -> str:
        """Run a command on this machine to its end; what it printed. Raises `ClusterError` with what it complained."""
        environment = {**ENVIRONMENT, **(env or {})}
        done = subprocess.run(self.inside(*argv), capture_output=True, text=True, env=environment)
        if check and done.returncode:
            raise ClusterError(f"{self.name}: {shlex.join(argv)}: {(done.stderr or done.stdout).strip()[-2000:]}")
        return done.stdout

    def log(self, name: str) -> Path:
        return self.local / "log" / f"{name}.log"

    def start(self, name: str, argv: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        """Start a process that outlives us; `pid_of` finds it. Its output goes to `log`."""
        self.log(name).parent.mkdir(exist_ok=True)
        self.pidfile(name).parent.mkdir(exist_ok=True)
        self.pidfile(name).unlink(missing_ok=True)
        files = [str(self.pidfile(name)), str(self.log(name))]
        environment = {**ENVIRONMENT, **(env or {})}
        subprocess.run(self.inside("sh", "-c", DETACHED, "sh", *files, *argv), check=True, env=environment)

    def pidfile(self, name: str) -> Path:
        return self.local / "run" / f"{name}.pid"

    def pid_of(self, name: str) -> int | None:
        """The process that `start` started under this name, as the host numbers it, if it lives."""
        try:
            wanted = self.pidfile(name).read_text().strip()
        except OSError:
            return None
        return next((pid for pid in self.pids() if number_inside(pid) == wanted), None)

    def pids(self, *words: str) -> list[int]:
        """Processes of this machine, as the host numbers them, with each of these words in the command line.

        Those in instances, which have PID namespaces of their own, are not among them.
        """
        here = os.stat(f"/proc/{self.holder}/ns/pid").st_ino
        found = []
        for entry in os.listdir("/proc"):
            if entry.isdigit() and int(entry) != self.holder:
                with contextlib.suppress(OSError):
                    if os.stat(f"/proc/{entry}/ns/pid").st_ino == here and all(w in command(entry) for w in words):
                        found.append(int(entry))
        return found


def command(pid: int | str) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")


def number_inside(pid: int) -> str | None:
    """The number of a process in the innermost of its namespaces."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("NSpid:"):
                return line.split()[-1]
    return None


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def end(pid: int, number: int = signal.SIGTERM, seconds: float = END_SECONDS) -> None:
    """Ask a process to end, and make it if it does not."""
    began = started(pid)
    kill(pid, number)
    if not wait_until(lambda: gone(pid, began), seconds):
        kill(pid)


def gone(pid: int, began: str | None) -> bool:
    """No such process any more; one that is only unburied does not count as there."""
    with contextlib.suppress(OSError):
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return stat[19] != began or stat[0] == "Z"
    return True


def wait_until(true: Callable[[], object], seconds: float, every: float = 0.05) -> bool:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(every)
    return True


# Making and removing machines.


def switch_on(name: str, tag: str, directory: Path, mounts: Mapping[Path, Path]) -> Machine:
    """A machine without network; `mounts`: what it sees where, by the place where it sees it."""
    groups = [str(group) for group in make_groups(f"remora-{tag}/{name}")]
    pairs = [str(path) for target, source in mounts.items() for path in (source, target)]
    unshare = ["unshare", *NAMESPACES, "--fork", "--mount-proc", "--propagation=private"]
    grouped = ["sh", "-c", GROUPED, "sh", ":".join(groups)]
    outer = subprocess.Popen(
        [*grouped, *unshare, sys.executable, str(HOLD), name, *pairs],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    assert outer.stdout is not None
    if outer.stdout.readline() != b"ready\n":
        raise ClusterError(f"no machine can be made here: {shlex.join(unshare)} failed")
    holder = int(Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()[0])
    return Machine(name, holder, started(holder) or "", directory, groups)


def switch_off(machine: Machine) -> None:
    """End all that runs there, as a power switch does."""
    if machine.alive():
        kill(machine.holder)
    if not wait_until(lambda: gone(machine.holder, machine.began), END_SECONDS):
        raise ClusterError(f"machine {machine.name}, process {machine.holder}, does not end")


def make_groups(path: str) -> list[Path]:
    """A group of this path in each hierarchy, with all processors and memory that there are."""
    made = []
    for point, _, _ in hierarchies():
        group = Path(point) / path
        group.mkdir(parents=True, exist_ok=True)
        for below in (group.parent, group):
            for name in ("cpuset.cpus", "cpuset.mems"):  # version 1: empty at first, and then nobody may enter
                if (below / name).exists():
                    (below / name).write_text((below.parent / name).read_text())
        made.append(group)
    return made


def remove_groups(path: str) -> None:
    """A subtree of groups in each hierarchy, leaves first."""
    for point, _, _ in hierarchies():
        for below, _, _ in os.walk(Path(point) / path, topdown=False):
            wait_until(lambda below=below: removed(Path(below)), 2)


def removed(group: Path) -> bool:
    try:
        group.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


# The network.


def make_bridge(hub: Machine) -> None:
    for words in (
        f"link add {BRIDGE} type bridge",
        f"address add {hub.address}/24 dev {BRIDGE}",
        f"link set {BRIDGE} up",
        "link set lo up",
    ):
        hub.call("ip", *words.split())


def plug_in(hub: Machine, node: Machine) -> None:
    """A cable from the bridge to the node's only interface, `eth0`. Namespaces are named as the host knows them."""
    cable = ["ip", "link", "add", node.name, "type", "veth", "peer", "name", "eth0", "netns", str(node.holder)]
    done = subprocess.run(["nsenter", f"--target={hub.holder}", "--net", "--", *cable], capture_output=True, text=True)
    if done.returncode:
        raise ClusterError(f"no cable to {node.name}: {done.stderr.strip()}")
    for words in (f"address add {node.address}/24 dev eth0", "link set eth0 up", "link set lo up"):
        node.call("ip", *words.split())
    hub.call("ip", "link", "set", node.name, "up")
    mend(hub, node)


def cut(hub: Machine, node: Machine) -> None:
    """Pull the node's cable: frames vanish, and neither side is told."""
    hub.call("ip", "link", "set", node.name, "nomaster")


def mend(hub: Machine, node: Machine) -> None:
    hub.call("ip", "link", "set", node.name, "master", BRIDGE)


def is_cut(hub: Machine, node: Machine) -> bool:
    return f"master {BRIDGE}" not in hub.call("ip", "-o", "link", "show", node.name)
