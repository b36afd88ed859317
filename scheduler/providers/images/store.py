"""Images: the root file systems of containers, and the versions by which jobs ask for them.

An image is an immutable directory with an id. A job asks for a range of *versions*, and a version
is a link to an image: one image may have several, and a version may move to another image while
instances continue with the one they began with.

    images/store/3f0a…/root        the tree, with its own owners and modes
    images/store/3f0a…/image.json  where it came from, and when
    images/versions/16.1.0         -> ../store/3f0a…

Each user of an image holds a lock on its `image.json`. An image that has no version any more is
removed once no lock is held. An image in the making has no `image.json` yet.

The machine itself serves as the image of every published version that was not imported.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from scheduler.model import semver
from scheduler.model.tiers import IMAGES

# Tasks need no more of an image than a shell.
SHELLS = ("bin/bash", "usr/bin/bash", "usr/local/bin/bash")


class ImageError(Exception):
    """An image cannot be used or made; the text is a sentence for the operator."""


@dataclass(frozen=True, slots=True)
class Image:
    """An image, as `image list` shows it."""

    id: str
    source: str
    created: str  # ISO 8601
    versions: tuple[str, ...] = ()


class ImageStore:
    """The images below one directory, which need not exist."""

    def __init__(self, directory: Path) -> None:
        self._store = directory / "store"
        self._links = directory / "versions"

    def versions(self) -> dict[str, str]:
        """The image's id of each version that was imported."""
        found = {}
        with contextlib.suppress(FileNotFoundError):
            for link in self._links.iterdir():
                if link.is_symlink() and is_version(link.name) and (link / "image.json").exists():
                    found[link.name] = Path(os.readlink(link)).name
        return found

    def offered(self) -> tuple[str, ...]:
        """All versions that a job may ask for here."""
        return tuple({*IMAGES, *self.versions()})

    def resolve(self, wanted: str) -> tuple[str, str | None]:
        """The newest version that a range allows, and its image's id; None: the machine itself. Raises ImageError."""
        try:
            version = semver.newest(self.offered(), wanted)
        except ValueError:
            version = None
        if version is None:
            raise ImageError(f"no image here has a version in {wanted!r}")
        return version, self.versions().get(version)

    @contextlib.contextmanager
    def using(self, image: str) -> Iterator[Path]:
        """The root of an image, which is locked against removal meanwhile. Raises ImageError."""
        try:
            lock = os.open(self._store / image / "image.json", os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise ImageError(f"image {image} is gone: {error.strerror}") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            yield self._store / image / "root"
        except BlockingIOError:
            raise ImageError(f"image {image} is being removed") from None
        finally:
            os.close(lock)

    def list(self) -> list[Image]:
        """All complete images, the oldest first; those without a version are still in use."""
        names = self.versions()
        images = []
        for path in self._store.glob("*/image.json"):
            told = json.loads(path.read_text())
            mine = sorted((v for v, image in names.items() if image == told["id"]), key=semver.parse_version)
            images.append(Image(**{**told, "versions": tuple(mine)}))
        return sorted(images, key=lambda image: image.created)

    def add(self, version: str, source: str, fill: Callable[[Path], None]) -> Image:
        """Make an image with `fill`, which gets an empty directory, and give it a version. Raises ImageError."""
        check_version(version)
        image = Image(secrets.token_hex(6), source, datetime.now(UTC).isoformat())
        place = self._store / image.id
        # setuid programs of images must not be reachable by users
        self._store.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        (place / "root").mkdir(parents=True, mode=0o755)
        try:
            fill(place / "root")
            if not any(os.path.lexists(place / "root" / shell) for shell in SHELLS):
                raise ImageError(f"{source} has no bash, and tasks are bash scripts")
            (place / "root").chmod(0o755)
            (place / "new.json").write_text(json.dumps(asdict(image)))
            (place / "new.json").rename(place / "image.json")
        except BaseException as error:
            shutil.rmtree(place, ignore_errors=True)
            if isinstance(error, OSError):
                raise ImageError(f"cannot import {source}: {error}") from error
            raise
        self._link(version, image.id)
        return image

    def tag(self, version: str, new: str) -> None:
        """Give the image of `version` another version too. Raises ImageError."""
        check_version(new)
        self._link(new, self._known(version))

    def remove(self, version: str) -> bool:
        """Remove a version, and its image with the last one; False if instances still use that. Raises ImageError."""
        self._known(version)
        (self._links / version).unlink()
        return self.prune()

    def prune(self) -> bool:
        """Remove images without a version; False if one of them is in use."""
        named = set(self.versions().values())
        unused = [path.parent for path in self._store.glob("*/image.json") if path.parent.name not in named]
        removed = [remove_unless_used(place) for place in unused]
        return all(removed)

    def _known(self, version: str) -> str:
        image = self.versions().get(version)
        if image is None:
            raise ImageError(f"no image has the version {version} (see `remora image ls`)")
        return image

    def _link(self, version: str, image: str) -> None:
        self._links.mkdir(parents=True, exist_ok=True)
        fresh = self._links / f".{version}.{secrets.token_hex(4)}"
        fresh.symlink_to(f"../store/{image}")
        fresh.rename(self._links / version)
        self.prune()


def remove_unless_used(place: Path) -> bool:
    """Remove an image unless an instance uses it; returns whether it is gone."""
    with open(place / "image.json") as told:
        try:
            fcntl.flock(told, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        (place / "image.json").unlink()
        shutil.rmtree(place)
    return True


def is_version(text: str) -> bool:
    parts = text.split(".")
    return len(parts) == 3 and all(part.isascii() and part.isdigit() and str(int(part)) == part for part in parts)


def check_version(text: str) -> None:
    """Raises ImageError for a malformed version."""
    if not is_version(text):
        raise ImageError(f"{text!r} is no version: three numbers are needed, such as 16.1.0")
