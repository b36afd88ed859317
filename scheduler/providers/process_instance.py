"""The instance of the process provider: its state while tasks run, and its end."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from datapath.passing import Channel, Listener, Ready
from scheduler.providers import Door, InstanceSpec, View
from scheduler.providers.lackey_process import end
from scheduler.providers.linux import disk_usage, memory_usage
from scheduler.providers.linux.cgroups import MemoryGroup, ProcessGroup, remove_version_2
from scheduler.providers.linux.disk_usage import File, Use
from scheduler.providers.linux.process_tree import descendants
from scheduler.providers.linux.removal import remove_tree
from scheduler.providers.linux.subordinate_users import SubordinateUsers
from scheduler.providers.linux.user_ranges import USERS

NOT_OF_TASKS = ("input", "agent.sock")  # in the instance's directory
INSIDE = View(home="/root", inputs="/manta", tools="/.remora/bin", agent_socket="/.remora/agent.sock")
INSIDE_ALONE = replace(INSIDE, one_user=True)


@dataclass(slots=True)
class ProcessInstance:
    """A lackey that is a child of the agent. See `scheduler.providers.Instance`."""

    channel: Channel
    listener: Listener
    work: Path
    spec: InstanceSpec
    process: asyncio.subprocess.Process
    ready: Ready
    shm: int | None  # the directory of its shared memory
    first_user: int | None
    subordinates: SubordinateUsers | None
    door: Door
    group: MemoryGroup | None
    process_group: ProcessGroup | None
    network_group: str
    tools: Path
    ended: Callable[[int], Awaitable[None]]  # to be called when the lackey is gone
    number: int
    free: Callable[[int], None]  # to be called when nothing of it is left

    @property
    def view(self) -> View:
        if self.ready.namespaces:
            return INSIDE if self.first_user is not None or self.subordinates is not None else INSIDE_ALONE
        work = str(self.work)
        return View(f"{work}/root", f"{work}/input", str(self.tools), f"{work}/agent.sock", one_user=True)

    @property
    def isolated(self) -> bool:
        return self.ready.namespaces

    @property
    def initialized(self) -> bool:
        return False

    def set_initialized(self) -> None:
        """Does nothing: no later agent can find the instance, since it dies with this one."""

    def has_user(self, uid: int) -> bool:
        if self.first_user is not None:
            return self.first_user <= uid < self.first_user + USERS
        return uid == os.geteuid() or (self.subordinates is not None and uid in self.subordinates)

    def has_socket(self, inode: int) -> bool:
        return self.subordinates is not None and self.subordinates.have_socket(self.processes(), inode)

    def processes(self) -> Iterator[int]:
        return descendants(self.process.pid)

    def memory_kills(self) -> int:
        return self.group.kills() if self.group else 0

    def memory_events(self) -> int | None:
        return self.group.events if self.group else None

    def memory_peak_kb(self, least: int) -> int:
        return self.group.peak_kb(least) if self.group else least

    @property
    def memory_capped(self) -> bool:
        return self.group is not None

    def memory_used(self) -> int:
        return memory_usage.in_use(list(self.processes()), self.spec.memory_bytes, self.shm, self.subordinates)

    @property
    def disk(self) -> Path:
        return self.work

    def disk_use(self, most: Use, known: Collection[File] | None) -> Use:
        use = disk_usage.below(self.work, most, NOT_OF_TASKS, self.subordinates)
        if known is not None and not use.exceeds(most):
            use.bytes += disk_usage.unlinked(self.processes(), self.work.stat().st_dev, known, self.subordinates)
        return use

    def disk_full(self) -> bool:
        return False

    async def destroy(self) -> None:
        """Kill the instance and remove its groups and its directory."""
        self.channel.close()
        self.listener.close()
        if self.shm is not None:
            os.close(self.shm)
            self.shm = None
        await end(self.process)
        await self.ended(self.process.pid)
        for group in (self.group, self.process_group):
            if group is not None:
                await group.remove()
        if self.door.url is not None:
            await remove_version_2(self.network_group)
        await remove_tree(self.work, self.subordinates)
        self.free(self.number)
