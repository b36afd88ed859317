"""Measuring the memory use of tasks, where no control group does.

Three kinds of memory count, as in a control group:

- private memory of each process, swapped-out memory included;
- shared memory, whether it came by `mmap`, `memfd_create` or `shmget`. The kernel keeps it in files of an
  internal file system; each such file that a process has open or mapped counts once;
- files in the instance's /dev/shm, which its lackey hands over: only root could open it from outside.

Only root may examine files that other users' processes have mapped but not open. For an ordinary user such a file
counts for each process by the part that is in use there, so it may count twice. The first sum is therefore an
upper bound; only if it exceeds the cap, proportional shares are read from the kernel, which takes longer.

Not measured are shared memory that no process has mapped or open, such as a leftover System V segment, and memory
that comes and goes between two measurements.

Example: a server of 100 MB forks 4 workers that write nothing: 500 MB in the first sum. The tier has 256 MB,
so shares are read, and their sum is 100 MB.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator, Sequence
from functools import cache

from scheduler.providers.linux.disk_usage import BLOCK, File, opened_by
from scheduler.providers.linux.subordinate_users import SubordinateUsers

KILOBYTE = 1024
# Lines of /proc/PID/status, and of smaps_rollup.
PRIVATE = (b"RssAnon", b"VmSwap")
SHARED = (b"RssShmem",)
PRIVATE_SHARE = (b"Pss_Anon", b"SwapPss")


def in_use(pids: Sequence[int], most: int, shm: int | None, users: SubordinateUsers | None = None) -> int:
    """Bytes in use by processes, and on the file system of their directory open as `shm`; exact if more than `most`.

    `users`: those that the processes may have besides us, if we are not root.
    """
    files = memory_files(pids, users)
    held = sum(files.values()) + used_at(shm)
    private = sum(kilobytes(f"/proc/{pid}/status", PRIVATE) for pid in pids) * KILOBYTE
    shared = sum(kilobytes(f"/proc/{pid}/status", SHARED) for pid in pids) * KILOBYTE
    if private + shared + held <= most:
        return private + max(shared, held)
    return sum(share_of(pid, files) for pid in pids) * KILOBYTE + held


def memory_files(pids: Sequence[int], users: SubordinateUsers | None = None) -> dict[File, int]:
    """Files in memory that processes have open or, if permitted, mapped: bytes in each."""
    device = memory_device()
    found = opened_by(pids, users)
    return {(device, each.st_ino): each.st_blocks * BLOCK for each in found if each.st_dev == device}


@cache
def memory_device() -> int:
    """The device of the file system in which the kernel keeps shared memory."""
    fd = os.memfd_create("device")
    try:
        return os.fstat(fd).st_dev
    finally:
        os.close(fd)


def used_at(shm: int | None) -> int:
    """Bytes that files on a file system take, which a descriptor stands for."""
    if shm is not None:
        with contextlib.suppress(OSError):  # the instance may end meanwhile
            status = os.fstatvfs(shm)
            return (status.f_blocks - status.f_bfree) * status.f_frsize
    return 0


def share_of(pid: int, known: Collection[File]) -> int:
    """A process's share, in KiB, of private memory and of shared memory in files that are not `known`.

    Its whole memory if the kernel does not report shares.
    """
    try:
        private, device = kilobytes(f"/proc/{pid}/smaps_rollup", PRIVATE_SHARE), memory_device()
        return private + sum(share for file, share in mappings(pid) if file[0] == device and file not in known)
    except OSError:
        return kilobytes(f"/proc/{pid}/status", PRIVATE + SHARED)


def mappings(pid: int) -> Iterator[tuple[File, int]]:
    """The files that a process has mapped, with its share of each mapping in KiB. Raises OSError."""
    file: File = (0, 0)
    with contextlib.suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{pid}/smaps", "rb") as lines:
        for fields in map(bytes.split, lines):
            if b"-" in fields[0]:
                major, _, minor = fields[3].partition(b":")
                file = os.makedev(int(major, 16), int(minor, 16)), int(fields[4])
            elif fields[0] == b"Pss:":
                yield file, int(fields[1])


def kilobytes(path: str, names: Collection[bytes]) -> int:
    """The sum of some lines of a file of /proc; 0 for a process that is gone."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError), open(path, "rb") as lines:
        pairs = (line.partition(b":") for line in lines)
        return sum(int(value.split()[0]) for name, _, value in pairs if name in names)
    return 0
