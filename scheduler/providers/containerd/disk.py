"""The disk of an instance: a file system in a file.

The file is sparse, so a disk of a terabyte takes only the space that is written to. Its name is
removed as soon as it is mounted: even if the agent is killed, the space is freed with the mount.
There is no journal, since it is never mounted a second time, and `discard` frees the blocks of
deleted files.

A file system is smaller than its device, so the file is made a little larger than the cap, and
tasks have at least the space of their tier.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct
from pathlib import Path

from scheduler.common import child
from scheduler.providers.containerd import mounts
from scheduler.providers.linux.disk_usage import GIB, inodes_of

# Inode tables and bitmaps: 256 bytes for each inode, and a bit for each of these and for each block.
OVERHEAD_PER_GIB = 10 << 20
OVERHEAD = 16 << 20

# From linux/loop.h.
LOOP_CONFIGURE, LOOP_CLR_FD, LOOP_CTL_GET_FREE = 0x4C0A, 0x4C01, 0x4C82
AUTOCLEAR, DIRECT_IO = 4, 16
LOOP_CONFIG = struct.Struct("=II232x64x")  # fd, block size, loop_info64, reserved
FLAGS_AT = 8 + 52  # of lo_flags: after two numbers of LOOP_CONFIG and the first ones of loop_info64
TRIES = 64


def mount_disk(image: Path, target: Path, size: int, owner: int) -> None:
    """Mount a fresh file system with `size` bytes for files at `target`; `image` is made and its name removed.

    Its root belongs to user and group `owner`. Raises OSError.
    """
    gib = -(-size // GIB)
    with open(os.open(image, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "r+b") as backing:
        try:
            backing.truncate(size + gib * OVERHEAD_PER_GIB + OVERHEAD)
            make_file_system(image, inodes_of(size), owner)
            with loop_device(backing.fileno()) as device:
                flags = mounts.NOSUID | mounts.NODEV | mounts.NOATIME
                mounts.mount(device, target, "ext4", flags, "discard,noinit_itable")
        finally:
            image.unlink()


def make_file_system(image: Path, inodes: int, owner: int) -> None:
    """Make a file system in the file `image`. Raises OSError with the words of mkfs."""
    extended = f"lazy_itable_init=1,nodiscard,root_owner={owner}:{owner}"
    options = ["-q", "-F", "-m", "0", "-O", "^has_journal,^resize_inode", "-E", extended, "-N", str(inodes)]
    done = child.run(
        ["mkfs.ext4", *options, str(image)],
        capture_output=True,
        text=True,
        env=child.environment(LC_ALL="C"),
    )
    if done.returncode:
        raise OSError(f"mkfs.ext4: {done.stderr.strip()}")


class loop_device(contextlib.AbstractContextManager[str]):  # noqa: N801 - reads as a function
    """The path of a loop device over an open file; it is freed when nothing uses it after this. Raises OSError."""

    def __init__(self, backing: int) -> None:
        self._backing = backing
        self._device = -1

    def __enter__(self) -> str:
        config = bytearray(LOOP_CONFIG.pack(self._backing, 0))
        struct.pack_into("=I", config, FLAGS_AT, AUTOCLEAR | DIRECT_IO)
        control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
        try:
            for _ in range(TRIES):
                path = f"/dev/loop{fcntl.ioctl(control, LOOP_CTL_GET_FREE)}"
                self._device = os.open(path, os.O_RDWR | os.O_CLOEXEC)
                try:
                    fcntl.ioctl(self._device, LOOP_CONFIGURE, config)
                except OSError as error:
                    self._close()
                    if error.errno != errno.EBUSY:  # EBUSY: another process took the device
                        raise
                else:
                    return path
        finally:
            os.close(control)
        raise OSError("other programs take every loop device that is free")

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        os.close(self._device)
        self._device = -1
