"""The root file system of a container: an image that nobody can change, below a disk of its own.

Two layers make an overlay. The lower one is the image, a directory, its users mapped to those
of the instance. The upper one is on the instance's disk, so that whatever a task writes
anywhere counts against its cap. Where there is no image, the lower layer is a skeleton of
links, and the machine's own directories are mounted over it, read-only.

Directories that belong to us (`/manta`, `/assets`) are made in the upper layer before the two
are joined: an image may have anything under these names, a link to elsewhere too.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from scheduler.providers.containerd import mounts
from scheduler.providers.containerd.disk import mount_disk
from scheduler.providers.containerd.spec import READ_ONLY, Mount, bind
from scheduler.providers.containerd.users import user_namespace

# What tasks get in another form, or not at all.
NOT_SHARED = frozenset("proc dev sys tmp root home run mnt media var lost+found manta assets .remora".split())
OURS = (("manta", 0o755), ("assets", 0o755), (".remora", 0o755))
# An image brings these; where the machine is the image, they are fresh.
FRESH = (
    *(("tmp", 0o1777), ("root", 0o700), ("home", 0o755), ("run", 0o755), ("mnt", 0o755), ("media", 0o755)),
    *(("var", 0o755), ("var/lib", 0o755), ("var/tmp", 0o1777)),
)
OVERLAY = "index=off,metacopy=off,redirect_dir=off,volatile"


@dataclass(frozen=True, slots=True)
class Plan:
    work: Path
    image: Path | None  # None: the machine itself
    disk_bytes: int
    first_user: int
    users: int


def build(plan: Plan) -> Path:
    """Mount the root file system of an instance and return where: nothing else stays mounted. Raises OSError."""
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
    """Show a root at a place that the users of a container may pass to: they build it, but not below our state."""
    place.mkdir(mode=0o711, exist_ok=True)  # an agent that was killed just then has left it
    try:
        mounts.attach(root, place)
        yield place
    finally:
        mounts.unmount(place)
        place.rmdir()


def make_upper(disk: Path, owner: int, fresh: bool) -> Path:
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
    with user_namespace(plan.first_user, plan.users) as namespace:
        mounts.attach(plan.image, lower, mounts.ATTR_SEALED, namespace)


def copy_links(skeleton: Path) -> None:
    """What the machine's root says by links: `/bin` is `/usr/bin`, say."""
    for entry in os.scandir("/"):
        if entry.is_symlink() and entry.name not in NOT_SHARED:
            (skeleton / entry.name).symlink_to(os.readlink(entry.path))


def machine_mounts(hidden: list[Path]) -> tuple[Mount, ...]:
    """The machine's directories, and emptiness over what is none of a task's business."""
    names = [e.name for e in os.scandir("/") if e.is_dir(follow_symlinks=False) and e.name not in NOT_SHARED]
    shared = [f"/{name}" for name in sorted(names)] + ["/var/lib"]
    covered = [path for path in hidden if any(path.is_relative_to(place) for place in shared)]
    empty = ["ro", "nosuid", "nodev", "mode=555", "size=4k"]
    return (
        *(bind(place, place, ["rro", *READ_ONLY]) for place in shared),
        *({"destination": str(path), "type": "tmpfs", "source": "tmpfs", "options": empty} for path in covered),
    )


def network_files() -> tuple[Mount, ...]:
    """How names are resolved is the machine's to say: its network is the container's.

    The machine's own `/etc` has them too, but often as links into `/run`, which tasks have for themselves.
    """
    files = ("/etc/resolv.conf", "/etc/hosts")
    return tuple(bind(os.path.realpath(file), file) for file in files if os.path.exists(file))
