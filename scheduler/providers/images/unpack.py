"""`python -I unpack.py DIR BYTES ENTRIES <layer`: unpack an untrusted archive into DIR.

DIR becomes the root directory first, so no name and no link of the archive leads out of it. A file
called `.wh.NAME` deletes NAME of the layers below, and `.wh..wh..opq` all their files in its
directory. Devices are left out: containers have their own.

An archive may be made to exhaust the machine: a kilobyte that decompresses to a terabyte, millions of empty files, a
header of gigabytes. So it may have BYTES in its files and ENTRIES of all kinds, and the rest of both is printed at
the end, for the layers that follow. The memory and processor time of this process are limited. It needs to be root
to set the owners of files; it keeps root's capabilities about files alone, and has no network.

It runs as a single file: it imports nothing of the project, and because of `-I` only the standard library and
zstandard.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import resource
import shutil
import struct
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, cast

# Loaded before the root changes, because they cannot be found afterwards.
with contextlib.suppress(ImportError):
    import zstandard
import bz2
import encodings.idna
import gzip
import lzma

__all__ = ["Bounded", "Bounds", "TooMuchError", "bz2", "encodings", "gzip", "lzma"]

GONE, OPAQUE = ".wh.", ".wh..wh..opq"
ZSTD = b"\x28\xb5\x2f\xfd"
MAX_NAME = 4096
MAX_HEADER = 1 << 20  # of names and attributes that have a block of their own: Linux knows none larger
MEMORY = 1 << 30
CPU_SECONDS = 3600
HEADERS = (
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
)
# From linux/sched.h, linux/prctl.h, linux/capability.h.
NEW_NETWORK, NEW_IPC = 0x40000000, 0x08000000
DROP_FROM_BOUNDING_SET, NO_NEW_PRIVILEGES = 24, 38
CAPABILITY_VERSION = 0x20080522
ABOUT_FILES = (0, 1, 2, 3, 4)  # CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, FSETID
CAPABILITIES = 41
SYS_CAPSET = {"x86_64": 126, "aarch64": 91}


class TooMuchError(Exception):
    """An archive exceeds a bound, which the text names."""


def main() -> None:
    """Unpack the archive on stdin, confined to the directory; prints the bounds that are left."""
    root, bounds = sys.argv[1], Bounds(int(sys.argv[2]), int(sys.argv[3]))
    source = io.BufferedReader(io.FileIO(0, closefd=False))
    stream: IO[bytes] = source
    if source.peek(4)[:4] == ZSTD:
        if "zstandard" not in sys.modules:
            sys.exit("it is compressed with zstd, and the Python package zstandard is not installed")
        stream = zstandard.ZstdDecompressor().stream_reader(source)
    os.umask(0)
    os.chroot(root)
    os.chdir("/")
    confine(bounds.bytes)
    try:
        with tarfile.open(fileobj=stream, mode="r|*", tarinfo=Bounded) as archive:
            unpack(archive, bounds)
    except (TooMuchError, MemoryError) as error:
        sys.exit(str(error) or f"it takes more than {MEMORY >> 20} MB of memory to read")
    while source.read(1 << 20):  # the parent writes to the end
        pass
    print(bounds.bytes, bounds.entries)


def confine(allowed: int) -> None:
    """Drop privileges that unpacking does not need.

    Those that the kernel refuses to drop (in a container) we never had.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.unshare(NEW_NETWORK | NEW_IPC)
    libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    for capability in range(CAPABILITIES):
        if capability not in ABOUT_FILES:
            libc.prctl(DROP_FROM_BOUNDING_SET, capability, 0, 0, 0)
    kept = sum(1 << capability for capability in ABOUT_FILES)
    if number := SYS_CAPSET.get(os.uname().machine):
        header = struct.pack("=Ii", CAPABILITY_VERSION, 0)
        libc.syscall(number, header, struct.pack("=6I", kept, kept, 0, 0, 0, 0))
    limits = {
        resource.RLIMIT_FSIZE: allowed,
        resource.RLIMIT_AS: MEMORY,
        resource.RLIMIT_CPU: CPU_SECONDS,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NPROC: 0,
    }
    for limit, most in limits.items():
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(limit, (most, most))


class Bounded(tarfile.TarInfo):
    """A member whose headers are bounded, since tarfile reads them whole."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in HEADERS and self.size > MAX_HEADER:
            raise TooMuchError(f"a header of it has {self.size} bytes, of at most {MAX_HEADER}")
        return cast("tarfile.TarInfo", super()._proc_member(archive))  # type: ignore[misc]


@dataclass(slots=True)
class Bounds:
    """The bytes and entries that an archive may still have."""

    bytes: int
    entries: int

    def of(self, archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
        """The members of an archive. Raises TooMuchError before one that exceeds the bounds."""
        for member in archive:
            self._take(member)
            yield member
            # Otherwise tarfile keeps all of them.
            archive.members = []  # type: ignore[attr-defined]

    def _take(self, member: tarfile.TarInfo) -> None:
        self.bytes -= member.size if member.isreg() else 0
        self.entries -= 1
        if self.bytes < 0:
            raise TooMuchError("it has more bytes in files than an image may have (see --max-size)")
        if self.entries < 0:
            raise TooMuchError("it has more files than an image may have")
        if max(len(member.name), len(member.linkname)) > MAX_NAME:
            raise TooMuchError(f"a name in it has more than {MAX_NAME} characters")


def unpack(archive: tarfile.TarFile, bounds: Bounds) -> None:
    """Unpack all members. Raises TooMuchError."""
    fresh: set[str] = set()
    directories = []
    for member in bounds.of(archive):
        member.name = os.path.normpath("/" + member.name)
        parent, _, name = member.name.rpartition("/")
        if name == OPAQUE:
            empty(parent, fresh)
        elif name.startswith(GONE):
            remove(f"{parent}/{name.removeprefix(GONE)}")
        elif not member.isdev() or member.isfifo():
            fresh.add(member.name)
            extract(archive, member)
            if member.isdir():
                directories.append(member)
    for member in reversed(directories):  # the files put into them have changed their times
        archive.utime(member, member.name)


def extract(archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
    if member.islnk():
        member.linkname = os.path.normpath("/" + member.linkname)
    if not (member.isdir() and os.path.isdir(member.name) and not os.path.islink(member.name)):
        remove(member.name)
    archive.extract(member, "/", numeric_owner=True, filter="fully_trusted")


def empty(directory: str, fresh: set[str]) -> None:
    """Remove a directory's files from lower layers, but not those of this layer."""
    for name in os.listdir(directory or "/"):
        if (path := f"{directory}/{name}") not in fresh:
            remove(path)


def remove(path: str) -> None:
    """Remove a file or a tree, if it exists."""
    if os.path.isdir(path) and not os.path.islink(path):
        if path != "/":
            shutil.rmtree(path)
    else:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            os.unlink(path)


if __name__ == "__main__":
    main()
