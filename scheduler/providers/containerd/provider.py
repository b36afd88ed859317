"""The provider of instances that are containers.

An instance is made in these steps: a disk of its own, on it a root file system, a directory with
two sockets, a container whose process 1 is a lackey, and the lackey's connection to the first of
the sockets. It is removed in the reverse order. All of it lies below `instances/3`, has the name of
the agent's state directory, and can be found again without saved state: mounts by their place,
containers by their label, control groups by their path. So the next agent can remove what a killed
one left.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import resource
import secrets
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from datapath import libexec
from scheduler.providers import PROGRAMS_ONLY, HostView, Instance, InstanceError, InstanceSpec, NoImageError
from scheduler.providers.containerd import mounts, rootfs
from scheduler.providers.containerd.client import ContainerdClient
from scheduler.providers.containerd.codec import Message
from scheduler.providers.containerd.daemon import Daemon
from scheduler.providers.containerd.instance import IMAGE, INITIALIZED, NUMBER, USER, ContainerInstance, Draft, meet
from scheduler.providers.containerd.spec import LACKEY, Container, Mount, runtime_spec
from scheduler.providers.images.store import ImageError, ImageStore
from scheduler.providers.instance_ids import Numbers, owner_id
from scheduler.providers.isolation import Isolation, of_containers
from scheduler.providers.linux.cgroups import make_everywhere, remove_everywhere, sweep_everywhere, weigh
from scheduler.providers.linux.loopback import CONFINED, Loopbacks, Reach, keeps_abstract_sockets_apart
from scheduler.providers.linux.removal import remove_tree
from scheduler.providers.linux.user_ranges import FIRST_USER, USERS, UserRanges
from scheduler.providers.process import PROBE, PROBE_BYTES
from scheduler.providers.programs import Programs
from scheduler.providers.tools_place import leave, tools_place

# The label that names the service to which a container belongs.
OWNER = "remora.owner"
# Seconds after which unused instances of a killed agent are ended; their lackeys wait no longer.
PATIENCE_SECONDS = 60.0
RUN = Path("/run/remora")
# The weight of all instances together against the machine's other processes, in processes per core.
PROCESSES_PER_CORE = 2
MOST_FILES = 65536
log = logging.getLogger("remora.agent")


@dataclass(frozen=True, slots=True)
class Survivor:
    """An instance whose agent was killed. Its lackey, process `pid`, waits for the next one."""

    draft: Draft
    pid: int


class ContainerdProvider:
    """Makes instances below `state_dir/instances` in containers of the daemon at `address`, or of one of our own."""

    name = "containerd"

    def __init__(
        self,
        state_dir: Path,
        address: str | None = None,
        host_view: HostView = PROGRAMS_ONLY,
        reach: Reach = CONFINED,
    ) -> None:
        self._state_dir = state_dir.resolve()
        self._host_view = HostView(host_view.show, (self._state_dir, *host_view.hide))
        self._root = self._state_dir / "instances"
        self._owner = owner_id(self._state_dir)
        self._group = f"/remora/{self._owner}"
        self._numbers = Numbers()
        self._users = UserRanges(self._state_dir)
        self._survivors: list[Survivor] = []
        self._stuck: dict[int, Draft] = {}  # instances that could not be removed, by number
        self._left: list[Draft] = []  # what a killed agent had begun
        self._expiry: asyncio.Task[None] | None = None
        self._loopbacks = Loopbacks(reach)
        self._shown: dict[str, Path] = {}
        self._tools = tools_place(self._state_dir)
        self._images = ImageStore(self._state_dir / "images")
        self._run = RUN / self._owner
        self._daemon = None if address else Daemon(self._state_dir / "containerd", self._run)
        self._client = ContainerdClient(address or self._daemon.address, self._run / "runc")  # type: ignore[union-attr]

    @property
    def isolation(self) -> Isolation:
        return of_containers(keeps_abstract_sockets_apart(), self._loopbacks.holds)

    async def prepare(self) -> None:
        """Connect to containerd, take over or remove what a killed agent left, and make one instance as a test."""
        for path in (self._root, self._run):
            path.mkdir(mode=0o711, parents=True, exist_ok=True)
        if self._daemon is not None:
            await self._daemon.start()
        version = await asyncio.to_thread(self._client.version)
        await self._take_stock()
        make_everywhere(self._group)
        # Each agent makes its own: survivors have those of the agent that made them.
        programs = await asyncio.to_thread(Programs, self._tools / secrets.token_hex(4), True)
        self._shown = {"bin": programs.tools, LACKEY: libexec("lackey"), **programs.shown}
        await (await self.create(InstanceSpec(PROBE_BYTES, PROBE_BYTES, pool=PROBE))).destroy()
        for group in (os.path.dirname(self._group), self._group):
            weigh(group, PROCESSES_PER_CORE * (os.cpu_count() or 1))
        self._expiry = asyncio.create_task(self._expire())
        told = {"containerd": version, "address": self._client.address, "survivors": len(self._survivors)}
        log.info("instances are containers", extra=told)

    async def close(self) -> None:
        """End all survivors and everything that was made, the daemon included."""
        if self._expiry is not None:
            self._expiry.cancel()
            await asyncio.gather(self._expiry, return_exceptions=True)
        await self._end_survivors()
        await asyncio.gather(*(self.remove(draft) for draft in list(self._stuck.values())))
        await sweep_everywhere(self._group)
        await remove_tree(self._tools)
        leave(self._tools, self._state_dir)
        self._users.close()
        self._client.close()
        if self._daemon is not None:
            await self._daemon.close()
        await asyncio.to_thread(shutil.rmtree, self._run, ignore_errors=True)
        with contextlib.suppress(OSError):
            RUN.rmdir()

    # -- what a killed agent left --------------------------------------------------------------

    async def _take_stock(self) -> None:
        """Keep the instances that live, and remove the remains of others."""
        for container in await asyncio.to_thread(self._client.containers, OWNER, self._owner):
            survivor = await asyncio.to_thread(self._survivor, container)
            if survivor is not None:
                self._survivors.append(survivor)
                continue
            number = int(container["id"].rpartition("-")[2])
            await self.remove(self._draft(number, InstanceSpec(0, 0), None, 0))
        self._left = list(self._stuck.values())
        kept = [*self._left, *(survivor.draft for survivor in self._survivors)]
        works = {draft.work for draft in kept}
        for path in (*mounts.mounted_below(self._root), *mounts.mounted_below(self._run)):
            if works.isdisjoint(path.parents):
                mounts.unmount(path)
        for stale in set(self._root.iterdir()) - works:
            await remove_tree(stale)
        if not works:
            await remove_tree(self._tools)
            await sweep_everywhere(self._group)
        self._numbers = Numbers([draft.number for draft in kept])

    def _survivor(self, container: Message) -> Survivor | None:
        """The survivor that a running container's labels describe, if all its parts exist."""
        try:
            labels = container["labels"]
            number = int(labels[NUMBER])
            user = int(labels.get(USER) or FIRST_USER + number * USERS)  # earlier releases had one range for all
            # An instance that is not initialized is unusable: tasks may have run there, and assets would follow their
            # links. Or no pool has had it.
            spec = InstanceSpec(**json.loads((self._root / str(number) / INITIALIZED).read_text()))
            draft = self._draft(number, spec, labels.get(IMAGE) or None, user)
            pid = self._client.running(draft.name)
            whole = draft.work / "root" in mounts.mounted_below(self._root)
            if pid is None or not whole:
                return None
            if draft.image is not None:
                draft.held.enter_context(self._images.using(draft.image))
        except FileNotFoundError:
            return None
        except (KeyError, TypeError, ValueError, OSError, InstanceError, ImageError) as error:
            log.warning("a leftover container is unusable", extra={"id": container["id"], "why": str(error)})
            return None
        return Survivor(draft, pid)

    async def _expire(self) -> None:
        await asyncio.sleep(PATIENCE_SECONDS)
        await self._end_survivors()
        await asyncio.gather(*(self.remove(draft) for draft in self._left))

    async def _end_survivors(self) -> None:
        ending, self._survivors = self._survivors, []
        await asyncio.gather(*(self.remove(survivor.draft) for survivor in ending))

    # -- making instances ----------------------------------------------------------------------

    async def create(self, spec: InstanceSpec) -> ContainerInstance:
        """Make an instance, or take over a survivor for the same pool. Raises NoImageError, InstanceError."""
        if (instance := await self._adopt(spec)) is not None:
            return instance
        image = self._image(spec)
        number = self._numbers.take()
        try:
            draft = self._draft(number, spec, image, self._users.first_user(number))
        except OSError as error:
            self._numbers.give_back(number)
            raise InstanceError(f"an instance can have no users of its own: {error}") from error
        try:
            return await self._make(draft)
        except (OSError, ValueError, ImageError, InstanceError) as error:
            await self.remove(draft)
            raise InstanceError(f"cannot make an instance in {draft.work}: {error}") from error
        except BaseException:
            await asyncio.shield(self.remove(draft))
            raise

    def _image(self, spec: InstanceSpec) -> str | None:
        """The newest image with a version in the range of `spec`; None is the machine itself. Raises NoImageError."""
        try:
            return self._images.resolve(spec.image)[1]
        except ImageError as error:
            raise NoImageError(str(error)) from error

    def has_survivor(self, spec: InstanceSpec) -> bool:
        return any(survivor.draft.spec == spec for survivor in self._survivors)

    def assign(self, instance: Instance, spec: InstanceSpec) -> bool:
        assert isinstance(instance, ContainerInstance)
        if not spec.same_tiers(instance.spec) or self._image(spec) != instance.draft.image:
            return False
        instance.draft = replace(instance.draft, spec=spec)
        return True

    def _draft(self, number: int, spec: InstanceSpec, image: str | None, first_user: int) -> Draft:
        return Draft(number, spec, f"remora-{self._owner}-{number}", self._root / str(number), image, first_user)

    async def _adopt(self, spec: InstanceSpec) -> ContainerInstance | None:
        """Take over an instance that a killed agent had made for the same pool, if its lackey still answers."""
        for survivor in [each for each in self._survivors if each.draft.spec == spec]:
            self._survivors.remove(survivor)
            try:
                for path in (survivor.draft.work / "input").iterdir():
                    await remove_tree(path)
                door = await asyncio.to_thread(self._loopbacks.give, survivor.pid, self._group_of(survivor.draft))
                instance = await meet(survivor.draft, survivor.pid, door, self.remove)
                weigh(self._group_of(survivor.draft))  # its agent may have died before it did so
                return instance
            except (OSError, ValueError, InstanceError) as error:
                log.warning(
                    "a leftover instance does not answer", extra={"instance": survivor.draft.name, "why": str(error)}
                )
                await self.remove(survivor.draft)
        return None

    async def _make(self, draft: Draft) -> ContainerInstance:
        root = None if draft.image is None else draft.held.enter_context(self._images.using(draft.image))
        for part in ("", "input", "control"):
            (draft.work / part).mkdir(mode=0o755)
        for name, path in self._shown.items():
            make_place(draft.control / name, path)
        (draft.work / "assets").symlink_to("root/assets")
        plan = rootfs.Plan(draft.work, root, draft.spec.disk_bytes, draft.first_user, USERS)
        await asyncio.to_thread(rootfs.build, plan)
        machine = rootfs.machine_mounts(self._host_view) if root is None else ()
        shared = (*machine, *rootfs.network_files())
        pid = await asyncio.to_thread(self._create_container, draft, shared)
        door = await asyncio.to_thread(self._loopbacks.give, pid, self._group_of(draft))
        await asyncio.to_thread(self._client.start, draft.name)
        instance = await meet(draft, pid, door, self.remove)
        # it was made at a higher weight than running tasks: from now on it has its normal weight
        weigh(self._group_of(draft))
        return instance

    def _create_container(self, draft: Draft, shared: tuple[Mount, ...]) -> int:
        """Make a container that does not run yet; returns the id of its process 1."""
        with rootfs.within_reach(draft.work / "root", self._run / f"root-{draft.number}") as root:
            container = Container(
                root=root,
                control=draft.control,
                inputs=draft.work / "input",
                shown=self._shown,
                group=self._group_of(draft),
                first_user=draft.first_user,
                users=USERS,
                memory_bytes=draft.spec.memory_bytes,
                disk_bytes=draft.spec.disk_bytes,
                open_files=min(MOST_FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),
                shared=shared,
            )
            draft.words.touch(mode=0o600)
            labels = {OWNER: self._owner, **draft.labels}
            return self._client.create(draft.name, labels, runtime_spec(container), draft.first_user, draft.words)

    def _group_of(self, draft: Draft) -> str:
        return f"{self._group}/{draft.number}"

    async def remove(self, draft: Draft) -> bool:
        """End a container and remove all that was made for it. If that fails it is logged, and the result is False."""
        try:
            try:
                await asyncio.to_thread(self._client.remove, draft.name)
            finally:  # even if containerd still knows it, the image is not used any more
                for path in await asyncio.to_thread(mounts.mounted_below, draft.work):
                    await asyncio.to_thread(mounts.unmount, path)
        except (OSError, InstanceError) as error:
            # Its number is not reused before it is gone, so its remains disturb no other instance.
            self._stuck[draft.number] = draft
            told = {"instance": draft.name, "why": str(error), "stuck": len(self._stuck)}
            log.error("an instance could not be removed", extra=told)
            return False
        finally:
            draft.held.close()
        await remove_everywhere(self._group_of(draft))  # the runtime removes only those it knows of
        await remove_tree(draft.work)
        self._stuck.pop(draft.number, None)
        self._numbers.give_back(draft.number)
        return True


def make_place(place: Path, source: Path) -> None:
    """Make the file or directory on which `source` can be mounted."""
    place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    if source.is_dir():
        place.mkdir(mode=0o755)
    else:
        place.touch(mode=0o444)
