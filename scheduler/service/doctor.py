"""The examination of a machine: what it supports, and what each missing part costs.

Where possible the examination is a trial: an instance that is a process, the users of a mount, and a container are
made and ended. The rest is read from the kernel and from the programs themselves. The parts that
containers need are reported one by one, so that an operator without containers learns which part is missing.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from scheduler.common import child
from scheduler.common.disk_reserve import sized
from scheduler.model.tiers import DEFAULT_DISK_GB, DEFAULT_MEMORY_MB
from scheduler.providers import InstanceError
from scheduler.providers.choice import ProviderOptions, containers
from scheduler.providers.containerd import mounts
from scheduler.providers.containerd.machine import FILE_SYSTEMS, loadable, why_no_containers
from scheduler.providers.isolation import RULES
from scheduler.providers.linux import loopback
from scheduler.providers.linux.cgroups import hierarchies, own_limit
from scheduler.providers.linux.user_namespace import block_namespace
from scheduler.providers.linux.user_ranges import FIRST_USER, USERS
from scheduler.providers.process import ProcessProvider
from scheduler.service import state_checks

NO_CONTAINERS = "no containers"
# The releases of runc that have a known vulnerability by which a task can leave its container.
LEAK = "CVE-2024-21626"
RACES = "CVE-2025-31133, CVE-2025-52565, CVE-2025-52881"
RELEASED = 1 << 30  # greater than the number of any release candidate
LISTENS = "0A"  # the state of a listening socket in /proc/net/tcp
Version = tuple[int, int, int, int]  # the last number is that of a release candidate
# (first affected version, first fixed version, names)
RUNC_HOLES: tuple[tuple[Version, Version, str], ...] = (
    ((0, 0, 0, 0), (1, 1, 12, 0), LEAK),
    ((0, 0, 0, 0), (1, 2, 8, 0), RACES),
    ((1, 3, 0, 0), (1, 3, 3, 0), RACES),
    ((1, 4, 0, 0), (1, 4, 0, 3), RACES),
)
# What is missing without each controller of control groups.
CONTROLLERS = {
    "memory": NO_CONTAINERS,
    "pids": "a task may make as many processes as the machine has",
    "cpu": "a job with more instances gets more of the processors",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One result of the examination. `lack` is the consequence of a missing part, None if nothing is missing."""

    subject: str
    found: str
    lack: str | None = None


async def examine(state_dir: Path, address: str | None = None) -> AsyncIterator[Finding]:
    """All findings. `address` is the socket of a containerd to try in place of our own. `state_dir` need not exist."""
    async for finding in processes():
        yield finding
    yield core_files()
    yield free_memory()
    yield free_disk(state_dir)
    yield state_place(state_dir)
    yield control_groups()
    yield loop_devices()
    yield file_systems()
    yield await asyncio.to_thread(mapped_mounts)
    yield own_loopback()
    yield open_ports()
    for program in ("runc", "containerd"):
        yield version_of(program)
    yield await container(address)


async def processes() -> AsyncIterator[Finding]:
    """The isolation of tasks in instances that are processes: makes and ends one, as an agent would."""
    with tempfile.TemporaryDirectory(prefix="remora-doctor-") as state:
        provider = ProcessProvider(Path(state))
        try:
            await provider.prepare()
        except InstanceError as error:
            yield Finding("processes", str(error), "no instance can be made at all")
            return
        finally:
            await provider.close()
    for hold, rule in RULES.items():
        if hold in provider.isolation.holds:
            yield Finding(hold, rule.holds)
        else:
            yield Finding(hold, "no", rule.gap) if rule.avoidable else Finding(hold, rule.gap)


def core_files() -> Finding:
    pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
    return Finding("core files", f"core_pattern is {pattern}", lack_of_cores(pattern))


def lack_of_cores(pattern: str) -> str | None:
    """Which core dumps a pattern of the kernel loses; None if it loses none."""
    if not pattern.startswith(("|", "@", "/")):
        return None
    whose = "tasks that are processes" if pattern.startswith("/") else "tasks"
    return (
        f"core dumps of {whose} are not kept, nor seen if a script hides them (try `sysctl kernel.core_pattern=core`)"
    )


