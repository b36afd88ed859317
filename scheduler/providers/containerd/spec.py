"""The OCI runtime spec of a container.

All rights and mounts of a container are in this one document, so it is made by one pure function
that a test can check. The filter of system calls is not in it: process 1 is our lackey, which
filters them as in any instance (`datapath/include/sandbox/callfilter.h`). The root file system is mounted
already; three kinds of mounts are added: those that every Linux program expects (`/proc`, `/dev`),
those that every task expects (`/manta`, `/.remora`), and those that the image takes from the
machine.
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

# The same as in the lackey, which drops all others: those that tasks need among themselves.
CAPABILITIES = [f"CAP_{name}" for name in "CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID".split()]
SHM_BYTES = 64 << 20
READ_ONLY = ["ro", "nosuid", "nodev"]
CONTROL = "/.remora"
LACKEY = "lackey"
LACKEY_SOCKET = "lackey.sock"

GROUPS = "/sys/fs/cgroup"

# Of processors, while a container is made and its lackey starts: more than all tasks have.
STARTING_SHARES = 1 << 18


@dataclass(frozen=True, slots=True)
class Container:
    """The parameters of one container."""

    root: Path  # its root file system, mounted
    control: Path  # seen as /.remora: the agent's sockets
    inputs: Path  # seen as /manta
    shown: Mapping[str, Path]  # seen below /.remora by these names
    group: str  # path of its control group
    first_user: int  # its users 0 … `users`-1 are the host's from here
    users: int
    memory_bytes: int
    disk_bytes: int
    open_files: int  # most descriptors of a process
    shared: tuple[Mount, ...] = ()  # mounts that the image takes from the machine


def bind(source: Path | str, target: str, options: Iterable[str] = READ_ONLY) -> Mount:
    return {"destination": target, "type": "bind", "source": str(source), "options": ["rbind", *options]}


def kernel_mounts() -> list[Mount]:
    """Mounts of kernel file systems, which every Linux program expects."""

    def mount(target: str, kind: str, *options: str) -> Mount:
        return {"destination": target, "type": kind, "source": kind, "options": list(options)}

    return [
        mount("/proc", "proc", "nosuid", "noexec", "nodev"),
        mount("/dev", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536"),
        mount("/dev/pts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"),
        mount("/dev/shm", "tmpfs", "nosuid", "nodev", "mode=1777", f"size={SHM_BYTES}"),  # noqa: S108 - not ours
        # Not the whole of /sys, which reveals everything; `nproc` and the like read this much.
        *(bind(path, path) for path in SYSTEM if os.path.exists(path)),
        # Programs that size themselves read their memory limit here.
        mount(GROUPS, "cgroup", "nosuid", "noexec", "nodev", "ro"),
    ]


def runtime_spec(container: Container) -> dict[str, Any]:
    """The OCI spec of a container."""
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
    """The `process` part of the spec: the lackey, without root's dangerous capabilities."""
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
    """The namespaces of a container, and its map of users."""
    mapping = [{"containerID": 0, "hostID": container.first_user, "size": container.users}]
    return {
        "namespaces": [{"type": kind} for kind in ("user", "pid", "mount", "ipc", "uts", "cgroup")],
        "uidMappings": mapping,
        "gidMappings": mapping,
    }


def resources(container: Container) -> dict[str, Any]:
    """Limits of memory and processors. Swap is none, since memory and swap together are as much as memory alone.

    The provider takes `cpu` back once the container runs.
    """
    return {
        "memory": {"limit": container.memory_bytes, "swap": container.memory_bytes},
        "pids": {"limit": MAX_PROCESSES},
        "cpu": {"shares": STARTING_SHARES},
        "devices": [{"allow": False, "access": "rwm"}],
    }
