"""Caps on memory and on the number of processes by control groups, of version 1 or 2, whichever is writable here.

A `MemoryGroups` is a subtree `remora/<owner>` with a group for each instance; `open_groups` finds a
place for it or returns None, and then memory is capped by measuring. `ProcessGroups` are the same
for the number of processes: another subtree in version 1, where each controller has a hierarchy of
its own, and the same groups in version 2. An ordinary user has groups where a part of the version-2
hierarchy is the user's to write, as in a service of the user's systemd. The kernel forbids a
version-2 group to have both processes and children with controllers, so there the subtree goes
beside our own group, and in version 1 below it (which keeps us under whatever cap we run under
ourselves).

`owner` names the state directory, so that an agent that starts again can remove the groups of its
killed predecessor, and only those.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

REMOVE_TRIES = 50
# Another agent that ends removes the empty parent of all groups, at worst just before we make our group in it.
MAKE_TRIES = 100
# By version of control groups: the files, the weight of one process in them, and their maximum.
WEIGHTS = {
    1: [("cpu.shares", 1024, 1 << 18), ("blkio.bfq.weight", 100, 1000), ("blkio.weight", 100, 1000)],
    2: [("cpu.weight", 100, 10_000), ("io.weight", 100, 10_000), ("io.bfq.weight", 100, 1000)],
}


class MemoryGroup:
    """The memory group of one instance. `peak_kb` is called after every task, so its file stays open.

    `events` is the file in which the kernel counts the processes that it killed for lack of memory.
    """

    def __init__(self, path: Path, version: int) -> None:
        self.path = path
        self.events = os.open(path / ("memory.events" if version == 2 else "memory.oom_control"), os.O_RDONLY)
        self._peak = open_peak(path / ("memory.peak" if version == 2 else "memory.max_usage_in_bytes"))
        self._base = 0  # bytes in use when the peak was last reset

    def add(self, pid: int) -> None:
        _write(f"{self.path}/cgroup.procs", str(pid))

    def kills(self) -> int:
        """Processes killed for lack of memory since the group was made."""
        _, found, rest = os.pread(self.events, 4096, 0).partition(b"\noom_kill ")
        return int(rest.split(None, 1)[0]) if found else 0

    def peak_kb(self, least: int) -> int:
        """KiB in use at most since the last call, but no less than `least`.

        The kernel counts file cache too, which it could reclaim: as much as there is of it now is subtracted.
        """
        if self._peak is None:
            return least
        peak = self._read_peak()
        os.pwrite(self._peak, b"0", 0)  # reset it to what is in use now
        base, self._base = self._base, self._read_peak()
        if peak - base <= least << 10:  # nearly always: reading the statistics takes longer than all the rest
            return least
        return max(least, peak - self._file_cache() >> 10)

    def _read_peak(self) -> int:
        assert self._peak is not None
        return int(os.pread(self._peak, 32, 0))

    def _file_cache(self) -> int:
        """Bytes of file cache, without memory file systems."""
        stat = dict(line.split() for line in read(f"{self.path}/memory.stat").splitlines())
        return int(stat.get("file", stat.get("cache", "0"))) - int(stat.get("shmem", "0"))

    def close(self) -> None:
        os.close(self.events)
        if self._peak is not None:
            os.close(self._peak)

    async def remove(self) -> None:
        self.close()
        await remove_group(self.path)


def open_peak(path: Path) -> int | None:
    """The file that holds a resettable peak; None if the kernel has none."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        os.pwrite(fd, b"0", 0)
    except OSError:
        os.close(fd)
        return None
    return fd


async def remove_group(path: Path) -> None:
    """Remove a group once the kernel has released its last process."""
    for _ in range(REMOVE_TRIES):
        try:
            path.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            await asyncio.sleep(0.02)
        else:
            return


