"""Whether this machine can make containers, and whether the tests shall run in them.

With `REMORA_TEST_PROVIDER=containerd` all tests that start an agent or a service have their
instances from containerd, and those run that are about containers alone: a second run, not a
longer first one.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scheduler.providers.containerd.machine import why_no_containers
from scheduler.providers.linux.loopback import DOOR, address_of
from scheduler.service.state import read_info
from tests.support.services.service import PROVIDER, processes_with

__all__ = ["PROVIDER"]

CONTAINERD = "containerd"
REFUSED = why_no_containers()
WHY_NONE = REFUSED or ("" if PROVIDER == CONTAINERD else "that is another run, with REMORA_TEST_PROVIDER=containerd")
needs_containers = pytest.mark.skipif(bool(WHY_NONE), reason=f"NO CONTAINERS ARE TESTED: {WHY_NONE}")


def owner_of(state_dir: Path) -> str:
    """What the containers, control groups and sockets of a service bear in their names."""
    return hashlib.sha256(os.fsencode(state_dir.resolve())).hexdigest()[:16]


def lackeys(state_dir: Path) -> list[int]:
    """The first processes of the containers of a service."""
    found = set()
    for pid in members(f"/remora/{owner_of(state_dir)}/"):
        with contextlib.suppress(OSError):
            status = Path(f"/proc/{pid}/status").read_text()
            if status.startswith("Name:\tlackey\n") and re.search(r"^NSpid:.*\t1$", status, re.MULTILINE):
                found.add(int(pid))  # and not a task that is about to become bash
    return sorted(found)


def busy_lackeys(state_dir: Path) -> list[int]:
    """Those whose task runs now. One that ends meanwhile, as that of a trial at the start, has none."""
    busy = []
    for pid in lackeys(state_dir):
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/task/{pid}/children").read_text():
                busy.append(pid)
    return busy


def members(group: str) -> Iterator[str]:
    """Processes in control groups below `group`, of any controller. Groups may come and go meanwhile."""
    for directory, _, _ in os.walk("/sys/fs/cgroup"):
        if group in directory:
            with contextlib.suppress(OSError):
                yield from Path(directory, "cgroup.procs").read_text().split()


def doors(state_dir: Path, said: list[str]) -> list[str]:
    """Where the machine finds what tasks that run now call their MANTA_URL."""
    if said[0] != "http://localhost:80/":
        return said
    busy = busy_lackeys(state_dir)
    return [f"http://{address_of(holder_of(pid))}:{DOOR}/" for pid in busy]


def holder_of(lackey: int) -> int:
    """The process whose id an instance's loopback has in its address: a container's first, or the lackey above that."""
    with contextlib.suppress(FileNotFoundError):  # one that was about to end holds none any more
        parent = int(re.search(r"^PPid:\t(\d+)", Path(f"/proc/{lackey}/status").read_text(), re.MULTILINE)[1])
        if Path(f"/proc/{parent}/comm").read_text() == "lackey\n":
            return parent
    return lackey


def shims(state_dir: Path) -> list[int]:
    return processes_with(f"-id remora-{owner_of(state_dir)}-")


def daemons(state_dir: Path) -> list[int]:
    return processes_with(f"containerd --config {state_dir.resolve()}/")


def agents(state_dir: Path) -> list[int]:
    return processes_with(f"scheduler.agent --url {read_info(state_dir).url}")


VICTIMS: dict[str, Callable[[Path], list[int]]] = {
    "agent": agents,
    "containerd": daemons,
    "shim": shims,
    "lackey": lackeys,
}


def assert_no_container_left(state_dir: Path) -> None:
    """After the service has ended, besides what `assert_nothing_left` looks for."""
    owner = owner_of(state_dir)
    assert not processes_with(owner), "processes are left"
    assert not Path(f"/run/remora/{owner}").exists()
    mounts = [line for line in Path("/proc/self/mounts").read_text().splitlines() if owner in line]
    assert not mounts, f"mounts are left: {mounts}"
    backed = [path.read_text() for path in Path("/sys/block").glob("loop*/loop/backing_file")]
    assert not [file for file in backed if str(state_dir) in file], f"loop devices are left: {backed}"
