"""The root file system of a container: a read-only image, below a disk of its own.

Two layers make an overlay. The lower one is the image, a directory, its users mapped to those of
the instance. The upper one is on the instance's disk, so that all writes of a task, to any path,
count against its cap. Where there is no image, the lower layer is a skeleton of links, and the
machine's own directories with programs are mounted over it, read-only.

Directories of ours (`/manta`, `/assets`) are made in the upper layer before the two are joined: an
image may have other files under these names, even links to elsewhere.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from datapath.host_view import PROGRAMS
from scheduler.providers import HostView
from scheduler.providers.containerd import mounts
from scheduler.providers.containerd.disk import mount_disk
from scheduler.providers.containerd.spec import READ_ONLY, Mount, bind
from scheduler.providers.linux.user_namespace import block_namespace

OURS = (("manta", 0o755), ("assets", 0o755), (".remora", 0o755))
# Directories that an image brings, and that are made if the machine is the image.
FRESH = (
    *(("tmp", 0o1777), ("root", 0o700), ("home", 0o755), ("run", 0o755), ("mnt", 0o755), ("media", 0o755)),
    *(("var", 0o755), ("var/tmp", 0o1777)),
)
OVERLAY = "index=off,metacopy=off,redirect_dir=off,volatile"


@dataclass(frozen=True, slots=True)
class Plan:
    """The parameters of one root file system."""

    work: Path
    image: Path | None  # None: the machine itself
    disk_bytes: int
    first_user: int
    users: int


def build(plan: Plan) -> Path:
    """Mount the root file system of an instance and return its path: nothing else stays mounted. Raises OSError."""
    disk, lower, root = (plan.work / name for name in ("disk", "lower", "root"))
    for path in (disk, lower, root):
        path.mkdir(mode=0o700)
    owner = plan.first_user
    with ExitStack() as stack:
        mount_disk(plan.work / "disk.image", disk, plan.disk_bytes, owner)
        stack.callback(mounts.unmount, disk)
        upper = make_upper(disk, owner, fresh=plan.image is None)
        if plan.image is None:
            copy_links(lower)
        else:
            show_image(plan, lower)
            stack.callback(mounts.unmount, lower)
        options = f"lowerdir={lower},upperdir={upper},workdir={disk / 'work'},{OVERLAY}"
        mounts.mount("overlay", root, "overlay", mounts.NOSUID | mounts.NODEV, options)
    return root


@contextlib.contextmanager
def within_reach(root: Path, place: Path) -> Iterator[Path]:
    """Show a root at a path that the container's users can reach: they cannot pass through our state directory."""
    place.mkdir(mode=0o711, exist_ok=True)  # an agent that was killed at this moment has left it
    try:
        mounts.attach(root, place)
        yield place
    finally:
        mounts.unmount(place)
        place.rmdir()


def make_upper(disk: Path, owner: int, fresh: bool) -> Path:
    """Make the upper layer on the instance's disk, with the directories of ours; returns its path."""
    upper = disk / "upper"
    make(upper, 0o755, owner)
    make(disk / "work", 0o700, owner)
    for name, mode in (*OURS, *(FRESH if fresh else ())):
        make(upper / name, mode, owner)
    return upper


def make(path: Path, mode: int, owner: int) -> None:
    path.mkdir()
    os.chown(path, owner, owner)
    path.chmod(mode)


def show_image(plan: Plan, lower: Path) -> None:
    assert plan.image is not None
    with block_namespace(plan.first_user, plan.users) as namespace:
        mounts.attach(plan.image, lower, mounts.ATTR_SEALED, namespace)


def copy_links(skeleton: Path) -> None:
    """Copy the links in the machine's root, such as `/bin` to `/usr/bin`."""
    for path in PROGRAMS:
        if os.path.islink(path):
            (skeleton / path[1:]).symlink_to(os.readlink(path))


def machine_mounts(view: HostView) -> tuple[Mount, ...]:
    """Mounts of the machine's programs, of what else is shown, and of empty directories over what is hidden."""
    programs = [path for path in PROGRAMS if os.path.isdir(path) and not os.path.islink(path)]
    shared = [*programs, *(str(path) for path in view.show if not any(map(path.is_relative_to, programs)))]
    covered = [path for path in view.hide if path.exists() and any(map(path.is_relative_to, shared))]
    return (*(bind(place, place, ["rro", *READ_ONLY]) for place in shared), *map(cover, covered))


def cover(path: Path) -> Mount:
    if not path.is_dir():
        return bind("/dev/null", str(path))
    empty = ["ro", "nosuid", "nodev", "mode=555", "size=4k"]
    return {"destination": str(path), "type": "tmpfs", "source": "tmpfs", "options": empty}


def network_files() -> tuple[Mount, ...]:
    """Mounts of the machine's resolver configuration, since the container has the machine's network.

    The machine's own `/etc` has these files too, but often as links into `/run`, which tasks have for themselves.
    """
    files = ("/etc/resolv.conf", "/etc/hosts")
    return tuple(bind(os.path.realpath(file), file) for file in files if os.path.exists(file))
