"""Filling an image's directory: from a directory, from an archive, from a distribution.

An archive was made by strangers: its links point where they like, and one layer writes
through the links of another. So it is unpacked by a child that has made the image its root
directory (`unpack`): whatever the archive says, it says of the image.

An archive is one of two. An OCI archive holds `index.json`, which leads by digests to a
manifest and so to layers, to be unpacked one over the other; a registry (`registry`) is read
in the same way. Anything else is the tree itself.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any, Protocol

from scheduler.providers.containerd.machine import PATH
from scheduler.providers.images import ImageError

MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
MAX_DOCUMENT = 4 << 20
CHUNK = 1 << 20
SUITE = "bookworm"
# What scripts on objects want most, over Debian's smallest system.
TOOLS = (
    """bc bzip2 ca-certificates curl file gawk jq less openssl perl procps python3 unzip xz-utils zip zstd""".split()
)


def fill_from(source: Path, target: Path) -> None:
    """Fill `target` from a directory or an archive. Raises ImageError or OSError."""
    if (source / "oci-layout").exists():
        unpack_oci(directory_layout(source), target)
    elif source.is_dir():
        run("cp", "-a", "--reflink=auto", f"{source}/.", str(target))
    elif source.is_file():
        fill_from_archive(source, target)
    else:
        raise ImageError(f"{source} is neither a directory nor an archive")


def build_default(target: Path, suite: str = SUITE, mirror: str | None = None) -> None:
    """Fill `target` with Debian and the usual tools. Raises ImageError."""
    if shutil.which("debootstrap", path=PATH) is None:
        raise ImageError("debootstrap is needed: try `apt-get install debootstrap`")
    run("debootstrap", "--variant=minbase", f"--include={','.join(TOOLS)}", suite, str(target), *filter(None, [mirror]))
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
                unpack_oci(archive_layout(archive), target)
                return
    with open(source, "rb") as file:
        unpack_layer(file, target)


class Readable(Protocol):
    def read(self, size: int, /) -> bytes:
        """So many bytes, or fewer at the end."""


class Layout(Protocol):
    """Documents and blobs by their digests, and one document that leads to the others."""

    def index(self) -> Any: ...

    def manifest(self, digest: str) -> AbstractContextManager[Readable]: ...

    def blob(self, digest: str) -> AbstractContextManager[Readable]: ...


class FileLayout:
    """An OCI layout of files; `open_file` raises KeyError or FileNotFoundError for what is not there."""

    def __init__(self, open_file: Callable[[str], IO[bytes]]) -> None:
        self._open = open_file

    def index(self) -> Any:
        with self._open("index.json") as file:
            return json.loads(file.read(MAX_DOCUMENT))

    def blob(self, digest: str) -> IO[bytes]:
        return self._open(f"blobs/sha256/{digest.removeprefix('sha256:')}")

    manifest = blob


def directory_layout(root: Path) -> FileLayout:
    return FileLayout(lambda name: open(root / name, "rb"))


def archive_layout(archive: tarfile.TarFile) -> FileLayout:
    def open_file(name: str) -> IO[bytes]:
        file = archive.extractfile(name)
        if file is None:
            raise KeyError(name)
        return file

    return FileLayout(open_file)


def unpack_oci(layout: Layout, target: Path) -> None:
    """Raises ImageError."""
    try:
        manifest = find_manifest(layout, layout.index())
        refuse_strange(read_document(layout.blob, manifest["config"]))
        for descriptor in manifest["layers"]:
            with layout.blob(digest_of(descriptor)) as file:
                unpack_layer(file, target, descriptor["digest"])
    except (KeyError, TypeError, ValueError, AttributeError, FileNotFoundError) as error:
        raise ImageError(f"this is no whole OCI image: {error!r}") from error


def find_manifest(layout: Layout, index: Any, depth: int = 0) -> Any:
    """The manifest of the image for this machine. An index may lead to another one."""
    choices = [descriptor for descriptor in index["manifests"] if fits(descriptor.get("platform") or {})]
    if not choices or depth > 3:
        raise ImageError(f"there is no image for linux on {machine()}")
    document = read_document(layout.manifest, choices[0])
    return find_manifest(layout, document, depth + 1) if "manifests" in document else document


def fits(platform_told: Any) -> bool:
    """What is not told may be ours."""
    return (platform_told.get("os", "linux"), platform_told.get("architecture", machine())) == ("linux", machine())


def refuse_strange(config: Any) -> None:
    """Raises ImageError for an image of another kind of machine: one alone says that nowhere else."""
    if not fits(config):
        raise ImageError(f"the image is for {config.get('os')} on {config.get('architecture')}, not on {machine()}")


def machine() -> str:
    return MACHINES.get(platform.machine(), platform.machine())


def read_document(open_part: Callable[[str], AbstractContextManager[Readable]], descriptor: Any) -> Any:
    digest = digest_of(descriptor)
    with open_part(digest) as file:
        data = file.read(MAX_DOCUMENT)
    if f"sha256:{hashlib.sha256(data).hexdigest()}" != digest:
        raise ImageError(f"the image is damaged: {digest} has other contents")
    return json.loads(data)


def digest_of(descriptor: Any) -> str:
    digest: str = descriptor["digest"]
    if not re.fullmatch("sha256:[0-9a-f]{64}", digest):
        raise ImageError(f"the image names its parts in an unknown way: {digest!r}")
    return digest


def unpack_layer(file: Readable, target: Path, digest: str | None = None) -> None:
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
        raise ImageError(f"the image is damaged: {digest} has other contents")
