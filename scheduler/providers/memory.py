"""How much memory tasks have in use, where no control group says so.

Three kinds count, as a control group would count them:

- private memory of each process, that which was swapped out included;
- shared memory, whether it came by `mmap`, `memfd_create` or `shmget`. The kernel keeps it in files of a file
  system of its own, so what a process has open or mapped of these says how much there is, each file once;
- files in the instance's /dev/shm.

Only root may look at what others have mapped but not open. For an ordinary user those count as far as they are in
use by the process; that may be twice if two processes have the same. So what is found first is an upper bound,
and only if it is beyond the cap, the kernel is asked for proportional shares, which takes longer.

What it cannot see: shared memory that no process has mapped or open, such as a segment of System V that was left; and
what comes and goes between two looks.

Example: a server of 100 MB forks 4 workers that write nothing: 500 MB at first sight. The tier has 256 MB, so
shares are asked for, and the sum of these is 100 MB.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator, Sequence
from functools import cache
from pathlib import Path

from scheduler.providers.disk import BLOCK, File, opened_by
from scheduler.providers.subordinate_users import SubordinateUsers

KILOBYTE = 1024
# Lines of /proc/PID/status, and of smaps_rollup.
PRIVATE = (b"RssAnon", b"VmSwap")
SHARED = (b"RssShmem",)
PRIVATE_SHARE = (b"Pss_Anon", b"SwapPss")


def in_use(pids: Sequence[int], most: int, shm: Path | None, users: SubordinateUsers | None = None) -> int:
    """Bytes in use by processes, and in the directory `shm` that is theirs alone; exact if more than `most`.

    `users`: those that the processes may have besides us, where we are not root.
    """
    files = memory_files(pids, users)
    held = sum(files.values()) + used_at(shm)
    private = sum(kilobytes(f"/proc/{pid}/status", PRIVATE) for pid in pids) * KILOBYTE
    shared = sum(kilobytes(f"/proc/{pid}/status", SHARED) for pid in pids) * KILOBYTE
    if private + shared + held <= most:
        return private + max(shared, held)
    return sum(share_of(pid, files) for pid in pids) * KILOBYTE + held


def memory_files(pids: Sequence[int], users: SubordinateUsers | None = None) -> dict[File, int]:
    """Files in memory that processes have open or, if we may see that, mapped: bytes in each."""
    device = memory_device()
    found = opened_by(pids, users)
    return {(device, each.st_ino): each.st_blocks * BLOCK for each in found if each.st_dev == device}


@cache
def memory_device() -> int:
    """The file system in which the kernel keeps shared memory."""
    fd = os.memfd_create("device")
    try:
        return os.fstat(fd).st_dev
    finally:
        os.close(fd)


def used_at(shm: Path | None) -> int:
    with contextlib.suppress(OSError):
        if shm is not None:
            status = os.statvfs(shm)
            return (status.f_blocks - status.f_bfree) * status.f_frsize
    return 0


def share_of(pid: int, known: Collection[File]) -> int:
    """KiB: a process's share of private memory, and of shared memory in files that are not `known`.

    All that it has where the kernel does not tell us of shares.
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
    """The sum of some lines of a file of /proc; nothing of a process that is gone."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError), open(path, "rb") as lines:
        pairs = (line.partition(b":") for line in lines)
        return sum(int(value.split()[0]) for name, _, value in pairs if name in names)
    return 0
