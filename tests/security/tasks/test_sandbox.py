"""What a task cannot do to the machine, to the service and to others, in every kind of instance that is a process."""

from __future__ import annotations

import ctypes
import functools
import os
import platform
import socket
import struct
import subprocess
from pathlib import Path

import pytest

from datapath.host_view import HIDDEN, PROGRAMS, UNCHANGEABLE
from datapath.passing import Holds
from tests.security.tasks.conftest import ask, needs_python_on_x86_64, python
from tests.support.nodes import lackey_instance
from tests.support.nodes.lackey_instance import Instance, Mode, processes_with, unique_seconds

pytestmark = needs_python_on_x86_64


# ---- what is seen of the machine ----

OWN = {"assets", "dev", "home", "manta", "media", "mnt", "proc", "root", "run", "sys", "tmp", "var", ".remora"}


@pytest.fixture
def rooted(mode: Mode) -> Mode:
    """A mode whose instances have a root of their own."""
    if mode.isolation != "namespaces":
        pytest.skip("that is for instances with a root of their own")
    return mode


def test_of_the_machine_only_directories_with_programs_are_seen(rooted: Mode) -> None:
    instance = Instance(rooted)
    names = instance.run("ls -A /; ls -A /home /mnt /media /root /var /sys/fs 2> /dev/null").stdout.split()
    instance.close()
    there = {path[1:] for path in PROGRAMS if os.path.exists(path)}
    assert set(names[: len(OWN | there)]) == OWN | there
    assert "tmp" in names  # of /var
    assert not {"lib", "cgroup"} & set(names[len(OWN | there) :])


def test_a_directory_is_shown_if_the_operator_says_so_but_for_what_is_hidden(rooted: Mode, place: Path) -> None:
    for name in ("data", "objects"):
        (place / name).mkdir()
        (place / name / "file").write_text(f"{name}\n")
    (place / "key").write_text("secret\n")
    hidden = [f"--hide={place / name}" for name in ("objects", "key")]
    before = Instance(rooted)
    assert "No such file" in before.run(f"ls {place}").stderr
    before.close()
    instance = Instance(rooted, (f"--show-dir={place}", *hidden))
    shown = instance.run(f"cd {place}; cat data/file; ls objects; cat key; echo x > data/new; echo x > /tmp/own")
    undone = instance.run(f"umount {place}/objects; unshare -Urm umount {place}/key; cat {place}/*/file {place}/key")
    instance.close()
    assert shown.stdout == undone.stdout == "data\n"
    assert shown.stderr.count("Read-only file system") == 1


def test_parts_of_var_can_be_shown_and_its_tmp_stays_ones_own(rooted: Mode) -> None:
    instance = Instance(rooted, ("--show-dir=/var/lib", "--show-dir=/usr/share"))
    outcome = instance.run("ls /var/lib | head -1; ls -A /var/tmp; echo x > /var/tmp/x; ls /var")
    instance.close()
    assert outcome.stdout.split() == [sorted(os.listdir("/var/lib"))[0], "lib", "tmp"]
    assert outcome.stderr == ""


def test_an_instance_sees_its_own_control_group_and_no_other(rooted: Mode, place: Path) -> None:
    (place / "memory.limit_in_bytes").write_text("7\n")
    instance = Instance(rooted, (f"--group={place}",))
    outcome = instance.run("ls /sys/fs/cgroup; cat /sys/fs/cgroup/memory/*; cat /sys/devices/system/cpu/online")
    instance.close()
    assert outcome.stdout == "memory\n7\n" + Path("/sys/devices/system/cpu/online").read_text()


