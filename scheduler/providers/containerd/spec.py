"""The container as its runtime is told of it: the OCI spec, written by us.

All that a container may and sees is in this one document, so it is made in one pure function
that a test can read. What system calls it may make is not in it: its process 1 is our lackey,
which filters them as in any instance (`datapath/include/callfilter.h`). The root file system is
mounted already; what is mounted into it comes in three kinds: what every Linux program expects
(`/proc`, `/dev`), what every task expects (`/manta`, `/.remora`), and what the image brings from
the machine.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datapath.host_view import HIDDEN, SYSTEM, UNCHANGEABLE
from scheduler.providers import MAX_PROCESSES

Mount = dict[str, Any]

# As in the lackey, which could not keep others: what tasks need among themselves.
CAPABILITIES = [f"CAP_{name}" for name in "CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID".split()]
SHM_BYTES = 64 << 20
READ_ONLY = ["ro", "nosuid", "nodev"]
CONTROL = "/.remora"
LACKEY = "lackey"
LACKEY_SOCKET = "lackey.sock"

GROUPS = "/sys/fs/cgroup"

# Of processors, while a container is made and its lackey starts: ahead of the tasks of all others.
STARTING_SHARES = 1 << 18


@dataclass(frozen=True, slots=True)
class Container:
    """What is special about one container."""

    root: Path  # its root file system, mounted
    control: Path  # seen as /.remora: the agent's sockets
    inputs: Path  # seen as /manta
    shown: Mapping[str, Path]  # seen below /.remora by these names
    group: str  # path of its control group
    first_user: int  # its users 0 … `users`-1 are ours from here
    users: int
    memory_bytes: int
    disk_bytes: int
    open_files: int  # most descriptors of a process
    shared: tuple[Mount, ...] = ()  # what the image takes from the machine


def bind(source: Path | str, target: str, options: Iterable[str] = READ_ONLY) -> Mount:
    return {"destination": target, "type": "bind", "source": str(source), "options": ["rbind", *options]}


def kernel_mounts() -> list[Mount]:
    def mount(target: str, kind: str, *options: str) -> Mount:
        return {"destination": target, "type": kind, "source": kind, "options": list(options)}

    return [
        mount("/proc", "proc", "nosuid", "noexec", "nodev"),
        mount("/dev", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536"),
        mount("/dev/pts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"),
        mount("/dev/shm", "tmpfs", "nosuid", "nodev", "mode=1777", f"size={SHM_BYTES}"),  # noqa: S108 - not ours
        # Not the whole of /sys, which tells of everything; this much is asked by `nproc` and the like.
        *(bind(path, path) for path in SYSTEM if os.path.exists(path)),
        # Where programs that size themselves read how much memory they may have.
        mount(GROUPS, "cgroup", "nosuid", "noexec", "nodev", "ro"),
    ]


def runtime_spec(container: Container) -> dict[str, Any]:
    return {
        "ociVersion": "1.0.2",
        "hostname": "remora",
        "root": {"path": str(container.root), "readonly": False},
        "process": process(container),
        "mounts": [*kernel_mounts(), *container.shared, *task_mounts(container)],
        "linux": {
            "cgroupsPath": container.group,
            "resources": resources(container),
            "maskedPaths": [*HIDDEN],
            "readonlyPaths": [*UNCHANGEABLE, GROUPS],
            "rootfsPropagation": "private",
        }
        | namespaces(container),
    }


def process(container: Container) -> dict[str, Any]:
    lackey = [
        f"{CONTROL}/{LACKEY}",
        f"--connect={CONTROL}/{LACKEY_SOCKET}",
        f"--disk-bytes={container.disk_bytes}",
    ]
    return {
        "terminal": False,
        "user": {"uid": 0, "gid": 0},
        "args": lackey,
        "env": [],
        "cwd": "/",
        "noNewPrivileges": True,
        "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), CAPABILITIES),
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": min(1024, container.open_files), "hard": container.open_files}],
    }


def task_mounts(container: Container) -> list[Mount]:
    return [
        bind(container.inputs, "/manta"),
        bind(container.control, CONTROL),
        *(bind(path, f"{CONTROL}/{name}") for name, path in container.shown.items()),
    ]


def namespaces(container: Container) -> dict[str, Any]:
    mapping = [{"containerID": 0, "hostID": container.first_user, "size": container.users}]
    return {
        "namespaces": [{"type": kind} for kind in ("user", "pid", "mount", "ipc", "uts", "cgroup")],
        "uidMappings": mapping,
        "gidMappings": mapping,
    }


def resources(container: Container) -> dict[str, Any]:
    """Memory and swap together are as much as memory alone: so there is no swap. The provider takes `cpu` back."""
    return {
        "memory": {"limit": container.memory_bytes, "swap": container.memory_bytes},
        "pids": {"limit": MAX_PROCESSES},
        "cpu": {"shares": STARTING_SHARES},
        "devices": [{"allow": False, "access": "rwm"}],
    }
