"""A container with a lackey in it, from the agent's side: the connection to the lackey, and the
instance's state.

The agent does not start the lackey itself, so it cannot pass it a socket. It listens instead, in a
directory that the container has read-only, and the lackey connects. The connection is accepted only
if the kernel says that its peer is the container's process 1; then the socket is closed to others.
The lackey connects again when its agent is gone and the next one listens under the same name.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import struct
from collections.abc import Awaitable, Callable, Collection, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from datapath import passing
from datapath.passing import Channel, Kind, Listener
from scheduler.providers import Door, InstanceSpec, View
from scheduler.providers.containerd.spec import LACKEY_SOCKET
from scheduler.providers.linux.cgroups import MemoryGroup, memory_group_of
from scheduler.providers.linux.disk_usage import File, Use
from scheduler.providers.linux.process_tree import descendants
from scheduler.providers.linux.readiness import readable
from scheduler.providers.linux.user_ranges import USERS
from scheduler.providers.process_instance import INSIDE

READY_SECONDS = 20.0
# Labels of a container.
NUMBER, IMAGE, USER = "remora.number", "remora.image", "remora.user"
INITIALIZED = "initialized"
AGENT_SOCKET = "agent.sock"
# If less than this is free, a task that fails has most likely failed for lack of it.
FULL_BYTES = 1 << 20
Remove = Callable[["Draft"], Awaitable[bool]]
# Seconds before a failed removal is retried.
REMOVE_PAUSE = 5.0


@dataclass(frozen=True, slots=True)
class Draft:
    """The description of an instance before it exists."""

    number: int
    spec: InstanceSpec
    name: str  # of the container
    work: Path
    image: str | None  # None: the machine
    first_user: int  # as the host counts
    held: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)  # the lock of the image

    @property
    def labels(self) -> dict[str, str]:
        """The labels by which the next agent finds the instance again."""
        return {
            NUMBER: str(self.number),
            IMAGE: self.image or "",
            USER: str(self.first_user),
        }

    @property
    def control(self) -> Path:
        """The directory of its sockets."""
        return self.work / "control"

    @property
    def words(self) -> Path:
        """The file for error messages of its lackey."""
        return self.work / "lackey.log"

    @property
    def initialized(self) -> Path:
        """The file that exists once the instance is initialized for its pool; it has the instance's spec."""
        return self.work / INITIALIZED


@dataclass(slots=True)
class ContainerInstance:
    """A lackey in a container. See `scheduler.providers.Instance`."""

    channel: Channel
    listener: Listener
    draft: Draft
    remove: Remove
    pid: int  # the lackey's
    pidfd: int
    group: MemoryGroup
    door: Door

    @property
    def number(self) -> int:
        return self.draft.number

    @property
    def work(self) -> Path:
        return self.draft.work

    @property
    def spec(self) -> InstanceSpec:
        return self.draft.spec

    @property
    def view(self) -> View:
        return INSIDE

    @property
    def isolated(self) -> bool:
        return True

    @property
    def initialized(self) -> bool:
        return self.draft.initialized.exists()

    def set_initialized(self) -> None:
        fresh = self.draft.initialized.with_suffix(".new")
        fresh.write_text(json.dumps(asdict(self.spec)))
        fresh.rename(self.draft.initialized)

    def has_user(self, uid: int) -> bool:
        return self.draft.first_user <= uid < self.draft.first_user + USERS

    def has_socket(self, inode: int) -> bool:
        return False  # we are root

    def processes(self) -> Iterator[int]:
        return descendants(self.pid)

    def memory_kills(self) -> int:
        return self.group.kills()

    def memory_events(self) -> int | None:
        return self.group.events

    def memory_peak_kb(self, least: int) -> int:
        return self.group.peak_kb(least)

    @property
    def memory_capped(self) -> bool:
        return True

    def memory_used(self) -> int:
        return 0

    @property
    def disk(self) -> Path:
        return self.work / "root"

    def disk_use(self, most: Use, known: Collection[File] | None) -> Use:
        status = os.statvfs(self.disk)
        return Use((status.f_blocks - status.f_bfree) * status.f_frsize, status.f_files - status.f_ffree)

    def disk_full(self) -> bool:
        status = os.statvfs(self.disk)
        return status.f_bavail * status.f_frsize < FULL_BYTES or status.f_favail == 0

    async def destroy(self) -> None:
        """Kill the lackey, and remove the container and everything made for it, with retries."""
        self.channel.close()
        self.listener.close()
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)  # even if containerd is unavailable
        os.close(self.pidfd)
        self.group.close()
        while not await self.remove(self.draft):
            await asyncio.sleep(REMOVE_PAUSE)


async def meet(draft: Draft, pid: int, door: Door, remove: Remove) -> ContainerInstance:
    """Open the sockets that a running lackey connects to, and wait for it. Raises OSError or ValueError."""
    with contextlib.ExitStack() as undo:
        pidfd = os.pidfd_open(pid)
        undo.callback(os.close, pidfd)
        group = memory_group_of(pid)
        undo.callback(group.close)
        listener = undo.enter_context(listen(draft.control / AGENT_SOCKET))
        with listen(draft.control / LACKEY_SOCKET) as lackey:
            channel = await first_call(lackey, pid, pidfd, draft.words)
        undo.pop_all()
    return ContainerInstance(channel, listener, draft, remove, pid, pidfd, group, door)


def listen(path: Path) -> Listener:
    """Listen at a socket that appears atomically in place of an existing one. Raises OSError."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    listener = passing.listen(fresh)
    fresh.rename(path)
    return listener


async def first_call(listener: socket.socket, pid: int, pidfd: int, words: Path) -> Channel:
    """Wait for the lackey, process `pid`, to connect. Raises ValueError with its error message, or OSError."""
    try:
        async with asyncio.timeout(READY_SECONDS):
            return await answer(listener, pid, pidfd)
    except (ValueError, TimeoutError) as error:
        said = words.read_text(errors="replace").strip()
        raise ValueError(f"the lackey is not ready: {error or 'it takes too long'}; {said}") from error


async def answer(listener: socket.socket, pid: int, pidfd: int) -> Channel:
    """Wait for the lackey, process `pid`, to connect and report READY. Raises ValueError or OSError."""
    await readable(listener.fileno(), pidfd)
    try:
        connection, _ = listener.accept()
    except BlockingIOError:
        raise ValueError("it has ended") from None
    connection.setblocking(False)
    caller = struct.unpack("=iII", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
    channel = Channel(connection.detach())
    try:
        if caller != pid:
            raise ValueError(f"process {caller} called in place of {pid}")
        await readable(channel.fileno())
        message = channel.receive()
        if message is None or message.kind != Kind.READY:
            raise ValueError("it did not say so")
    except BaseException:
        channel.close()
        raise
    return channel
