"""`python -m scheduler.providers.unpack DIR <layer`: unpack an archive of strangers into DIR.

DIR is made the root directory first, so no name and no link of the archive leads out of it.
Files called `.wh.NAME` say that NAME of the layers below is gone, and `.wh..wh..opq` that all
of them in its directory are. Devices are left out: containers have their own.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import sys
import tarfile
from typing import IO

# Loaded before the root changes, because they cannot be found afterwards.
with contextlib.suppress(ImportError):
    import zstandard
import bz2
import encodings.idna
import gzip
import lzma

__all__ = ["bz2", "encodings", "gzip", "lzma"]

GONE, OPAQUE = ".wh.", ".wh..wh..opq"
ZSTD = b"\x28\xb5\x2f\xfd"


def main() -> None:
    source = io.BufferedReader(io.FileIO(0, closefd=False))
    stream: IO[bytes] = source
    if source.peek(4)[:4] == ZSTD:
        if "zstandard" not in sys.modules:
            sys.exit("it is compressed with zstd, and the Python package zstandard is not installed")
        stream = zstandard.ZstdDecompressor().stream_reader(source)
    os.umask(0)
    os.chroot(sys.argv[1])
    os.chdir("/")
    with tarfile.open(fileobj=stream, mode="r|*") as archive:
        unpack(archive)
    while source.read(1 << 20):  # who feeds us wants to be heard to the end
        pass


def unpack(archive: tarfile.TarFile) -> None:
    fresh: set[str] = set()
    directories = []
    for member in archive:
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
    for member in reversed(directories):  # what was put into them has changed their times
        archive.utime(member, member.name)


def extract(archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
    if member.islnk():
        member.linkname = os.path.normpath("/" + member.linkname)
    if not (member.isdir() and os.path.isdir(member.name) and not os.path.islink(member.name)):
        remove(member.name)
    archive.extract(member, "/", numeric_owner=True, filter="fully_trusted")


def empty(directory: str, fresh: set[str]) -> None:
    """Remove what lower layers have in a directory, and not what this one has put there."""
    for name in os.listdir(directory or "/"):
        if (path := f"{directory}/{name}") not in fresh:
            remove(path)


def remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        if path != "/":
            shutil.rmtree(path)
    else:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            os.unlink(path)


if __name__ == "__main__":
    main()
