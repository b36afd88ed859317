"""Instances as plain processes of this machine: the default, and for everybody.

An instance is a lackey that we start. Where the kernel allows it, the lackey makes
namespaces and a root file system around itself, and if the agent is root, each instance has
65536 users of its own, so that one instance is nobody in another. Elsewhere (an ordinary
container, say) the lackey is only a subreaper, and its tasks are our own user, without
capabilities: nobody else could reach their input. Which of the two it is does not change
while we run, so it is tried once, in `prepare`, and never silently after that.

The memory cap is a cgroup where we may write one, else the agent watches `memory_used`. The
lackey joins its cgroup when it is ready: until then nothing of a task's has run. The disk
cap is a limit on each file, and the agent's accounting.

Everything of instance 3 is below `instances/3`. An agent that is killed takes its lackeys
with it, since they ask the kernel for that (so whoever calls `create` must be a thread that
lives as long as the agent); what stays is a directory and an empty cgroup,
which `sweep` removes when the next agent starts.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import shutil
import signal
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from datapath import libexec, passing
from datapath.passing import Channel, Kind, Listener, Ready
from scheduler.model import semver
from scheduler.model.tiers import IMAGES
from scheduler.providers import Door, InstanceError, InstanceSpec, NoImageError, View
from scheduler.providers.cgroups import MemoryGroup, MemoryGroups, open_groups, sweep_groups
from scheduler.providers.disk import bytes_below
from scheduler.providers.numbers import Numbers
from scheduler.providers.processes import adopt_orphans, descendants, end_orphans, resident_bytes
from scheduler.providers.programs import Programs
from scheduler.providers.waiting import readable

USERS = 65536
# Far above the users of any machine, and below the sign bit, which some programs mind.
FIRST_USER = 0x60000000
MAX_INSTANCES = (0x7FFF0000 - FIRST_USER) // USERS
PROBE_BYTES = 64 << 20
READY_SECONDS = 20.0
# A lackey whose socket is closed ends its tasks and then itself; if it does not, it is told, then killed.
END_SECONDS = 3.0
PROBE = "probe"
WARNING = (
    "tasks run without namespaces, as the user of this service: they can see and change whatever it can, its own files "
    "and those of other tasks included, and only its mode protects their input"
)
log = logging.getLogger("remora.agent")
INSIDE = View(home="/root", inputs="/manta", tools="/.remora/bin", agent_socket="/.remora/agent.sock")


@dataclass(slots=True)
class ProcessInstance:
    """A lackey that is our child. See `scheduler.providers.Instance`."""

    channel: Channel
    listener: Listener
    work: Path
    spec: InstanceSpec
    process: asyncio.subprocess.Process
    ready: Ready
    first_user: int | None
    group: MemoryGroup | None
    tools: Path
    ended: Callable[[int], Awaitable[None]]  # to be called when the lackey is gone
    number: int
    free: Callable[[int], None]  # to be called when nothing of it is left

    @property
    def door(self) -> Door:
        return Door()

    @property
    def view(self) -> View:
        if self.ready.namespaces:
            return INSIDE
        work = str(self.work)
        return View(work, f"{work}/input", str(self.tools), f"{work}/agent.sock")

    @property
    def isolated(self) -> bool:
        return self.ready.namespaces

    @property
    def initialized(self) -> bool:
        return False

    def set_initialized(self) -> None:
        """Nobody will ask: it dies with us."""

    def owns_user(self, uid: int) -> bool | None:
        return None if self.first_user is None else self.first_user <= uid < self.first_user + USERS

    def processes(self) -> Iterator[int]:
        return descendants(self.process.pid)

    def memory_kills(self) -> int:
        return self.group.kills() if self.group else 0

    def memory_events(self) -> int | None:
        return self.group.events if self.group else None

    def memory_peak_kb(self, least: int) -> int:
        return self.group.peak_kb(least) if self.group else least

    def memory_used(self) -> int | None:
        return None if self.group else resident_bytes(self.processes())

    def disk_used(self) -> int:
        return bytes_below(self.work)

    def disk_full(self) -> bool:
        return False

    async def destroy(self) -> None:
        self.channel.close()
        self.listener.close()
        await end(self.process)
        await self.ended(self.process.pid)
        if self.group is not None:
            await self.group.remove()
        await remove_tree(self.work)
        self.free(self.number)


class ProcessProvider:
    """Makes instances below `state_dir/instances`; tasks see nothing of `state_dir`."""

    name = "process"

    def __init__(self, state_dir: Path, isolation: str = "auto", groups: bool = True, adopt: bool = False) -> None:
        """`adopt`: this process has no children but ours, so those of a lackey that was killed may be ended as such."""
        self._state_dir = state_dir.resolve()
        self._root = self._state_dir / "instances"
        self._root.mkdir(mode=0o711, parents=True, exist_ok=True)
        self._tools = self._state_dir / "tools"
        self._isolation = isolation
        self._adopt = adopt
        self._lackeys: set[int] = set()
        self._numbers = Numbers()
        self._forking = asyncio.Lock()  # a lackey that is not in the set yet is no orphan
        owner = hashlib.sha256(os.fsencode(self._state_dir)).hexdigest()[:16]
        self.groups: MemoryGroups | None = open_groups(owner) if groups else None
        self._programs: Programs | None = None  # made when it is known what tasks will see
        self._note = self._state_dir / "cgroup"  # where our groups are: the next agent may run in another place

    async def prepare(self) -> None:
        await self._sweep()
        if self._isolation == "auto":
            await self._choose_isolation()
        self._programs = await asyncio.to_thread(Programs, self._tools, self._isolation == "namespaces")
        self._adopt = self._adopt and self._isolation == "subreaper"
        if self._adopt:
            adopt_orphans()

    async def _choose_isolation(self) -> None:
        """Make an instance, only to see what the kernel says."""
        instance = await self._make(PROBE, self._numbers.take(), InstanceSpec(PROBE_BYTES, PROBE_BYTES))
        ready = instance.ready
        await instance.destroy()
        self._isolation = "namespaces" if ready.namespaces else "subreaper"
        if not ready.namespaces:
            log.warning(WARNING, extra={"refused": ready.why})

    async def _sweep(self) -> None:
        for stale in self._root.iterdir():
            await remove_tree(stale)
        ours = self.groups.root if self.groups is not None else None
        if self._note.exists() and (left := Path(self._note.read_text())).name:
            await sweep_groups(left, keep_root=left == ours)
        if ours is not None:
            self._note.write_text(str(ours))

    async def close(self) -> None:
        if self.groups is not None:
            self.groups.close()
            self._note.unlink(missing_ok=True)

    async def _ended(self, lackey: int) -> None:
        """A killed subreaper has left its tasks to us. With namespaces the kernel ended them."""
        self._lackeys.discard(lackey)
        if self._adopt:
            async with self._forking:
                await end_orphans(self._lackeys)

    async def create(self, spec: InstanceSpec) -> ProcessInstance:
        if semver.newest(IMAGES, spec.image) is None:  # the machine is whatever was published
            raise NoImageError(f"processes have no image in {spec.image!r}")
        number = self._numbers.take()
        return await self._make(str(number), number, spec)

    async def _make(self, name: str, number: int, spec: InstanceSpec) -> ProcessInstance:
        work = self._root / name
        try:
            return await self._create(number, spec, work)
        except (OSError, ValueError) as error:
            await remove_tree(work)
            self._numbers.give_back(number)
            raise InstanceError(f"cannot make an instance in {work}: {error}") from error
        except BaseException:
            await asyncio.shield(remove_tree(work))
            self._numbers.give_back(number)
            raise

    async def _create(self, number: int, spec: InstanceSpec, work: Path) -> ProcessInstance:
        for part in ("", "input", "assets"):
            (work / part).mkdir(mode=0o755)
        if number >= MAX_INSTANCES:
            raise ValueError(f"this machine has users for {MAX_INSTANCES} instances only")
        first_user = FIRST_USER + number * USERS if os.geteuid() == 0 and self._isolation != "subreaper" else None
        listener = passing.listen(work / "agent.sock")
        channel, theirs = passing.pair()
        process = group = None
        try:
            async with self._forking:
                process = await self._spawn(theirs, work, spec, first_user)
                self._lackeys.add(process.pid)
            ready = await asyncio.wait_for(first_word(channel, process), READY_SECONDS)
            if self.groups is not None:
                group = self.groups.create(number, spec.memory_bytes)
                for pid in {process.pid, ready.pid}:
                    group.add(pid)
        except BaseException as error:
            listener.close()
            channel.close()
            if process is not None:
                await end(process)
                await self._ended(process.pid)
            if group is not None:
                await group.remove()
            if isinstance(error, TimeoutError):
                raise ValueError(f"the lackey was not ready within {READY_SECONDS:.0f} s") from None
            raise
        finally:
            os.close(theirs)
        return ProcessInstance(
            channel,
            listener,
            work,
            spec,
            process,
            ready,
            first_user if ready.namespaces else None,
            group,
            self._tools,
            self._ended,
            number,
            self._numbers.give_back,
        )

    async def _spawn(
        self, sock: int, work: Path, spec: InstanceSpec, first_user: int | None
    ) -> asyncio.subprocess.Process:
        options = [
            f"--socket={sock}",
            f"--work={work}",
            f"--hide={self._state_dir}",
            f"--agent-socket={work / 'agent.sock'}",
            f"--isolation={self._isolation}",
            f"--disk-bytes={spec.disk_bytes}",
        ]
        if first_user is not None:
            options.append(f"--uid={first_user}")
        if self._programs is not None:
            options.append(f"--tools={self._programs.tools}")
            options += [f"--show={name}={path}" for name, path in self._programs.shown.items()]
        return await asyncio.create_subprocess_exec(
            libexec("lackey"), *options, pass_fds=(sock,), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env={}
        )


async def first_word(channel: Channel, process: asyncio.subprocess.Process) -> Ready:
    """The lackey's READY. Raises ValueError if it ends or says something else."""
    await readable(channel.fileno())
    message = channel.receive()
    if message is None:
        raise ValueError(f"the lackey ended with status {await process.wait()}; its reason is in the agent's log")
    if message.kind != Kind.READY:
        raise ValueError(f"the lackey began with message {message.kind}")
    return passing.decode_ready(message.payload)


async def end(process: asyncio.subprocess.Process) -> None:
    """Wait for a lackey whose socket is closed, and for all that runs below it; help it on if that takes long."""
    if await has_ended(process):
        return
    send_signal([process.pid], signal.SIGTERM)
    if await has_ended(process):
        return
    # A subreaper that is killed takes only itself away.
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


async def remove_tree(path: Path) -> None:
    """Remove what tasks left, however deep and whatever its permissions; never raises."""
    with contextlib.suppress(OSError, RecursionError):
        await asyncio.to_thread(shutil.rmtree, path)
    if path.exists():
        if os.geteuid() != 0:
            await run("chmod", "-R", "u+rwX", str(path))
        await run("rm", "-rf", "--one-file-system", str(path))


async def run(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(*command, stderr=subprocess.DEVNULL)
    await process.wait()
