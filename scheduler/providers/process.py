"""Instances as plain processes of this machine: the default, which every user can run.

An instance is a lackey that the agent starts. Where the kernel allows it, the lackey makes namespaces and a root file
system around itself. If the agent is root, each instance has 65536 users of its own (`user_ranges`); else all instances
have the same 65536 if there are subordinate ids (`subordinate_users`), or root alone. Elsewhere (in an ordinary
container, for example) the lackey is only a subreaper, and its tasks run as the agent's own user, without capabilities;
no other user can reach their input. There Landlock, where the kernel has it, restricts tasks to the machine's programs
and their own directory. Which of the two holds does not change while the agent runs, so it is tried once, in `prepare`,
and there is no silent fallback after that. READY reports which system call filters and Landlock rules are in force
(`Holds`). If the agent is root each instance also has a loopback of its own (`loopback`); else it shares the machine's.

The memory cap is a control group where one is writable; elsewhere the agent measures `memory_used`. The cap on
processes is a control group too; elsewhere it is a limit that the kernel counts by user. The lackey joins its groups
while it builds the instance, and the instance's process 1 when it is ready: no process of a task runs before that. The
disk cap is a limit on each file, and the agent's accounting.

Everything of instance 3 is below `instances/3`. The lackeys of a killed agent die with it, since they ask the kernel
for that (so a thread that calls `create` must live as long as the agent). A directory and an empty group remain.
"""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
from pathlib import Path

from datapath import libexec, passing
from datapath.passing import Ready
from scheduler.common import child
from scheduler.model import semver
from scheduler.model.tiers import IMAGES
from scheduler.providers import (
    MAX_PROCESSES,
    PROGRAMS_ONLY,
    Door,
    HostView,
    Instance,
    InstanceError,
    InstanceSpec,
    NoImageError,
)
from scheduler.providers.instance_ids import Numbers, owner_id
from scheduler.providers.isolation import Hold, Isolation, of_processes
from scheduler.providers.lackey_process import end, first_word
from scheduler.providers.linux.cgroups import (
    MemoryGroup,
    MemoryGroups,
    ProcessGroups,
    groups_of,
    open_groups,
    open_process_groups,
    remove_version_2,
    sweep_everywhere,
    sweep_groups,
)
from scheduler.providers.linux.loopback import CONFINED, Loopbacks, Reach, version_2_group
from scheduler.providers.linux.process_tree import adopt_orphans, end_orphans
from scheduler.providers.linux.removal import remove_tree
from scheduler.providers.linux.subordinate_users import SubordinateUsers, subordinate_users
from scheduler.providers.linux.user_ranges import UserRanges
from scheduler.providers.process_instance import ProcessInstance
from scheduler.providers.programs import Programs
from scheduler.providers.tools_place import leave, tools_place

PROBE_BYTES = 64 << 20
READY_SECONDS = 20.0
PROBE = "probe"
log = logging.getLogger("remora.agent")


