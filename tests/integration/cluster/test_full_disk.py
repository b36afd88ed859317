"""A full disk: a task that fills it fails by name and nothing else does, not before a restart and not after it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from scheduler.agent.attempts.verdict import FULL_MACHINE
from tests.support.nodes.containers import CONTAINERD, PROVIDER
from tests.support.nodes.lackey_instance import Mode, skip_if_refused
from tests.support.services.objects import client
from tests.support.services.service import Service
from tests.support.services.user import User

MEGABYTE = 1 << 20
SIZE = 400 * MEGABYTE
# Seconds in which a task that fills the disk must have failed; the rest is for a busy machine.
BOUND = 5.0
PATIENCE = 4 * BOUND
STRANGER = 65534
AS_STRANGER = ("setpriv", "--reuid", str(STRANGER), "--regid", str(STRANGER), "--clear-groups")
BYSTANDER = "for i in $(seq 10); do echo line; sleep 0.1; done"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
# The mount of a namespace of its own, for who is not root: it lasts as long as this shell has a standard input.
MOUNTED = f'mount -t tmpfs -o size={SIZE} tmpfs "$1" && echo mounted && cat'


@dataclass(frozen=True)
class Disk:
    """A small file system: where it is for programs that start with `prefix`, and where we see it."""

    place: Path
    seen: Path
    prefix: tuple[str, ...] = ()


def mounted(kind: str, place: Path, image: Path) -> None:
    if kind == "tmpfs":
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", place], check=True)
        return
    with image.open("wb") as file:
        file.truncate(SIZE)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, place], check=True)


@pytest.fixture
def disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Disk]:
    """A small file system, of the kind that the test says."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() != 0:
        yield from disk_in_namespace(request.param, place)
        return
    mounted(request.param, place, tmp_path / "image")
    try:
        yield Disk(place, place)
    finally:
        subprocess.run(["umount", place], check=True)


def disk_in_namespace(kind: str, place: Path) -> Iterator[Disk]:
    """The same for an ordinary user, who is that user inside, too."""
    if kind != "tmpfs":
        pytest.skip(f"NO FULL {kind} IS TRIED: only root can mount one")
    skip_if_refused(Mode("namespaces"))
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", MOUNTED, "sh", str(place)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"mounted\n"
        seen = Path(f"/proc/{holder.pid}/root{place}")
        (place / "state").symlink_to(seen / "state")  # the mount covers it
        enter = ("nsenter", "--target", str(holder.pid), "--user", "--mount", "--preserve-credentials")
        be_us = ("unshare", "--user", f"--map-user={os.geteuid()}", f"--map-group={os.getegid()}")
        yield Disk(place, seen, enter + be_us)


def health(service: Service) -> dict[str, str]:
    return httpx.get(f"{service.url}/healthz").json()


def fill_up(user: User, command: str) -> None:
    """Run a task that fills the disk, beside one that only prints, and see that the first alone fails."""
    beside = user.create(BYSTANDER)
    user.add(beside, user.path("input"))
    user.jobs.end_input(beside)
    ended = user.run(command, inputs=[user.path("input")])
    assert (ended.error["code"], ended.error["message"]) == ("UserTaskError", FULL_MACHINE)
    bystander = user.ended(beside)
    assert (bystander.errors, user.texts(bystander)) == ([], ["line\n" * 10])


def still_works(service: Service, user: User) -> None:
    """Objects can be stored and removed, jobs run, and the service calls itself healthy."""
    user.put("removable", bytes(MEGABYTE))
    user.session.call("DELETE", user.path("removable"))
    assert user.texts(user.run("cat", inputs=[user.path("input")])) == ["text\n"]
    assert health(service)["status"] == "ok"


def fills_it_twice(service: Service, command: str) -> None:
    for _ in range(2):
        service.start()
        try:
            with client(service) as session:
                user = User(session)
                user.patience = PATIENCE
                user.put("input", b"text\n")
                fill_up(user, command)
                still_works(service, user)
        finally:
            status = service.stop()
        assert status == 0


@pytest.mark.parametrize(
    ("disk", "command"),
    [("tmpfs", "yes"), ("tmpfs", "yes > /dev/stdout"), ("ext4", "yes > file; exit 0")],
    indirect=["disk"],
)
def test_a_task_that_fills_the_disk_fails_by_name_and_nothing_else_does(disk: Disk, command: str) -> None:
    fills_it_twice(Service(disk.place / "state", prefix=disk.prefix), command)


@needs_root
@pytest.mark.skipif(PROVIDER == CONTAINERD, reason="only root has containers")
@pytest.mark.parametrize("disk", ["tmpfs", "ext4"], indirect=True)
def test_so_it_is_with_the_service_of_an_ordinary_user(disk: Disk) -> None:
    if subprocess.run(
        [*AS_STRANGER, "sh", "-c", f"exec {sys.executable} -c 'import cli'"], capture_output=True
    ).returncode:
        pytest.skip("other users cannot run this interpreter")
    for above in [disk.place.parent, *disk.place.parent.parents[:3]]:
        above.chmod(above.stat().st_mode | 0o011)
    os.chown(disk.place, STRANGER, STRANGER)
    fills_it_twice(Service(disk.place / "state", prefix=AS_STRANGER, options=("--login", "jill")), "yes > file")


@pytest.mark.parametrize("disk", ["tmpfs"], indirect=True)
def test_on_a_disk_that_something_else_has_filled_tasks_wait_and_say_why(disk: Disk) -> None:
    service = Service(disk.place / "state", prefix=disk.prefix).start()
    filler = disk.seen / "filler"
    try:
        with client(service) as session:
            user = User(session)
            user.put("input", b"text\n")
            user.put("removable", b"x")
            fill(filler)
            job = user.create("cat")
            user.add(job, user.path("input"))
            user.jobs.end_input(job)
            waiting = user.wait(job, lambda status: "waiting" in status)["waiting"]
            assert [each["phase"] for each in waiting] == [0]
            assert "cannot run tasks now: its disk is full" in waiting[0]["reason"]
            assert health(service)["status"] == "failing"
            assert "must be: make room" in health(service)["disk"]
            with session.exchange("PUT", user.path("new"), body=bytes(1000)) as reply:
                assert reply.status_code == 507
        assert service.stop() == 0
        with client(service.start()) as session:  # on the full disk
            user = User(session)
            user.session.call("DELETE", user.path("removable"))
            cancelled = user.create("cat")
            user.jobs.cancel(cancelled)
            filler.unlink()
            ended = user.ended(job)
            assert user.texts(ended) == ["text\n"]
            assert "waiting" not in ended.status
    finally:
        assert service.stop() == 0


def fill(file: Path) -> None:
    """Take all that is free of a file system."""
    with file.open("wb", buffering=0) as out:
        free = os.fstatvfs(out.fileno())
        os.posix_fallocate(out.fileno(), 0, free.f_bavail * free.f_frsize - 64 * 1024)
        try:
            while True:
                out.write(bytes(4096))
        except OSError:
            pass
