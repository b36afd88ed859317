"""The sources of images: a directory, an archive, or a distribution's packages.

An archive is untrusted: its links point anywhere, and one layer writes through the links of
another. So it is unpacked by a child process whose root directory is the image (`unpack`): no
name in the archive can lead out of the image.

An archive has one of two forms. An OCI archive holds `index.json`, which leads by digests to a
manifest and so to layers, which are unpacked one over the other; a registry (`registry`) is read
in the same way. Any other archive is the tree itself.

The size of an image is bounded by one `Allowance` for all its layers: bytes in files, files, and time.
A part may not be larger than its descriptor says, either.
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
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Any, Protocol

from scheduler.common import child
from scheduler.providers.images import unpack
from scheduler.providers.images.store import ImageError

MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
MAX_DOCUMENT = 4 << 20
CHUNK = 1 << 20
MAX_GIB, MAX_FILES, MAX_LAYERS = 32, 2_000_000, 512
MAX_SECONDS = 6 * 3600.0
OCI_FILES = 10_000  # an archive that has an `index.json` has it among its first files
SUITE = "bookworm"
# The packages that scripts on objects need most, besides Debian's smallest system.
TOOLS = (
    """bc bzip2 ca-certificates curl file gawk jq less openssl perl procps python3 unzip xz-utils zip zstd""".split()
)


@dataclass(slots=True)
class Allowance:
    """The bounds that are left for an image. `until` is a moment of the monotonic clock."""

    bytes: int = MAX_GIB << 30
    files: int = MAX_FILES
    until: float = field(default_factory=lambda: time.monotonic() + MAX_SECONDS)

    def take(self, size: int, files: int = 1) -> None:
        """Deduct bytes and files. Raises ImageError if the bounds are exceeded."""
        self.bytes -= size
        self.files -= files
        if self.bytes < 0:
            raise ImageError("the image is larger than it may be (see --max-size)")
        if self.files < 0:
            raise ImageError("the image has more files than it may have")

    def check_time(self) -> None:
        """Raises ImageError if the time is over."""
        if time.monotonic() > self.until:
            raise ImageError("the image takes longer to arrive than it may")


def fill_from(source: Path, target: Path, allowance: Allowance | None = None) -> None:
    """Fill `target` from a directory or an archive. Raises ImageError or OSError."""
    allowance = allowance or Allowance()
    source = source.absolute()
    if (source / "oci-layout").exists():
        unpack_oci(directory_layout(source), target, allowance)
    elif source.is_dir():
        take_tree(source, allowance)
        run("cp", "-a", "--reflink=auto", f"{source}/.", str(target))
    elif source.is_file():
        fill_from_archive(source, target, allowance)
    else:
        raise ImageError(f"{source} is neither a directory nor an archive")


def take_tree(root: Path, allowance: Allowance) -> None:
    """Deduct the contents of a directory. Raises ImageError."""
    for _, directories, files, at in os.fwalk(root):
        allowance.take(0, len(directories))
        for name in files:
            allowance.take(os.stat(name, dir_fd=at, follow_symlinks=False).st_size)


def build_default(target: Path, suite: str = SUITE, mirror: str | None = None) -> None:
    """Fill `target` with Debian and the usual tools. Raises ImageError."""
    if child.find("debootstrap") is None:
        raise ImageError("debootstrap is needed: try `apt-get install debootstrap`")
    run("debootstrap", "--variant=minbase", f"--include={','.join(TOOLS)}", suite, str(target), *filter(None, [mirror]))
    for spare in ("var/cache/apt/archives", "var/lib/apt/lists"):
        shutil.rmtree(target / spare, ignore_errors=True)


def run(*command: str) -> None:
    """Run a command. Raises ImageError with the end of its output if it fails."""
    done = child.run(command, capture_output=True, env=child.environment(LC_ALL="C"))
    if done.returncode:
        words = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()[-3:]
        raise ImageError(f"{command[0]} failed: {' '.join(words)}")


# -- archives ----------------------------------------------------------------------------------


def fill_from_archive(source: Path, target: Path, allowance: Allowance) -> None:
    """Fill `target` from an OCI archive, or from any other archive as one layer. Raises ImageError."""
    if tarfile.is_tarfile(source):  # else it may be compressed in a way that the standard library does not know
        with tarfile.open(source, tarinfo=unpack.Bounded) as archive:
            if members := oci_members(archive, allowance):
                unpack_oci(archive_layout(archive, members), target, allowance)
                return
    with open(source, "rb") as file:
        unpack_layer(file, target, allowance)


def oci_members(archive: tarfile.TarFile, allowance: Allowance) -> dict[str, tarfile.TarInfo] | None:
    """The files of an OCI archive by name; None for any other archive. Raises ImageError."""
    members = unpack.Bounds(allowance.bytes, allowance.files).of(archive)
    try:
        found = {os.path.normpath(member.name): member for member in islice(members, OCI_FILES) if member.isreg()}
    except unpack.TooMuchError as error:
        raise ImageError(f"an archive cannot be unpacked: {error}") from None
    return found if "index.json" in found else None


class Readable(Protocol):
    """A readable file."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; fewer only at the end."""