class ProcessGroup:
    """The group of one instance that caps the number of its processes and threads."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, pid: int) -> None:
        _write(f"{self.path}/cgroup.procs", str(pid))

    async def remove(self) -> None:
        await remove_group(self.path)


class ProcessGroups:
    """The process groups of one agent."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def create(self, number: int, limit: int) -> ProcessGroup:
        """Make a group of at most `limit` processes and threads. Raises OSError."""
        path = self.root / str(number)
        path.mkdir(exist_ok=True)
        _write(f"{path}/pids.max", str(limit))
        return ProcessGroup(path)

    def close(self) -> None:
        """Remove the subtree if it is empty."""
        remove_empty(self.root)


class MemoryGroups:
    """The memory groups of one agent."""

    def __init__(self, root: Path, version: int) -> None:
        self.root = root
        self.version = version

    def create(self, number: int, limit: int) -> MemoryGroup:
        """Make a group of at most `limit` bytes of memory, swap included. Raises OSError."""
        path = self.root / str(number)
        path.mkdir(exist_ok=True)
        if self.version == 2:
            _write(f"{path}/memory.max", str(limit))
            _try_write(f"{path}/memory.swap.max", "0")
        else:
            _write(f"{path}/memory.limit_in_bytes", str(limit))
            _try_write(f"{path}/memory.memsw.limit_in_bytes", str(limit))
        return MemoryGroup(path, self.version)

    def close(self) -> None:
        """Remove the subtree if it is empty."""
        remove_empty(self.root)


async def sweep_groups(root: Path, keep_root: bool) -> None:
    """Remove the groups of a killed agent below `root`, and `root` itself; groups with processes in them stay."""
    await asyncio.gather(*(remove_group(path) for path in root.glob("*/")))
    if not keep_root:
        remove_empty(root)


def remove_empty(root: Path) -> None:
    with contextlib.suppress(OSError):
        root.rmdir()
        root.parent.rmdir()


def memory_group_of(pid: int) -> MemoryGroup:
    """The memory group of a process that was put there by a container's runtime. Raises OSError."""
    own = groups_of(pid)
    for point, version, controllers in hierarchies():
        if version == 1 and "memory" in controllers:
            return MemoryGroup(Path(point + own["memory"]), 1)
    for point, version, _ in hierarchies():
        if version == 2:
            return MemoryGroup(Path(point + own[""]), 2)
    raise FileNotFoundError("no control group caps memory here")


def weigh(path: str, processes: int = 1) -> None:
    """Give the group `path` the share of processors and disks that so many processes beside it have.

    By default a group counts as one process, however many it has: on a busy machine its tasks would nearly starve.
    Groups get shares of a disk only if its scheduler is BFQ, or the kernel has a cost model of it (version 2).
    """
    for point, version, _ in hierarchies():
        for name, usual, most in WEIGHTS[version]:
            _try_write(f"{point}{path}/{name}", str(min(usual * processes, most)))


def make_everywhere(path: str) -> None:
    """Make the group `path` in every hierarchy that is ours to write.

    As long as it is there, its parents stay: other agents remove them only if they are empty.
    """
    for point, _, _ in hierarchies():
        with contextlib.suppress(OSError):
            make_group(Path(point + path))


def make_group(path: Path) -> None:
    """Make a group and its parents, which other agents may be removing. Raises OSError."""
    for tries_left in reversed(range(MAKE_TRIES)):
        try:
            path.mkdir(parents=True, exist_ok=True)
        except FileNotFoundError:
            if not tries_left:
                raise
        else:
            return


async def sweep_everywhere(path: str, keep: Collection[Path] = ()) -> None:
    """Remove the groups below `path` in every hierarchy, and its empty parents, except those in `keep`."""
    roots = [Path(point + path) for point, _, _ in hierarchies()]  # at once: each waits for its last processes
    await asyncio.gather(*(sweep_groups(root, keep_root=root in keep) for root in roots))


async def remove_everywhere(path: str) -> None:
    """Remove the group `path` in every hierarchy, after its last process."""
    await asyncio.gather(*(remove_group(Path(point + path)) for point, _, _ in hierarchies()))


async def remove_version_2(path: str) -> None:
    """Remove the group `path` of version 2, if there is one, after its last process."""
    for point, version, _ in hierarchies():
        if version == 2:
            await remove_group(Path(point + path))


