"""What this machine allows, and what each lack costs.

What can be tried is tried: a process with namespaces and a container are made and ended. The
rest is read from the kernel and from the programs themselves.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from datapath import libexec, passing
from scheduler.providers import InstanceError
from scheduler.providers.cgroups import open_groups
from scheduler.providers.choice import containers
from scheduler.providers.containerd.machine import PATH, why_no_containers
from scheduler.providers.process import first_word

# The releases of runc that have a known way out of a container.
LEAK = "CVE-2024-21626"
RACES = "CVE-2025-31133, CVE-2025-52565, CVE-2025-52881"
# (from, before, names)
RUNC_HOLES = (((0, 0, 0), (1, 1, 12), LEAK), ((0, 0, 0), (1, 2, 8), RACES), ((1, 3, 0), (1, 3, 3), RACES))


@dataclass(frozen=True, slots=True)
class Finding:
    """`lack` is what it costs that something is not so, or None if all is well."""

    subject: str
    found: str
    lack: str | None = None


async def examine(address: str | None = None) -> AsyncIterator[Finding]:
    """All findings; `address` is the socket of a containerd, if ours shall not be tried."""
    yield await namespaces()
    yield memory_caps()
    yield core_files()
    for program in ("runc", "containerd"):
        yield version_of(program)
    yield await container(address)


async def namespaces() -> Finding:
    with tempfile.TemporaryDirectory(prefix="remora-doctor-") as work:
        channel, theirs = passing.pair()
        process = await asyncio.create_subprocess_exec(
            *(libexec("lackey"), f"--socket={theirs}"),
            *(f"--work={work}", "--isolation=auto"),
            pass_fds=(theirs,),
            stdin=subprocess.DEVNULL,
            env={},
        )
        try:
            ready = await first_word(channel, process)
        except ValueError as error:
            return Finding("namespaces", str(error), "no instance can be made at all")
        finally:
            channel.close()
            os.close(theirs)
            await process.wait()
    if ready.namespaces:
        return Finding("namespaces", "tasks that are processes have a root and users of their own")
    return Finding("namespaces", f"refused: {ready.why}", "tasks that are processes see what the service's user sees")


def memory_caps() -> Finding:
    groups = open_groups("doctor")
    if groups is None:
        return Finding("memory", "no control group can be made", "memory of processes is watched, four times a second")
    groups.close()
    return Finding("memory", f"control groups, version {groups.version}")


def core_files() -> Finding:
    pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
    return Finding("core files", f"core_pattern is {pattern}", lack_of_cores(pattern))


def lack_of_cores(pattern: str) -> str | None:
    if not pattern.startswith(("|", "@", "/")):
        return None
    whose = "tasks that are processes" if pattern.startswith("/") else "tasks"
    return f"core dumps of {whose} are not kept, nor seen if a script hides them (try `sysctl kernel.core_pattern=core`)"


def version_of(program: str) -> Finding:
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, env={"PATH": PATH})
    except FileNotFoundError:
        return Finding(program, "not installed", f"no containers (try `apt-get install {program}`)")
    found = re.search(r"(\d+)\.(\d+)\.(\d+)\S*", done.stdout)
    if found is None:
        return Finding(program, "does not say its version", "nobody knows what holes it has")
    return Finding(program, found[0], known_holes(found) if program == "runc" else None)


def known_holes(found: re.Match[str]) -> str | None:
    version = tuple(int(part) for part in found.groups())
    holes = [names for first, fixed, names in RUNC_HOLES if first <= version < fixed]
    return f"containers can be left by {', '.join(holes)}, unless your distribution has mended it" if holes else None


async def container(address: str | None) -> Finding:
    if why := why_no_containers(own_daemon=address is None):
        return Finding("containers", why, "instances are processes")
    with tempfile.TemporaryDirectory(prefix="remora-doctor-") as state:
        try:
            provider = await containers(Path(state), address)
        except InstanceError as error:
            return Finding("containers", str(error), "instances are processes")
        await provider.close()
    return Finding("containers", "one was made, and ended")