class Layout(Protocol):
    """An OCI layout: documents and blobs by their digests, and an index that leads to the others."""

    def index(self) -> Any: ...

    def manifest(self, digest: str) -> AbstractContextManager[Readable]: ...

    def blob(self, digest: str) -> AbstractContextManager[Readable]: ...


class FileLayout:
    """An OCI layout of files; `open_file` raises KeyError or FileNotFoundError for a missing one."""

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


def archive_layout(archive: tarfile.TarFile, members: dict[str, tarfile.TarInfo]) -> FileLayout:
    """The layout of an OCI archive with these members."""

    def open_file(name: str) -> IO[bytes]:
        file = archive.extractfile(members[name])
        if file is None:
            raise KeyError(name)
        return file

    return FileLayout(open_file)


def unpack_oci(layout: Layout, target: Path, allowance: Allowance | None = None) -> None:
    """Unpack all layers of an image. Raises ImageError."""
    allowance = allowance or Allowance()
    try:
        manifest = find_manifest(layout, layout.index())
        refuse_strange(read_document(layout.blob, manifest["config"]))
        if len(manifest["layers"]) > MAX_LAYERS:
            raise ImageError(f"the image has {len(manifest['layers'])} layers, of at most {MAX_LAYERS}")
        for descriptor in manifest["layers"]:
            with layout.blob(digest_of(descriptor)) as file:
                unpack_layer(file, target, allowance, descriptor["digest"], size_of(descriptor))
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
    """Whether a platform is this machine's; a missing field matches."""
    return (platform_told.get("os", "linux"), platform_told.get("architecture", machine())) == ("linux", machine())


def refuse_strange(config: Any) -> None:
    """Raises ImageError for an image of another platform: a single image states it only in its configuration."""
    if not fits(config):
        raise ImageError(f"the image is for {config.get('os')} on {config.get('architecture')}, not on {machine()}")


def machine() -> str:
    return MACHINES.get(platform.machine(), platform.machine())


def read_document(open_part: Callable[[str], AbstractContextManager[Readable]], descriptor: Any) -> Any:
    """Parse the document of a descriptor, after checking its digest. Raises ImageError."""
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


def size_of(descriptor: Any) -> int:
    """The size of a part in bytes, from its descriptor. Raises ImageError."""
    size = descriptor.get("size")
    if not isinstance(size, int) or size < 0:
        raise ImageError(f"the image does not say the size of {descriptor['digest']}")
    return size


def unpack_layer(
    file: Readable, target: Path, allowance: Allowance, digest: str | None = None, size: int | None = None
) -> None:
    """Unpack one layer over what is there, and deduct its contents from the allowance. Raises ImageError."""
    seen, read = hashlib.sha256(), 0
    command = [sys.executable, "-I", unpack.__file__, str(target), str(allowance.bytes), str(allowance.files)]
    with child.start(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as unpacker:
        assert unpacker.stdin and unpacker.stdout and unpacker.stderr
        try:
            while chunk := file.read(CHUNK):
                seen.update(chunk)
                read += len(chunk)
                allowance.check_time()
                if read > (allowance.bytes if size is None else size):
                    raise ImageError(f"{digest or 'the archive'} has more bytes than it may have")
                unpacker.stdin.write(chunk)
            unpacker.stdin.close()
        except BrokenPipeError:
            pass  # its exit status and words say why
        except BaseException:
            unpacker.kill()
            raise
        why = unpacker.stderr.read().decode(errors="replace").strip()
        left = unpacker.stdout.read().split()
    if unpacker.returncode:
        raise ImageError(f"an archive cannot be unpacked: {why.splitlines()[-1] if why else unpacker.returncode}")
    if digest is not None and digest != f"sha256:{seen.hexdigest()}":
        raise ImageError(f"the image is damaged: {digest} has other contents")
    allowance.bytes, allowance.files = map(int, left)