def free_memory() -> Finding:
    """Whether an instance of the default memory tier fits into the free memory."""
    told = re.search(r"^MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    assert told is not None
    free = int(told[1]) << 10
    limit = own_limit()
    free = free if limit is None else min(free, limit)
    lack = f"instances of {DEFAULT_MEMORY_MB} MB, which is the default, may not fit"
    return Finding("free memory", f"{free >> 20} MB", lack if free < DEFAULT_MEMORY_MB << 20 else None)


def free_disk(state_dir: Path) -> Finding:
    where = state_checks.existing(state_dir)
    free = shutil.disk_usage(where).free
    lack = f"tasks may find less than the {DEFAULT_DISK_GB} GB that they have by default"
    return Finding("free disk", f"{sized(free)} at {where}", lack if free < DEFAULT_DISK_GB << 30 else None)


def state_place(state_dir: Path) -> Finding:
    return Finding("state", str(state_checks.existing(state_dir)), "; ".join(state_checks.troubles(state_dir)) or None)


# -- the parts of a container ------------------------------------------------------------------


def control_groups() -> Finding:
    known = controllers()
    missing = [name for name in CONTROLLERS if name not in known]
    found = ", ".join(f"{name} (version {known[name]})" for name in CONTROLLERS if name in known) or "none"
    return Finding("groups", found, "; ".join(CONTROLLERS[name] for name in missing) or None)


def controllers() -> dict[str, int]:
    """The version of the control group hierarchy that each controller is in."""
    known = {}
    for point, version, options in hierarchies():
        names = options
        if version == 2:
            names = (Path(point) / "cgroup.controllers").read_text().split()
        known.update(dict.fromkeys(names, version))
    return known


def loop_devices() -> Finding:
    """Whether there are loop devices, which the disks of containers need."""
    try:
        os.close(os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        lack = f"{NO_CONTAINERS}: the cap on their disk is a disk of their own (try `modprobe loop`)"
        return Finding("loop devices", f"/dev/loop-control: {error.strerror}", lack)
    return Finding("loop devices", "there are some")


def file_systems() -> Finding:
    known = Path("/proc/filesystems").read_text().split()
    missing = [name for name in FILE_SYSTEMS if name not in known and not loadable(name)]
    if missing:
        return Finding("file systems", f"the kernel lacks {' and '.join(missing)}", NO_CONTAINERS)
    return Finding("file systems", " and ".join(FILE_SYSTEMS))


def mapped_mounts() -> Finding:
    """Whether a mount can map users, which container images need; tries it."""
    with tempfile.TemporaryDirectory(prefix="remora-doctor-") as work:
        try:
            with block_namespace(FIRST_USER, USERS) as namespace:
                mounts.attach(Path(work), Path(work), mounts.ATTR_SEALED, namespace)
        except OSError as error:
            lack = "containers can have no image, and are made of the machine itself (try root and Linux 5.19 or newer)"
            return Finding("mapped users", f"refused: {error.strerror or error}", lack)
        mounts.unmount(Path(work))
    return Finding("mapped users", "a mount may have other users than its file system")


def own_loopback() -> Finding:
    if why := loopback.why_none():
        return Finding("loopback", why, "tasks in containers reach whatever listens on this machine's loopback")
    return Finding("loopback", "containers can have one of their own")


def open_ports() -> Finding:
    """The ports of the machine that tasks can reach in spite of a loopback of their own."""
    tables = [path for path in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")) if path.exists()]
    lines = [line for path in tables for line in path.read_text().splitlines()[1:]]
    ports = ", ".join(map(str, sorted(set(filter(None, map(open_port, lines))))))
    found = f"{ports}: tasks reach what listens there, as the network outside does" if ports else "none"
    return Finding("open ports", found)


def open_port(line: str) -> int | None:
    """The port of a socket that listens at every address; None for any other line of the kernel's table of sockets."""
    _, local, _, state = line.split()[:4]
    address, _, port = local.partition(":")
    return int(port, 16) if state == LISTENS and not address.strip("0") else None


def version_of(program: str) -> Finding:
    """The version of an installed program, and for runc its known vulnerabilities."""
    try:
        done = child.run([program, "--version"], capture_output=True, text=True)
    except FileNotFoundError:
        return Finding(program, "not installed", f"{NO_CONTAINERS} (try `apt-get install {program}`)")
    found = re.search(r"(?<!\d)(\d+)\.(\d+)\.(\d+)(?:-rc\.?(\d+))?\S*", done.stdout)
    if found is None:
        return Finding(program, "does not say its version", "its known vulnerabilities cannot be told")
    return Finding(program, found[0], known_holes(found) if program == "runc" else None)


def known_holes(found: re.Match[str]) -> str | None:
    first, second, third, candidate = found.groups()
    version = (int(first), int(second), int(third), int(candidate or RELEASED))
    holes = [names for first, fixed, names in RUNC_HOLES if first <= version < fixed]
    return f"containers can be left by {', '.join(holes)}, unless your distribution has mended it" if holes else None


async def container(address: str | None) -> Finding:
    """Whether a container can be made; tries it."""
    if why := why_no_containers(own_daemon=address is None):
        return Finding("containers", why, "instances are processes")
    with tempfile.TemporaryDirectory(prefix="remora-doctor-") as state:
        try:
            provider = await containers(Path(state), ProviderOptions("containerd", address=address))
        except InstanceError as error:
            return Finding("containers", str(error), "instances are processes")
        await provider.close()
    return Finding("containers", "one was made, and ended")