class ProcessProvider:
    """Makes instances below `state_dir/instances`; tasks see nothing of `state_dir`."""

    name = "process"

    def __init__(
        self,
        state_dir: Path,
        isolation: str = "auto",
        groups: bool = True,
        adopt: bool = False,
        host_view: HostView = PROGRAMS_ONLY,
        reach: Reach = CONFINED,
    ) -> None:
        """`adopt`: this process has no children but ours, so the children of a killed lackey may be ended as such."""
        self._state_dir = state_dir.resolve()
        self._root = self._state_dir / "instances"
        self._root.mkdir(mode=0o711, parents=True, exist_ok=True)
        self._tools = tools_place(self._state_dir)
        self._isolation = isolation
        self._adopt = adopt
        self._host_view = host_view
        self._loopbacks = Loopbacks(reach)
        self._lackeys: set[int] = set()
        self._numbers = Numbers()
        self._forking = asyncio.Lock()  # a lackey that is not in the set yet must not be taken for an orphan
        owner = owner_id(self._state_dir)
        self.groups: MemoryGroups | None = open_groups(owner) if groups else None
        self.process_groups: ProcessGroups | None = open_process_groups(owner) if groups else None
        self._users = UserRanges(self._state_dir)
        self._subordinates: SubordinateUsers | None = None
        self._ready: Ready | None = None  # of the probe in `prepare`
        self._groups_path = f"/remora/{owner}"
        self._programs: Programs | None = None  # made once it is known what tasks see
        self._note = self._state_dir / "cgroup"  # the path of our groups, since the next agent may run in another group

    @property
    def isolation(self) -> Isolation:
        """The facts of the probed instance, and of the caps in force."""
        assert self._ready is not None
        caps = {
            Hold.OWNERS: self._ready.namespaces and (os.geteuid() == 0 or self._subordinates is not None),
            Hold.MEMORY: self.groups is not None,
            Hold.NETWORK: self._loopbacks.holds,
            # A limit that root sets applies to each user of the instance, not to their sum.
            Hold.PROCESSES: self.process_groups is not None or (self._counts_by_user and os.geteuid() != 0),
        }
        return of_processes(self._ready, os.geteuid() == 0, (hold for hold, is_so in caps.items() if is_so))

    async def prepare(self) -> None:
        """Sweep, probe what the kernel allows, and install the programs for tasks."""
        if os.geteuid() != 0 and self._isolation != "subreaper":
            self._subordinates = await asyncio.to_thread(subordinate_users)
        await self._sweep()
        self._ready = await self._probe()
        self._isolation = "namespaces" if self._ready.namespaces else "subreaper"
        self._numbers = Numbers()
        self._programs = await asyncio.to_thread(Programs, self._tools, self._ready.namespaces)
        self._adopt = self._adopt and not self._ready.namespaces
        if self._adopt:
            adopt_orphans()

    async def _probe(self) -> Ready:
        """Make an instance to find out what the kernel allows."""
        instance = await self._make(PROBE, self._numbers.take(), InstanceSpec(PROBE_BYTES, PROBE_BYTES))
        await instance.destroy()
        if instance.ready.why:
            log.info("the kernel gives no namespaces", extra={"refused": instance.ready.why})
        return instance.ready

    async def _sweep(self) -> None:
        """Remove what a killed agent has left."""
        for stale in self._root.iterdir():
            await remove_tree(stale, self._subordinates)
            if stale.exists():
                raise InstanceError(f"cannot remove {stale}: it has files of users that only newuidmap can map")
        ours = [groups.root for groups in (self.groups, self.process_groups) if groups is not None]
        if os.geteuid() == 0:
            await sweep_everywhere(self._groups_path, keep=ours)
        left = self._note.read_text().splitlines() if self._note.exists() else []
        for root in map(Path, filter(None, left)):
            await sweep_groups(root, keep_root=root in ours)
        if ours:
            self._note.write_text("".join(f"{root}\n" for root in ours))

    async def close(self) -> None:
        """Remove all groups, the note about them, and the claim of users."""
        if self._loopbacks.works:
            await sweep_everywhere(self._groups_path)
        for groups in (self.groups, self.process_groups):
            if groups is not None:
                groups.close()
        self._note.unlink(missing_ok=True)
        self._users.close()
        leave(self._tools, self._state_dir)
        if self._subordinates is not None:
            self._subordinates.close()

    @property
    def _counts_by_user(self) -> bool:
        """Whether processes are capped by a limit per user. Without namespaces that user would be the agent's own."""
        return self.process_groups is None and self._isolation != "subreaper"

    async def _ended(self, lackey: int) -> None:
        """End the tasks of a killed subreaper, which are our children now.

        With namespaces the kernel has ended them.
        """
        self._lackeys.discard(lackey)
        if self._adopt:
            async with self._forking:
                await end_orphans(self._lackeys)

    async def create(self, spec: InstanceSpec) -> ProcessInstance:
        check_image(spec)
        number = self._numbers.take()
        return await self._make(str(number), number, spec)

    def has_survivor(self, spec: InstanceSpec) -> bool:
        return False  # lackeys die with their agent

    def assign(self, instance: Instance, spec: InstanceSpec) -> bool:
        check_image(spec)
        assert isinstance(instance, ProcessInstance)
        if not spec.same_tiers(instance.spec):
            return False
        instance.spec = spec
        return True

    async def _make(self, name: str, number: int, spec: InstanceSpec) -> ProcessInstance:
        work = self._root / name
        try:
            return await self._create(number, spec, work)
        except (OSError, ValueError) as error:
            await remove_tree(work, self._subordinates)
            self._numbers.give_back(number)
            raise InstanceError(f"cannot make an instance in {work}: {error}") from error
        except BaseException:
            await asyncio.shield(remove_tree(work, self._subordinates))
            self._numbers.give_back(number)
            raise

    async def _create(self, number: int, spec: InstanceSpec, work: Path) -> ProcessInstance:
        for part in ("", "input", "assets"):
            (work / part).mkdir(mode=0o755)
        own_users = os.geteuid() == 0 and self._isolation != "subreaper"
        first_user = self._users.first_user(number) if own_users else None
        listener = passing.listen(work / "agent.sock")
        channel, theirs = passing.pair()
        process = group = process_group = opening = shm = None
        try:
            if self.groups is not None:
                group = self.groups.create(number, spec.memory_bytes)
            if self.process_groups is not None:
                process_group = self.process_groups.create(number, MAX_PROCESSES)
            async with self._forking:
                process = await self._spawn(theirs, work, spec, first_user, group)
                self._lackeys.add(process.pid)
            caps = [cap for cap in (group, process_group) if cap is not None]
            for cap in caps:
                cap.add(process.pid)
            # concurrently: the lackey builds the instance
            if first_user is not None and self._isolation == "namespaces":
                opening = asyncio.create_task(self._open_loopback(number, process.pid))
            ready, shm = await asyncio.wait_for(first_word(channel, process), READY_SECONDS)
            for cap in caps:
                cap.add(ready.pid)
            if opening is None and mapped(first_user, ready):
                opening = asyncio.create_task(self._open_loopback(number, process.pid))
            door, network = await opening if opening is not None else (Door(), "")
            if door.url is not None:
                await asyncio.to_thread(version_2_group, ready.pid, network)
        except BaseException as error:
            listener.close()
            channel.close()
            if shm is not None:
                os.close(shm)
            if opening is not None:
                await asyncio.gather(opening, return_exceptions=True)
            if process is not None:
                await end(process)
                await self._ended(process.pid)
            for each in (group, process_group):
                if each is not None:
                    await each.remove()
            await remove_version_2(self._network_group(number))
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
            shm,
            first_user if ready.namespaces else None,
            self._subordinates if ready.namespaces else None,
            door,
            group,
            process_group,
            self._network_group(number),
            self._tools,
            self._ended,
            number,
            self._numbers.give_back,
        )

    def _network_group(self, number: int) -> str:
        """The version-2 group of an instance that needs none for other reasons."""
        return f"{self._groups_path}/{number}"

    async def _open_loopback(self, number: int, pid: int) -> tuple[Door, str]:
        """Give an instance whose lackey is `pid` a loopback; returns its door and its version-2 group.

        Raises OSError.
        """
        group = groups_of(pid).get("")
        if group is None or group == groups_of(os.getpid()).get(""):
            group = self._network_group(number)
        return await asyncio.to_thread(self._loopbacks.give, pid, group), group

    async def _spawn(
        self, sock: int, work: Path, spec: InstanceSpec, first_user: int | None, group: MemoryGroup | None
    ) -> asyncio.subprocess.Process:
        options = [
            f"--socket={sock}",
            f"--work={work}",
            *(f"--show-dir={path}" for path in self._host_view.show),
            *(f"--hide={path}" for path in (self._state_dir, *self._host_view.hide) if path.exists()),
            f"--agent-socket={work / 'agent.sock'}",
            f"--isolation={self._isolation}",
            f"--disk-bytes={spec.disk_bytes}",
        ]
        if first_user is not None:
            options.append(f"--uid={first_user}")
        elif self._subordinates is not None:
            options.append(f"--users={self._subordinates.place}")
        if group is not None:
            options.append(f"--group={group.path}")
        if self._counts_by_user:
            options.append(f"--processes={MAX_PROCESSES}")
        if self._programs is not None:
            options.append(f"--tools={self._programs.tools}")
            options += [f"--show={name}={path}" for name, path in self._programs.shown.items()]
        return await child.spawn(libexec("lackey"), *options, pass_fds=(sock,), stdout=subprocess.DEVNULL, env={})


def check_image(spec: InstanceSpec) -> None:
    """Check that the machine, which serves as every published version, has a version wanted. Raises NoImageError."""
    if semver.newest(IMAGES, spec.image) is None:
        raise NoImageError(f"processes have no image in {spec.image!r}")


def mapped(first_user: int | None, ready: Ready) -> bool:
    """Whether an instance has users of its own. Then the agent is root, and may load programs into the kernel."""
    return first_user is not None and ready.namespaces