def test_files_of_the_kernel_tell_nothing_of_others_and_cannot_be_changed(rooted: Mode) -> None:
    instance = Instance(rooted)
    hidden = [path for path in HIDDEN if os.path.exists(path)]
    outcome = instance.run(
        f"cat $(find {' '.join(hidden)} -type f -o -type c); find {' '.join(hidden)} -mindepth 1; "
        f"findmnt -rno OPTIONS {' -T '.join(['', *filter(os.path.exists, UNCHANGEABLE)])} | cut -d, -f1"
    )
    knobs = "kernel/shmmax kernel/core_pattern kernel/msgmax fs/mqueue/msg_max net/ipv4/ip_forward vm/overcommit_memory"
    tried = instance.run(f"for knob in {knobs}; do echo 1 > /proc/sys/$knob; done")
    instance.close()
    assert hidden
    assert outcome.stdout.replace("ro\n", "") == ""
    assert tried.stderr.count("Read-only file system") + tried.stderr.count("Permission denied") == 6


def test_what_tasks_share_by_name_is_bounded_as_their_files_are(rooted: Mode) -> None:
    instance = Instance(rooted)
    outcome = instance.run("head -c 100m /dev/zero > /dev/shm/x; stat -c %s /dev/shm/x; cat /proc/sys/kernel/shmall")
    instance.close()
    size, pages = map(int, outcome.stdout.split())
    assert size <= 64 << 20
    if tuple(map(int, platform.release().split(".")[:2])) >= (6, 9):
        assert pages * os.sysconf("SC_PAGE_SIZE") <= 64 << 20


def test_processes_of_an_instance_can_be_limited(mode: Mode) -> None:
    if mode.user is None and mode.isolation == "subreaper":
        pytest.skip("the kernel does not limit root's processes")
    instance = Instance(mode, ("--processes=50",))
    fork = """
import os, signal
try:
    for n in range(100): os.fork() or signal.pause()
except BlockingIOError:
    print(n)
"""
    made = int(python(instance, fork))
    assert instance.run("echo on").stdout == "on\n"
    instance.close()
    assert made < 50


# ---- without namespaces ----


def test_files_of_the_user_of_the_service_are_out_of_reach(confined: Instance, place: Path) -> None:
    key = place / "id_ed25519"
    key.write_text("private\n")
    key.chmod(0o600)
    os.chown(key, confined.mode.owner, -1)
    os.chown(place, confined.mode.owner, -1)
    outcome = confined.run(
        f"cat {key}; ls {place}; echo x > {place}/new; echo x >> {key}; rm {key}; mv {key} .; ln {key} .; "
        f"ln -s {key} l; cat l; ls {confined.base}; ls ..; head -c 1 /dev/sda /dev/mem; ls /root /home /var/lib /run; "
        f"echo x > /tmp/x; cat /proc/{os.getpid()}/environ; cat < /proc/{os.getpid()}/root/etc/passwd"
    )
    assert outcome.stdout == ""
    assert key.read_text() == "private\n"
    assert os.listdir(place) == ["id_ed25519"]


def test_its_input_cannot_be_changed_by_the_user_who_owns_it(confined: Instance) -> None:
    blob = confined.link_input("in", b"precious\n")
    with open(blob, "rb") as stdin:
        outcome = confined.run(
            "chmod u+w ../input/in; echo x > ../input/in; echo x >> /dev/stdin; truncate -s 0 ../input/in; "
            "rm -f ../input/in; mv ../input/in .; touch ../input/new; cat /dev/stdin ../input/in",
            stdin.fileno(),
        )
    assert outcome.stdout == "precious\nprecious\n"
    assert blob.read_bytes() == b"precious\n"
    assert os.listdir(confined.work / "input") == ["in"]


def test_other_processes_of_its_user_are_out_of_reach(confined: Instance) -> None:
    seconds = unique_seconds()
    bystander = subprocess.Popen(["sleep", seconds], user=confined.mode.user)
    try:
        lackey = confined.ready.pid
        tried = confined.run(
            f"kill -9 {bystander.pid}; kill -STOP {lackey}; kill {lackey} {os.getpid()}; "
            f"cat /proc/{bystander.pid}/mem /proc/{bystander.pid}/environ /proc/{bystander.pid}/fd/0; "
            f"readlink /proc/{bystander.pid}/fd/0 /proc/{lackey}/exe"
        )
        assert tried.stdout == ""
        assert confined.run("echo on").stdout == "on\n"
        assert processes_with(seconds) == [bystander.pid]
    finally:
        bystander.kill()
        bystander.wait()


