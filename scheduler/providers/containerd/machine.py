"""The requirements of containers on the machine, checked without making a container."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

from scheduler.common import child

PROGRAMS = {
    "containerd": "containerd",
    "containerd-shim-runc-v2": "containerd",
    "runc": "runc",
    "mkfs.ext4": "e2fsprogs",
    "unshare": "util-linux",
    "setpriv": "util-linux",
}
FILE_SYSTEMS = ("ext4", "overlay")


def missing_packages() -> list[str]:
    """The packages of missing programs."""
    return sorted({package for program, package in PROGRAMS.items() if child.find(program) is None})


def why_no_containers(own_daemon: bool = True) -> str | None:
    """The missing requirement as a sentence, or None. Without `own_daemon` containerd is run by the operator."""
    if os.geteuid() != 0:
        return "containers need root (run as root, or use --provider process)"
    if find_spec("grpc") is None:
        return "containers need the Python package grpcio (try `pip install grpcio`)"
    missing = [name for name in missing_packages() if own_daemon or name not in ("containerd", "runc")]
    if missing:
        return f"containers need programs that are not installed: try `apt-get install {' '.join(missing)}`"
    if not os.path.exists("/dev/loop-control"):
        return "containers need loop devices, and there is no /dev/loop-control (try `modprobe loop`)"
    known = Path("/proc/filesystems").read_text().split()
    unknown = [name for name in FILE_SYSTEMS if name not in known and not loadable(name)]
    if unknown:
        return f"containers need the file systems that this kernel lacks: {' '.join(unknown)}"
    return None


def loadable(module: str) -> bool:
    """Whether the kernel would load a module of this name on demand."""
    release = Path("/lib/modules") / os.uname().release
    try:
        return any(f"/{module}.ko" in line for line in (release / "modules.dep").read_text().splitlines())
    except OSError:
        return False
