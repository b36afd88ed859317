"""Lackeys that are child processes of the agent: their first message, and their end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal

from datapath import passing
from datapath.passing import Channel, Kind, Ready
from scheduler.providers.linux.process_tree import descendants
from scheduler.providers.linux.readiness import readable

# Seconds in which a lackey whose socket is closed ends its tasks and itself; after that it is terminated, then killed.
END_SECONDS = 3.0


async def first_word(channel: Channel, process: asyncio.subprocess.Process) -> tuple[Ready, int | None]:
    """The lackey's READY, and its directory for shared memory. Raises ValueError if it ends or sends something else."""
    await readable(channel.fileno())
    message = channel.receive()
    channel.bar_descriptors()  # no task has run before this
    if message is None:
        raise ValueError(f"the lackey ended with status {await process.wait()}; its reason is in the agent's log")
    if message.kind != Kind.READY:
        raise ValueError(f"the lackey began with message {message.kind}")
    return passing.decode_ready(message.payload), next(iter(message.fds), None)


async def end(process: asyncio.subprocess.Process) -> None:
    """Wait for a lackey whose socket is closed, and for its descendants; kill them if that takes long."""
    if await has_ended(process):
        return
    send_signal([process.pid], signal.SIGTERM)
    if await has_ended(process):
        return
    # A subreaper that is killed does not kill its descendants.
    send_signal(list(descendants(process.pid)), signal.SIGKILL)
    await process.wait()


async def has_ended(process: asyncio.subprocess.Process) -> bool:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), END_SECONDS)
    return process.returncode is not None


def send_signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
