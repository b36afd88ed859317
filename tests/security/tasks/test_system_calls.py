"""System calls and keys that a task has no business with, and those that programs need."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import threading
from pathlib import Path

import pytest

from datapath.passing import Holds
from tests.security.tasks.conftest import ASK, PYTHON, ask, needs_python_on_x86_64
from tests.support.nodes.agent_rig import rig
from tests.support.nodes.containers import CONTAINERD, needs_containers
from tests.support.nodes.lackey_instance import SECONDS, Instance, Mode, unique_seconds

pytestmark = needs_python_on_x86_64

# ---- system calls ----

HIGH = 1 << 32
# By number, since the question is what the kernel is asked, not what a library makes of it; 1 is an output.
REFUSED: dict[str, tuple[list[int], str]] = {
    "keyctl": ([250, 0, -3, 0], "EPERM"),
    "add_key": ([248, 0, 0, 0, 0, -3], "EPERM"),
    "request_key": ([249, 0, 0, 0, 0], "EPERM"),
    "bpf": ([321, 0, 0, 0], "EPERM"),
    "ptrace": ([101, 0, 0, 0, 0], "EPERM"),
    "perf_event_open": ([298, 0, 0, -1, -1, 0], "EPERM"),
    "userfaultfd": ([323, 0], "EPERM"),
    "process_vm_readv": ([310, 1, 0, 0, 0, 0, 0], "EPERM"),
    "kcmp": ([312, 1, 1, 0, 0, 0], "EPERM"),
    "personality": ([135, 0xFFFFFFFF], "EPERM"),
    "mount": ([165, 0, 0, 0, 0, 0], "EPERM"),
    "open_tree": ([428, -100, 0, 0], "EPERM"),
    "setns": ([308, 0, 0], "EPERM"),
    "unshare": ([272, 0x10000000], "EPERM"),
    "name_to_handle_at": ([303, -100, 0, 0, 0, 0], "EPERM"),
    "clone of a user namespace": ([56, 0x10000011, 0, 0, 0, 0], "EPERM"),
    "the same with more above": ([56, HIGH | 0x10000011, 0, 0, 0, 0], "EPERM"),
    "clone3": ([435, 0, 0], "ENOSYS"),
    "io_uring_setup": ([425, 1, 0], "ENOSYS"),
    "what no kernel has yet": ([600, 0], "ENOSYS"),
    "read of x32": ([0x40000000, 0, 0, 0], "ENOSYS"),
    "vsock": ([41, 40, 1, 0], "EPERM"),
    "vsock with more above": ([41, HIGH | 40, 1, 0], "EPERM"),
    "alg": ([41, 38, 5, 0], "EPERM"),
    "mptcp": ([41, 2, 1, 262], "EPROTONOSUPPORT"),
    "sctp with more above": ([41, 10, 1, HIGH | 132], "EPROTONOSUPPORT"),
    "netfilter": ([41, 16, 3, 12], "EPROTONOSUPPORT"),
    "fallocate beyond the end": ([285, 1, 1, 0, 1 << 20], "ENOTSUP"),
    "the same, with zeros": ([285, 1, 0x11, 0, 1 << 20], "ENOTSUP"),
    "fallocate with more above": ([285, 1, HIGH | 1, 0, 1 << 20], "ENOTSUP"),
    "RESVSP64": ([16, 1, 0x4030582A, 0], "EPERM"),
    "RESVSP64 with more above": ([16, 1, HIGH | 0x4030582A, 0], "EPERM"),
    "ZERO_RANGE of XFS": ([16, 1, 0x40305839, 0], "EPERM"),
    "attributes of a file": ([16, 1, 0x401C5820, 0], "EPERM"),
    "typing into a terminal": ([16, 0, 0x5412, 0], "EPERM"),
    "a lease": ([72, 0, 1024, 1], "EPERM"),
    "a lease with more above": ([72, 0, HIGH | 1024, 0], "EPERM"),
    "word of changes": ([72, 0, 1026, 1], "EPERM"),
}


def test_a_task_may_not_make_calls_that_it_has_no_business_with(instance: Instance) -> None:
    assert Holds.CALLS in instance.ready.holds
    with open(instance.link_input("in", b"precious\n"), "rb") as stdin:
        answers = ask(instance, {name: call for name, (call, _) in REFUSED.items()}, stdin.fileno())
    assert answers == {name: error for name, (_, error) in REFUSED.items()}


@needs_containers
async def test_containers_have_the_same_filter(tmp_path: Path) -> None:
    calls = {name: call for name, (call, _) in REFUSED.items()}
    code = f"CALLS = {json.dumps(calls)!r}\n{ASK}"
    async with rig(tmp_path / "state", isolation=CONTAINERD) as agent:
        said = agent.output(await agent.run(f"{PYTHON} -I -S - <<'END'\n{code}\nEND"))
    assert json.loads(said) == {name: error for name, (_, error) in REFUSED.items()}


def test_what_a_task_prints_takes_no_blocks_beyond_its_end(instance: Instance) -> None:
    ways = {name: call for name, (call, _) in REFUSED.items() if call[0] in (285, 16)}
    before = os.statvfs(instance.base).f_bfree
    ask(instance, ways)
    assert (instance.base / "1.out").stat().st_blocks * 512 < 1 << 16
    assert before - os.statvfs(instance.base).f_bfree < 1 << 20


def test_a_file_that_is_a_tasks_input_can_be_opened_by_others_at_once(instance: Instance) -> None:
    blob = instance.link_input("in", b"precious\n")
    take = "import fcntl, sys\ntry: fcntl.fcntl(0, fcntl.F_SETLEASE, fcntl.F_WRLCK)\nexcept OSError: pass\n"
    with open(blob, "rb") as stdin:
        running = f'echo running; read line < <(sleep {SECONDS}); : "$CODE"'
        reader, writer = os.pipe()
        task = instance.submit(f'{PYTHON} -I -S -c "$CODE"; {running}', stdin.fileno(), {"CODE": take}, stdout=writer)
        os.close(writer)
        assert os.read(reader, 100) == b"running\n"
        os.close(reader)
    os.chmod(blob, 0o600)  # an ordinary user opens it for writing, too
    os.close(os.open(blob, os.O_RDWR | os.O_NONBLOCK))  # would say EWOULDBLOCK if a lease had to be broken
    instance.channel.send(4, task=task)
    instance.result()


def test_the_rest_of_what_programs_do_is_left_to_them(instance: Instance) -> None:
    code = """