def open_groups(owner: str) -> MemoryGroups | None:
    """A subtree for `owner` that caps memory, or None if no memory controller can be used here."""
    found = open_subtree(owner, "memory", {1: "memory.limit_in_bytes", 2: "memory.max"})
    return None if found is None else MemoryGroups(*found)


def open_process_groups(owner: str) -> ProcessGroups | None:
    """A subtree for `owner` that caps the number of processes, or None if that controller cannot be used."""
    found = open_subtree(owner, "pids", {1: "pids.max", 2: "pids.max"})
    return None if found is None else ProcessGroups(found[0])


def open_subtree(owner: str, controller: str, files: dict[int, str]) -> tuple[Path, int] | None:
    """A directory for the groups of `owner` in which `controller` can be used, and the version of control groups.

    `files`: by version, the file that each group has if the controller works.
    """
    for base, version in places(controller):
        root = base / "remora" / owner
        try:
            make_group(root)
            if version == 2:
                for above in (base, base / "remora", root):
                    (above / "cgroup.subtree_control").write_text(f"+{controller}")
            (root / "probe").mkdir(exist_ok=True)
            usable = (root / "probe" / files[version]).exists()
            (root / "probe").rmdir()
        except OSError:
            usable = False
        if usable:
            return root, version
        remove_empty(root)
    return None


def places(controller: str) -> Iterator[tuple[Path, int]]:
    """Candidates for a subtree, best first: `(directory, cgroup version)`."""
    own = groups_of(os.getpid())
    for point, version, controllers in hierarchies():
        if version == 1 and controller in controllers:
            yield Path(point + own.get(controller, "/")), 1
            yield Path(point), 1
        elif version == 2:
            if (group := own.get("", "/")) != "/":
                yield Path(point + group).parent, 2
            yield Path(point), 2


def own_limit() -> int | None:
    """The smallest memory limit in bytes of our own group and its visible ancestors; None if there is none."""
    found: list[int] = []
    for group, version in own_groups("memory"):
        with contextlib.suppress(OSError, ValueError):  # the top has no limit; "max"
            found.append(int(read(f"{group}/{'memory.max' if version == 2 else 'memory.limit_in_bytes'}")))
    return min(found, default=None)


def own_processes() -> Iterator[tuple[int, int]]:
    """Processes and threads of our own group and its ancestors, `(present, limit)`, where there is a limit."""
    for group, _ in own_groups("pids"):
        with contextlib.suppress(OSError, ValueError):
            most = int(read(f"{group}/pids.max"))  # first: mostly there is none
            yield int(read(f"{group}/pids.current")), most


def own_groups(controller: str) -> Iterator[tuple[str, int]]:
    """Directories of our own group and its visible ancestors, with their version, where `controller` may cap us."""
    own = groups_of(os.getpid())
    for point, version, controllers in hierarchies():
        if version == 2 or controller in controllers:
            group = own.get("" if version == 2 else controller, "/").rstrip("/")
            while group:
                yield point + group, version
                group = group.rpartition("/")[0]
            yield point, version


@functools.cache
def hierarchies() -> Sequence[tuple[str, int, Sequence[str]]]:
    """All hierarchies, mounted when a machine starts: `(mount point, version, options with the controllers)`."""
    mounts = [line.split(" ")[:4] for line in read("/proc/self/mounts").splitlines()]
    return [
        (point, 2 if kind == "cgroup2" else 1, options.split(","))
        for _, point, kind, options in mounts
        if kind in ("cgroup", "cgroup2")
    ]


def groups_of(pid: int) -> dict[str, str]:
    """A process's groups by controller; the version-2 one under the empty name. Raises OSError if it is gone."""
    result = {}
    for line in read(f"/proc/{pid}/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        result.update(dict.fromkeys(controllers.split(","), path))
    return result


def read(path: str) -> str:
    """The text of a small file of the kernel. Raises OSError.

    Instances are made by the hundred, and `pathlib` takes several times as long as the kernel.
    """
    with open(path) as file:
        return file.read()


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


def _try_write(path: str, text: str) -> None:
    with contextlib.suppress(OSError):  # the kernel, or this hierarchy, has no such file
        _write(path, text)