def test_unix_sockets_of_others_are_out_of_reach(confined: Instance, place: Path) -> None:
    connect = (
        "import socket\n"
        "for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):\n"
        "    for name in NAMES:\n"
        "        try: socket.socket(socket.AF_UNIX, kind).connect(name); print('in', kind, name)\n"
        "        except OSError: pass\n"
        "for name in NAMES:\n"
        "    try: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].sendto(b'x', name); print('sent', name)\n"
        "    except OSError: pass\n"
    )
    abstract = f"\0remora-{unique_seconds()}"
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as agent,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log,
        socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as unnamed,
    ):
        for bound, name in ((agent, str(place / "agent")), (log, str(place / "log")), (unnamed, abstract)):
            bound.bind(name)
            if not name.startswith("\0"):
                os.chmod(name, 0o777)
        agent.listen()
        unnamed.listen()
        names = [str(place / "agent"), str(place / "log"), abstract]
        assert python(confined, f"NAMES = {names!r}\n{connect}") == ""


def test_what_others_have_in_memory_by_name_is_not_there(confined: Instance) -> None:
    calls = {
        "shmget": [29, 1, 4096, 0o1666],
        "msgget": [68, 1, 0o1666],
        "semget": [64, 1, 1, 0o1666],
        "mq_open": [240] + [0] * 4,
    }
    assert set(ask(confined, calls).values()) == {"ENOSYS"}


def test_a_task_without_namespaces_has_its_own_files_and_the_machines_programs(confined: Instance) -> None:
    outcome = confined.run(
        "mkdir a b && echo text > a/f && mv a/f b/g && ln b/g h && ln -s h l && cat l && "
        "mkfifo p && rm -r a b h l p && echo y > assets/y && echo err > /dev/stderr && echo x > /dev/null && "
        "head -c 1 /dev/urandom > r && "
        "python3 -c 'import sys; print(1)' && getent passwd root | cut -d: -f1 && cat /proc/self/comm"
    )
    assert (outcome.code, outcome.stdout, outcome.stderr) == (0, "text\n1\nroot\ncat\n", "err\n")


def test_nothing_that_a_kernel_has_is_left_out(instance: Instance) -> None:
    release = tuple(map(int, platform.release().split(".")[:2]))
    expected = Holds.CALLS | (Holds.FILES | Holds.SIGNALS if instance.ready.namespaces else Holds(0))
    if release >= (6, 12):
        expected = Holds.CALLS | Holds.FILES | Holds.SIGNALS | Holds.SOCKETS
    assert instance.ready.holds & expected == expected


def without_landlock() -> None:
    """Have the kernel say that it has none, to this process and its children."""
    libc, steps = (
        ctypes.CDLL(None, use_errno=True),
        [(0x20, 0, 0, 0), (0x15, 0, 1, 444), (6, 0, 0, 0x50026), (6, 0, 0, 0x7FFF0000)],
    )
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("@HP", len(steps), ctypes.addressof(code)))
    assert libc.prctl(38, 1, 0, 0, 0) == 0
    assert libc.prctl(22, 2, program) == 0


def test_a_kernel_without_landlock_runs_tasks_and_says_what_does_not_hold(
    mode: Mode, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = functools.partial(subprocess.Popen, preexec_fn=without_landlock)
    monkeypatch.setattr(lackey_instance.subprocess, "Popen", older)
    instance = Instance(mode)
    assert instance.run("echo on").stdout == "on\n"
    instance.close()
    kept = Holds.FILES | Holds.SIGNALS if instance.ready.namespaces else Holds(0)
    assert instance.ready.holds == Holds.CALLS | kept