import fcntl, multiprocessing, os, socket, subprocess, tempfile, threading
with tempfile.TemporaryFile() as file:
    os.posix_fallocate(file.fileno(), 0, 1 << 20)
    fcntl.flock(file, fcntl.LOCK_EX)
    fcntl.fcntl(file, fcntl.F_SETFL, os.O_APPEND)
a, b = socket.socketpair()
for family in (socket.AF_INET, socket.AF_INET6):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        try: socket.socket(family, kind).close()
        except OSError as error: assert family == socket.AF_INET6, error
socket.if_nameindex()
socket.getaddrinfo("localhost", 80)
thread = threading.Thread(target=print, args=["thread"]); thread.start(); thread.join()
print(subprocess.run(["/bin/echo", "process"], capture_output=True, text=True).stdout, end="")
with multiprocessing.get_context("fork").Pool(2) as pool:
    print(pool.map(abs, [-1, 2]))
"""
    where = "/tmp" if instance.ready.namespaces else str(instance.work / "root")
    outcome = instance.run(f'exec {PYTHON} -c "$CODE"', environment={"CODE": code, "TMPDIR": where})
    assert (outcome.stdout, outcome.stderr) == ("thread\nprocess\n[1, 2]\n", "")


# ---- keys ----

SESSION, PRIVATE_TO_ITS_HOLDERS = -3, 0x3F000000


def in_a_session_with_a_key(name: str) -> None:
    """The calling thread's."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(250, 1, None) < 0:
        pytest.skip("the kernel has no keys, or gives us none")
    key = libc.syscall(248, b"user", name.encode(), b"secret", 6, SESSION)
    assert key > 0
    assert libc.syscall(250, 5, key, PRIVATE_TO_ITS_HOLDERS) == 0


def test_keys_of_the_session_that_began_the_service_are_not_the_tasks(mode: Mode) -> None:
    name, seen = f"remora-{unique_seconds()}", []

    def look() -> None:
        in_a_session_with_a_key(name)
        assert name in Path("/proc/keys").read_text()
        instance = Instance(mode)
        seen.append(instance.run("cat /proc/keys; echo end").stdout)
        instance.close()

    thread = threading.Thread(target=look)  # a session keyring is a thread's own
    thread.start()
    thread.join()
    assert seen
    assert seen[0].endswith("end\n")
    assert name not in seen[0]
    assert mode.isolation == "subreaper" or seen[0] == "end\n"


def test_a_lease_is_what_the_refusal_was_for(place: Path) -> None:
    """The attack works where no lackey stands before it: so the tests above can fail."""
    path = place / "file"
    path.touch()
    code = "import fcntl, sys; f = open(sys.argv[1]); fcntl.fcntl(f, 1024, fcntl.F_WRLCK); print(flush=True); input()"
    holder = subprocess.Popen([PYTHON, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"\n"
    try:
        with pytest.raises(BlockingIOError):
            os.open(path, os.O_RDWR | os.O_NONBLOCK)
    finally:
        holder.kill()
        holder.communicate()
