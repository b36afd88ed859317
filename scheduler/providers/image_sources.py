"""Filling an image's directory: from a directory, from an archive, from a distribution.

An archive was made by strangers: its links point where they like, and one layer writes
through the links of another. So it is unpacked by a child that has made the image its root
directory (`unpack`): whatever the archive says, it says of the image.

An archive is one of two. An OCI archive holds `index.json`, which leads by digests to a
manifest and so to layers, to be unpacked one over the other. Anything else is the tree itself.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import IO, Any

from scheduler.providers.containerd.machine import PATH
from scheduler.providers.images import ImageError

MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
MAX_DOCUMENT = 4 << 20
CHUNK = 1 << 20
SUITE = "bookworm"
MIRROR = "http://deb.debian.org/debian"
# What scripts on objects want most, over Debian's smallest system.
TOOLS = (
    """bc bzip2 ca-certificates curl file gawk jq less openssl perl procps python3 unzip xz-utils zip zstd""".split()
)


def fill_from(source: Path, target: Path) -> None:
    """Fill `target` from a directory or an archive. Raises ImageError or OSError."""
    if (source / "oci-layout").exists():
        unpack_oci(DirectoryLayout(source), target)
    elif source.is_dir():
        run("cp", "-a", "--reflink=auto", f"{source}/.", str(target))
    elif source.is_file():
        fill_from_archive(source, target)
    else:
        raise ImageError(f"{source} is neither a directory nor an archive")


def build_default(target: Path, suite: str = SUITE, mirror: str = MIRROR) -> None:
    """Fill `target` with Debian and the usual tools. Raises ImageError."""
    if shutil.which("debootstrap", path=PATH) is None:
        raise ImageError("debootstrap is needed: try `apt-get install debootstrap`")
    run("debootstrap", "--variant=minbase", f"--include={','.join(TOOLS)}", suite, str(target), mirror)
    for spare in ("var/cache/apt/archives", "var/lib/apt/lists"):
        shutil.rmtree(target / spare, ignore_errors=True)


def run(*command: str) -> None:
    """Raises ImageError with the last words of what failed."""
    environment = {**os.environ, "PATH": PATH, "LC_ALL": "C"}
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, env=environment)
    if done.returncode:
        words = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()[-3:]
        raise ImageError(f"{command[0]} failed: {' '.join(words)}")


# -- archives ----------------------------------------------------------------------------------


def fill_from_archive(source: Path, target: Path) -> None:
    if tarfile.is_tarfile(source):  # or compressed in a way that the standard library does not know
        with tarfile.open(source) as archive:
            if "index.json" in archive.getnames():
                unpack_oci(ArchiveLayout(archive), target)
                return
    with open(source, "rb") as file:
        unpack_layer(file, target)


class DirectoryLayout:
    """An OCI layout in a directory."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def open(self, name: str) -> IO[bytes]:
        return open(self._root / name, "rb")


class ArchiveLayout:
    """An OCI layout in an archive."""

    def __init__(self, archive: tarfile.TarFile) -> None:
        self._archive = archive

    def open(self, name: str) -> IO[bytes]:
        """Raises KeyError for what is not there or is no file."""
        file = self._archive.extractfile(name)
        if file is None:
            raise KeyError(name)
        return file


Layout = DirectoryLayout | ArchiveLayout


def unpack_oci(layout: Layout, target: Path) -> None:
    """Raises ImageError."""
    try:
        with layout.open("index.json") as file:
            index = json.loads(file.read(MAX_DOCUMENT))
        for descriptor in find_manifest(layout, index)["layers"]:
            with layout.open(blob_path(descriptor)) as file:
                unpack_layer(file, target, descriptor["digest"])
    except (KeyError, TypeError, ValueError, FileNotFoundError) as error:
        raise ImageError(f"this is no whole OCI archive: {error!r}") from error


def find_manifest(layout: Layout, index: Any, depth: int = 0) -> Any:
    """The manifest of the image for this machine. An index may lead to another one."""
    mine = MACHINES.get(platform.machine(), platform.machine())
    choices = [d for d in index["manifests"] if d.get("platform", {}).get("architecture", mine) == mine]
    if not choices or depth > 3:
        raise ImageError(f"the archive has no image for {mine}")
    document = read_document(layout, choices[0])
    return find_manifest(layout, document, depth + 1) if "manifests" in document else document


def read_document(layout: Layout, descriptor: Any) -> Any:
    with layout.open(blob_path(descriptor)) as file:
        data = file.read(MAX_DOCUMENT)
    if f"sha256:{hashlib.sha256(data).hexdigest()}" != descriptor["digest"]:
        raise ImageError(f"the archive is damaged: {descriptor['digest']} has other contents")
    return json.loads(data)


def blob_path(descriptor: Any) -> str:
    kind, _, digest = descriptor["digest"].partition(":")
    if kind != "sha256" or not digest.isalnum():
        raise ImageError(f"the archive names its parts in an unknown way: {descriptor['digest']}")
    return f"blobs/{kind}/{digest}"


def unpack_layer(file: IO[bytes], target: Path, digest: str | None = None) -> None:
    """Unpack one layer over what is there. Raises ImageError."""
    seen = hashlib.sha256()
    command = [sys.executable, "-m", "scheduler.providers.unpack", str(target)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stderr is not None
        try:
            while chunk := file.read(CHUNK):
                seen.update(chunk)
                child.stdin.write(chunk)
            child.stdin.close()
        except BrokenPipeError:
            pass  # it has said why
        why = child.stderr.read().decode(errors="replace").strip()
    if child.returncode:
        raise ImageError(f"an archive cannot be unpacked: {why.splitlines()[-1] if why else child.returncode}")
    if digest is not None and digest != f"sha256:{seen.hexdigest()}":
        raise ImageError(f"the archive is damaged: {digest} has other contents")
