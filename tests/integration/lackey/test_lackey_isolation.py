"""What a task inside an instance of its own cannot do."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from datapath import libexec
from datapath.passing import accept, listen
from tests.support.nodes.lackey_instance import (
    NAMESPACES,
    SECONDS,
    Instance,
    Mode,
    processes_with,
    skip_if_refused,
    unique_seconds,
    wait_gone,
)

CONTENT = b"precious\n"
HIDDEN = "/usr/share"


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A directory that every user may enter."""
    directory = Path(tempfile.mkdtemp(prefix="lackey-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(params=NAMESPACES, ids=str)
def mode(request: pytest.FixtureRequest) -> Mode:
    chosen: Mode = request.param
    skip_if_refused(chosen)
    return chosen


@pytest.fixture
def instance(mode: Mode) -> Iterator[Instance]:
    running = Instance(mode, (f"--hide={HIDDEN}",))
    yield running
    running.close()


WAYS_TO_WRITE = [
    "echo x > /manta/in",
    "echo x >> /manta/in",
    "echo x > $MANTA_INPUT_FILE",
    "chmod u+w /manta/in && echo x > /manta/in",
    "chown 0 /manta/in && echo x > /manta/in",
    "rm -f /manta/in",
    "mv /manta/in /tmp/in",
    "ln /manta/in /tmp/in && echo x > /tmp/in",
    "truncate -s 0 /manta/in",
    "touch /manta/new",
    "echo x > /dev/stdin",
    "echo x >> /dev/stdin",
    "echo x > /proc/self/fd/0",
    "chmod u+w /proc/self/fd/0 && echo x > /proc/self/fd/0",
    "exec 5<>/dev/stdin && echo x >&5",
    "mount -o remount,rw /manta && echo x > /manta/in",
    "mount -o remount,bind,rw /manta && echo x > /manta/in",
    "umount /manta",
    "umount -l /manta",
    "unshare -Ur sh -c 'mount -o remount,bind,rw /manta && echo x > /manta/in'",
    "unshare -Urm sh -c 'umount /manta'",
    "unshare -Urm sh -c 'mount -o remount,bind,rw /manta; echo x > /manta/in'",
    "unshare -m umount /manta",
    "echo x > /usr/bin/x",
    "echo x > /etc/passwd",
    "mount -t tmpfs none /mnt",
    "mount --bind /tmp /usr",
    "mknod /dev/mem c 1 1",
    "mknod /tmp/mem c 1 1",
    "chroot / true",
    "hostname intruder",
]


@pytest.mark.parametrize("way", WAYS_TO_WRITE)
def test_neither_input_nor_machine_can_be_changed(instance: Instance, way: str) -> None:
    blob = instance.link_input("in", CONTENT)
    before = os.stat(blob)
    stdin = os.open(blob, os.O_RDONLY)
    outcome = instance.run(way, stdin, {"MANTA_INPUT_FILE": "/manta/in"})
    os.close(stdin)
    assert outcome.code != 0, outcome.stdout
    assert blob.read_bytes() == CONTENT
    after = os.stat(blob)
    assert (after.st_mode, after.st_uid, after.st_nlink) == (before.st_mode, before.st_uid, before.st_nlink)
    assert os.listdir(instance.work / "input") == ["in"]


def test_the_input_is_seen_by_descriptor_and_by_name(instance: Instance) -> None:
    blob = instance.link_input("in", CONTENT)
    stdin = os.open(blob, os.O_RDONLY)
    outcome = instance.run('cat; cat "$MANTA_INPUT_FILE"', stdin, {"MANTA_INPUT_FILE": "/manta/in"})
    os.close(stdin)
    assert outcome.stdout == 2 * CONTENT.decode()


def test_an_input_file_that_is_not_the_input_does_not_replace_it(instance: Instance) -> None:
    instance.link_input("other", b"other\n")
    stdin = os.open(instance.link_input("in", CONTENT), os.O_RDONLY)
    outcome = instance.run("cat", stdin, {"MANTA_INPUT_FILE": "/manta/other"})
    os.close(stdin)
    assert outcome.stdout == CONTENT.decode()


def test_what_is_linked_later_appears(instance: Instance) -> None:
    assert instance.run("ls /manta").stdout == ""
    instance.link_input("late", CONTENT)
    assert instance.run("ls /manta; cat /manta/late").stdout == "late\n" + CONTENT.decode()


def test_hidden_directories_are_empty_and_cannot_be_uncovered(instance: Instance) -> None:
    assert os.listdir(HIDDEN)
    outcome = instance.run(
        f"ls -A {HIDDEN}; umount {HIDDEN}; touch {HIDDEN}/x; unshare -Urm umount {HIDDEN}; ls {HIDDEN}"
    )
    assert (outcome.code, outcome.stdout) == (0, "")


def test_homes_and_temporary_files_of_the_host_are_not_there(instance: Instance) -> None:
    outcome = instance.run("ls -A /root /home /run /tmp /var/tmp /mnt /media /assets | grep -v :")
    assert outcome.stdout.strip() == ""


def test_the_instances_own_directories_are_writable_and_lie_in_the_work_directory(instance: Instance) -> None:
    places = {
        "/x": "root/x",
        "/tmp/x": "root/tmp/x",
        "/root/x": "root/root/x",
        "/var/tmp/x": "var-tmp/x",
        "/assets/x": "assets/x",
    }
    script = "; ".join(f"echo {path} > {path}" for path in [*places, "/dev/shm/x"])
    assert instance.run(script).stderr == ""
    for path, seen in places.items():
        assert (instance.work / seen).read_text() == f"{path}\n"


def test_the_task_is_user_0_inside_and_nobody_special_outside(instance: Instance, mode: Mode) -> None:
    outcome = instance.run("id -u; pwd; touch /made; grep CapEff /proc/self/status; grep NoNewPrivs /proc/self/status")
    assert outcome.stdout.split() == ["0", "/", "CapEff:", "00000000000000fb", "NoNewPrivs:", "1"]
    assert (instance.work / "root" / "made").stat().st_uid == mode.owner


def test_no_process_of_the_host_is_seen(instance: Instance) -> None:
    outcome = instance.run("cd /proc; for p in [0-9]*; do cat $p/comm; done; tr '\\0' ' ' < /proc/1/cmdline")
    assert "lackey" in outcome.stdout
    assert set(outcome.stdout.split()) == {"lackey", "bash", str(libexec("lackey"))}


ATTACKS = [
    "kill -9 -1",
    "kill -9 1; kill -STOP 1; kill -TERM 1; kill -CHLD 1",
    "cat /proc/1/mem /proc/1/environ; ls /proc/1/fd /proc/1/root/; readlink /proc/1/exe",
    "exec 0<&- 1>&- 2>&-",
    'for fd in {0..300}; do eval "exec $fd>&-"; done',
    "ulimit -u 300; f() { f | f & }; f; exit",  # a bomb that goes off while the task ends
    "ulimit -n 4; ulimit -v 100000; exec cat",
    "trap '' TERM INT HUP; kill -KILL $$",
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_hostile_task_leaves_the_lackey_in_order(instance: Instance, attack: str) -> None:
    instance.run(attack)
    processes = instance.run("echo /proc/[0-9]*").stdout.split()
    assert len(processes) == 2, processes  # the lackey, and the shell that looks
    assert instance.process.poll() is None


def test_the_lackey_cannot_be_looked_into(instance: Instance) -> None:
    ways = ["cat /proc/1/environ", "cat /proc/1/mem", "ls /proc/1/fd", "ls /proc/1/root/", "readlink -e /proc/1/exe"]
    outcome = instance.run(" || ".join(ways))
    assert (outcome.code, outcome.stdout) == (1, "")


def test_killing_the_monitor_kills_everything(mode: Mode) -> None:
    seconds = unique_seconds()
    instance = Instance(mode)
    instance.submit_until_running(f"setsid sleep {seconds} & echo running; sleep {seconds}")
    pids = processes_with(seconds)
    assert pids
    instance.process.kill()
    for pid in pids:
        wait_gone(pid)
    instance.close()


CONNECT = 'socket(S, AF_UNIX, SOCK_SEQPACKET, 0) && connect(S, sockaddr_un("/.remora/agent.sock")) or die $!'


def test_the_agents_socket_is_where_tools_look_for_it(mode: Mode, reachable: Path) -> None:
    directory = reachable / ("long" * 40)  # more than fits into a socket's address
    directory.mkdir()
    with listen(directory / "agent.sock") as listener:
        instance = Instance(mode, (f"--agent-socket={directory}/agent.sock",))
        outcome = instance.run(f"perl -MSocket -e '{CONNECT}'")
        instance.close()
        assert outcome.stderr == ""
        channel = accept(listener)
        assert channel.receive() is None
        channel.close()


def test_tools_are_where_tasks_look_for_them_and_cannot_be_replaced(mode: Mode, reachable: Path) -> None:
    tool = reachable / "tool"
    tool.write_text("#!/bin/sh\necho tool\n")
    tool.chmod(0o755)
    for path in (reachable, tool):
        os.chown(path, mode.owner, -1)
    instance = Instance(mode, (f"--tools={reachable}",))
    outcome = instance.run("/.remora/bin/tool; rm -rf /.remora/bin; echo x > /.remora/bin/tool")
    instance.close()
    assert (outcome.stdout, outcome.code) == ("tool\n", 1)
    assert tool.exists()


def test_what_is_shown_appears_under_its_name_and_is_read_only(mode: Mode, reachable: Path) -> None:
    (reachable / "file").write_text("a file\n")
    (reachable / "directory").mkdir()
    (reachable / "directory" / "entry").write_text("an entry\n")
    (reachable / "link").symlink_to("file")
    for path in (reachable, *reachable.rglob("*")):
        os.chown(path, mode.owner, -1, follow_symlinks=False)
    shown = {"some/where/file": "file", "some/directory": "directory", "linked": "link"}
    instance = Instance(mode, tuple(f"--show={name}={reachable / path}" for name, path in shown.items()))
    outcome = instance.run(
        "cd /.remora; cat some/where/file some/directory/entry linked; echo x >> linked; echo x > some/directory/new"
    )
    instance.close()
    assert outcome.stdout == "a file\nan entry\na file\n"
    assert outcome.stderr.count("Read-only file system") == 2
    assert (reachable / "file").read_text() == "a file\n"


def test_a_name_that_is_too_long_to_be_shown_is_said(mode: Mode, reachable: Path) -> None:
    with pytest.raises(AssertionError, match=r"showing x+\.\.\.: File name too long"):
        Instance(mode, (f"--show={'x' * 250}={reachable}",))


def test_a_work_directory_is_not_used_twice(mode: Mode) -> None:
    instance = Instance(mode)
    try:
        with pytest.raises(AssertionError, match=r"making .*/root: File exists"):
            Instance(mode, base=instance.base)
    finally:
        instance.close()


def test_auto_falls_back_to_the_subreaper_and_says_why(mode: Mode) -> None:
    used = Instance(mode)
    fallen = Instance(mode._replace(isolation="auto"), base=used.base)
    assert not fallen.ready.namespaces
    assert fallen.ready.why.endswith("/root: File exists")
    assert fallen.run("echo on").stdout == "on\n"
    fallen.channel.close()
    fallen.process.communicate(timeout=SECONDS)
    used.close()


def test_loopback_is_reachable(instance: Instance) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert instance.run(f"exec 3<>/dev/tcp/127.0.0.1/{port}").code == 0
