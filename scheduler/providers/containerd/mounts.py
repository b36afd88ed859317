"""The system calls of mounting, which Python lacks, and the list of mounts.

A tree can be cloned from its place, changed while it is invisible (made read-only, its users
mapped), and then attached elsewhere: so it is never visible in an intermediate state.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import struct
from pathlib import Path

from scheduler.providers.linux.libc import check, libc

RDONLY, NOSUID, NODEV, NOEXEC, NOATIME = 1, 2, 4, 8, 1024
# The same flags in the newer calls.
ATTR_RDONLY, ATTR_NOSUID, ATTR_NODEV, ATTR_IDMAP = 1, 2, 4, 0x100000
ATTR_SEALED = ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV
DETACH = 2

# These numbers are the same on all machines.
OPEN_TREE, MOVE_MOUNT, MOUNT_SETATTR = 428, 429, 442
CLONE, FROM_DESCRIPTOR = 1, 4
AT_FDCWD, AT_EMPTY_PATH = -100, 0x1000


def mount(source: str, target: Path, kind: str, flags: int, options: str) -> None:
    """Mount a file system. Raises OSError."""
    arguments = (source.encode(), os.fsencode(target), kind.encode(), ctypes.c_ulong(flags), options.encode())
    check(libc.mount(*arguments), f"mounting {kind} on {target}")


def unmount(target: Path) -> None:
    """Detach a mount; it ends when it is no longer in use. A path without a mount is no error. Raises OSError."""
    try:
        check(libc.umount2(os.fsencode(target), DETACH), f"unmounting {target}")
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOENT):
            raise


def attach(source: Path, target: Path, attributes: int = 0, user_namespace: int | None = None) -> None:
    """Attach the tree `source` at `target` too, its users mapped by a user namespace. Raises OSError."""
    flags = ctypes.c_uint(CLONE | os.O_CLOEXEC)
    tree = check(libc.syscall(OPEN_TREE, AT_FDCWD, os.fsencode(source), flags), f"cloning {source}")
    try:
        mapped = 0 if user_namespace is None else ATTR_IDMAP
        wanted = struct.pack("=QQQQ", attributes | mapped, 0, 0, user_namespace or 0)
        size = ctypes.c_size_t(len(wanted))
        check(libc.syscall(MOUNT_SETATTR, tree, b"", AT_EMPTY_PATH, wanted, size), f"preparing a mount of {source}")
        moved = libc.syscall(MOVE_MOUNT, tree, b"", AT_FDCWD, os.fsencode(target), FROM_DESCRIPTOR)
        check(moved, f"attaching {source} to {target}")
    finally:
        os.close(tree)


def mounted_below(root: Path) -> list[Path]:
    """The mount points below a directory, the deepest first."""
    found = []
    for line in Path("/proc/self/mountinfo").read_bytes().splitlines():
        point = re.sub(rb"\\([0-7]{3})", lambda octal: bytes([int(octal[1], 8)]), line.split(b" ")[4])
        path = Path(os.fsdecode(point))
        if root in path.parents:
            found.append(path)
    return sorted(found, key=lambda path: len(path.parts), reverse=True)
