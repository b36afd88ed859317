"""What a lackey does with tasks, however it is isolated."""

from __future__ import annotations

import itertools
import os
import signal
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from datapath import libexec
from datapath.passing import DoneFlag, Kind, Slot, encode_environment, open_beneath
from tests.support.nodes.lackey_instance import (
    SECONDS,
    Instance,
    Mode,
    needs_core_files,
    processes_with,
    receive,
    unique_seconds,
    wait_gone,
)


def test_ready_says_what_isolation_was_got(instance: Instance, mode: Mode) -> None:
    assert instance.ready.namespaces == (mode.isolation == "namespaces")
    assert instance.ready.why == ("" if instance.ready.namespaces else "not asked for")
    assert Path(f"/proc/{instance.ready.pid}/comm").read_text() == "lackey\n"


def test_a_task_reads_its_input_and_writes_both_outputs(instance: Instance) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"one\ntwo\n")
    os.close(writer)
    outcome = instance.run("wc -l; echo oops >&2", stdin=reader)
    os.close(reader)
    assert (outcome.code, outcome.stdout, outcome.stderr) == (0, "2\n", "oops\n")


def test_outputs_can_be_opened_again_by_name(instance: Instance) -> None:
    outcome = instance.run("echo out > /dev/stdout; echo err > /dev/stderr")
    assert (outcome.stdout, outcome.stderr) == ("out\n", "err\n")


@pytest.mark.parametrize(("script", "code"), [("true", 0), ("exit 7", 7), ("exit 255", 255), ("no-such-program", 127)])
def test_the_exit_code_is_that_of_the_script(instance: Instance, script: str, code: int) -> None:
    assert instance.run(script).code == code


@pytest.mark.parametrize("name", ["KILL", "TERM", "PIPE", "USR1"])
def test_the_signal_that_ended_the_script_is_told(instance: Instance, name: str) -> None:
    outcome = instance.run(f"kill -{name} $$")
    assert outcome.code == -signal.Signals[f"SIG{name}"]
    assert outcome.done.flags == 0


def test_the_environment_is_what_was_given_and_the_shell(instance: Instance) -> None:
    outcome = instance.run("tr '\\0' '\\n' < /proc/$$/environ", environment={"ONE": "a b", "TWO": "x=y\nz"})
    assert outcome.stdout == "PATH=/usr/bin:/bin\nHOME=/root\nSHELL=/bin/bash\nONE=a b\nTWO=x=y\nz\n"


CAPABILITIES = {"namespaces": "00000000000000fb", "subreaper": "0000000000000000"}


def test_a_task_has_few_capabilities_and_cannot_gain_any(instance: Instance, mode: Mode) -> None:
    status = instance.run("cat /proc/self/status").stdout.splitlines()
    found = dict(line.split(":\t") for line in status if line.startswith(("Cap", "NoNewPrivs")))
    allowed = CAPABILITIES[mode.isolation]
    assert (found["CapPrm"], found["CapEff"], found["NoNewPrivs"]) == (allowed, allowed, "1")
    assert (found["CapInh"], found["CapAmb"]) == ("0" * 16, "0" * 16)
    if mode.isolation == "namespaces" or (mode.user is None and os.geteuid() == 0):
        assert found["CapBnd"] == allowed


def test_without_namespaces_a_task_is_the_user_of_the_agent_and_bound_by_modes(mode: Mode) -> None:
    if mode.isolation == "namespaces":
        pytest.skip("there a task is user 0 of its own namespace")
    instance = Instance(mode)
    try:
        blob = instance.link_input("in", b"precious\n")
        script = "id -u; for f in ../input/in /dev/stdin; do echo x > $f; echo x >> $f; done; cat ../input/in"
        with open(blob, "rb") as stdin:
            outcome = instance.run(script, stdin.fileno())
        assert outcome.stdout == f"{mode.owner}\nprecious\n"
        assert outcome.stderr.count("Permission denied") == 4
        assert blob.read_bytes() == b"precious\n"
    finally:
        instance.close()


def test_a_task_cannot_kill_everybody_of_its_user(instance: Instance, mode: Mode) -> None:
    seconds = unique_seconds()
    bystander = subprocess.Popen(["sleep", seconds], user=mode.user)
    try:
        instance.run("kill -TERM -1")
        assert instance.run("echo on").stdout == "on\n"
        assert processes_with(seconds) == [bystander.pid]
    finally:
        bystander.kill()
        bystander.wait()


def test_a_task_holds_no_descriptor_but_its_three(instance: Instance) -> None:
    outcome = instance.run("for fd in {0..300}; do [ -e /proc/$$/fd/$fd ] && echo $fd; done; true")
    assert outcome.stdout == "0\n1\n2\n"


def test_signals_and_session_are_fresh(instance: Instance) -> None:
    stat, *status = instance.run("exec cat /proc/self/stat /proc/self/status").stdout.splitlines()
    pid, _, _, _, group, session, *_ = stat.split()
    assert pid == group == session
    masks = dict(line.split() for line in status if line.startswith(("SigBlk", "SigIgn", "SigCgt")))
    assert set(masks.values()) == {"0" * 16}


def test_a_script_of_a_hundred_thousand_bytes_runs(instance: Instance) -> None:
    outcome = instance.run(": " + "x" * 99_985 + "; echo end")
    assert (outcome.code, outcome.stdout) == (0, "end\n")


def test_the_scripts_of_the_two_slots_are_kept_apart(instance: Instance) -> None:
    instance.channel.send(Kind.SCRIPT, flags=Slot.INIT, payload=b"echo init")
    assert instance.run("echo exec").stdout == "exec\n"
    null = os.open("/dev/null", os.O_RDWR)
    output = os.open(instance.base / "9.out", os.O_WRONLY | os.O_CREAT, 0o600)
    (instance.base / "9.err").touch()
    instance.channel.send(Kind.RUN, task=9, flags=Slot.INIT, fds=(null, output, null))
    os.close(null)
    os.close(output)
    assert instance.result()[1].stdout == "init\n"


def test_fifty_queued_tasks_end_in_order(instance: Instance) -> None:
    first = instance.submit("echo $N", environment={"N": "1"})
    tasks = [first] + [instance.submit_again(environment={"N": str(n)}) for n in range(2, 51)]
    results = [instance.result() for _ in tasks]
    assert [task for task, _ in results] == tasks
    assert [outcome.stdout for _, outcome in results] == [f"{n}\n" for n in range(1, 51)]
    assert all(a.done.ended_ns <= b.done.started_ns for (_, a), (_, b) in itertools.pairwise(results))


def test_a_background_process_is_gone_when_the_task_ends(instance: Instance) -> None:
    seconds = unique_seconds()
    outcome = instance.run(f"sleep {seconds} & disown; echo started")
    assert (outcome.code, outcome.stdout) == (0, "started\n")
    assert processes_with(seconds) == []


def test_a_daemon_that_forks_twice_is_gone_when_the_task_ends(instance: Instance) -> None:
    seconds = unique_seconds()
    daemon = f'trap "" HUP TERM; echo $BASHPID > pid; exec setsid sleep {seconds}'
    assert instance.run(f"setsid bash -c '({daemon}) &' & until [ -s pid ]; do :; done").code == 0
    assert processes_with(seconds) == []


def test_children_that_fork_and_die_without_end_are_caught(instance: Instance) -> None:
    seconds = unique_seconds()
    chain = f"f() {{ : {seconds}; f & }}; f; exit 3"
    outcome = instance.run(chain)
    assert outcome.code == 3
    assert processes_with(seconds) == []


def test_usage_covers_all_processes(instance: Instance) -> None:
    script = (
        "bash -c 'i=0; while ((i < 100000)); do ((i++)); done'; head -c 30000000 /dev/zero | tail -c 30000000 | wc -c"
    )
    done = instance.run(script).done
    assert done.user_us > 20_000
    assert done.max_rss_kb > 29_000
    assert done.ended_ns - done.started_ns > 10_000_000


def test_a_stopped_task_is_killed_with_all_its_processes(instance: Instance) -> None:
    seconds = unique_seconds()
    task = instance.submit_until_running(f"sleep {seconds} & echo running; sleep {seconds}")
    instance.channel.send(Kind.STOP, task=task)
    ended, outcome = instance.result()
    assert (ended, outcome.done.flags, outcome.code) == (task, DoneFlag.STOPPED, -signal.SIGKILL)
    assert processes_with(seconds) == []


def test_a_stopped_task_that_waits_is_dropped_and_the_next_one_runs(instance: Instance) -> None:
    running = instance.submit("read line < /dev/stdin; cat; echo end", stdin=(pipe := os.pipe())[0])
    os.close(pipe[0])
    waiting, last = instance.submit_again(), instance.submit_again()
    instance.channel.send(Kind.STOP, task=waiting)
    ended, outcome = instance.result()
    assert (ended, outcome.done.flags) == (waiting, DoneFlag.STOPPED)
    os.close(pipe[1])
    assert [instance.result()[0] for _ in range(2)] == [running, last]


def test_stopping_a_task_that_has_ended_changes_nothing(instance: Instance) -> None:
    instance.run("true")
    instance.channel.send(Kind.STOP, task=1)
    assert instance.run("echo on").stdout == "on\n"


@needs_core_files
def test_a_core_dump_of_the_script_itself_is_told_and_kept(instance: Instance) -> None:
    outcome = instance.run("echo before; cd /tmp; cd ${TMPDIR:-.}; kill -SEGV $$", environment=own_directory(instance))
    assert outcome.code == -signal.SIGSEGV
    assert outcome.done.flags == DoneFlag.CORE
    assert_core(instance, outcome.done.core)
    assert outcome.stdout == "before\n"


def own_directory(instance: Instance) -> dict[str, str]:
    """Where core files of this instance can be seen: without a namespace /tmp is everybody's."""
    return {} if instance.ready.namespaces else {"TMPDIR": str(instance.work / "root")}


def assert_core(instance: Instance, path: str) -> None:
    fd = open_beneath(instance.work, path)
    with open(fd, "rb") as core:
        assert core.read(4) == b"\x7fELF"


@needs_core_files
def test_a_core_dump_of_a_grandchild_ends_the_task_at_once(instance: Instance) -> None:
    seconds = unique_seconds()
    outcome = instance.run(f"mkdir -p a/b; cd a/b; bash -c 'kill -SEGV $$'; echo after; sleep {seconds}")
    assert outcome.done.flags == DoneFlag.CORE
    assert outcome.done.program == "bash"
    assert outcome.done.core.endswith("a/b/.core.1")
    assert_core(instance, outcome.done.core)
    assert processes_with(seconds) == []


@needs_core_files
def test_a_core_dump_of_a_process_whose_parent_is_gone_is_told(instance: Instance) -> None:
    outcome = instance.run(
        "(bash -c 'echo $$ > pid; kill -STOP $$; kill -ABRT $$' &); until [ -s pid ]; do :; done; "
        "kill -CONT $(cat pid); while kill -0 $(cat pid); do kill -CONT $(cat pid); done; sleep 1000"
    )
    assert outcome.done.flags == DoneFlag.CORE


@needs_core_files
def test_cores_of_two_tasks_do_not_overwrite_each_other(instance: Instance) -> None:
    cores = [instance.run("kill -SEGV $$").done.core for _ in range(2)]
    assert len(set(cores)) == 2
    for core in cores:
        assert_core(instance, core)


def whole_size(core: bytes) -> int:
    """How large a core file is that was written to its end."""
    table, size, count = struct.unpack_from("=Q14xHH", core, 32)
    segments = [struct.unpack_from("=8xQ16xQ", core, table + index * size) for index in range(count)]
    return max(offset + length for offset, length in segments)


@needs_core_files
def test_of_processes_that_dump_at_once_one_whole_core_is_kept(instance: Instance) -> None:
    dump = "bash -c 'x=$(head -c 3000000 /dev/zero | tr \"\\0\" x); kill -SEGV $$'"
    for _ in range(5):
        outcome = instance.run(f"mkdir -p d; cd d; for n in 1 2 3; do {dump} & done; wait; sleep 1000")
        assert outcome.done.flags == DoneFlag.CORE
        assert outcome.done.program == "bash"
        with open(open_beneath(instance.work, outcome.done.core), "rb") as file:
            core = file.read()
        assert core[:4] == b"\x7fELF"
        assert len(core) >= whole_size(core) > 3_000_000


def test_a_file_named_core_that_is_none_is_no_core_dump(instance: Instance) -> None:
    outcome = instance.run("echo no dump > core; ln -s /etc/passwd core.1; mkfifo core.2; mkdir core.3; exit 4")
    assert (outcome.code, outcome.done.flags, outcome.done.core) == (4, 0, "")


@needs_core_files
def test_many_files_and_directories_do_not_hide_a_later_core(instance: Instance) -> None:
    outcome = instance.run("mkdir d; touch d/{1..2000}; rm -r d; bash -c 'kill -SEGV $$'; sleep 1000")
    assert outcome.done.flags == DoneFlag.CORE


def test_closing_the_socket_leaves_no_process(mode: Mode) -> None:
    seconds = unique_seconds()
    instance = Instance(mode)
    instance.submit_until_running(f"setsid sleep {seconds} & echo running; sleep {seconds}")
    assert processes_with(seconds)
    instance.close()
    assert processes_with(seconds) == []
    assert not Path(f"/proc/{instance.ready.pid}").exists()


def test_terminating_the_lackey_leaves_no_process(mode: Mode) -> None:
    seconds = unique_seconds()
    instance = Instance(mode)
    instance.submit_until_running(f"setsid sleep {seconds} & echo running; sleep {seconds}")
    pids = processes_with(seconds)
    assert pids
    instance.process.terminate()
    for pid in pids:
        wait_gone(pid)
    instance.close()


AGENT = """
import os, subprocess, sys
from datapath.passing import pair
channel, theirs = pair()
process = subprocess.Popen([*sys.argv[1:], f"--socket={theirs}"], pass_fds=[theirs])
os.close(theirs)
import select
select.select([channel], [], [])
print(channel.receive().payload[4:8].hex(), flush=True)
select.select([], [], [])
"""


def test_killing_the_agent_leaves_no_lackey(mode: Mode, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    command = [str(libexec("lackey")), f"--work={work}", f"--isolation={mode.isolation}"]
    if os.geteuid() == 0:
        command.append("--uid=1879048192")
    agent = subprocess.Popen([sys.executable, "-c", AGENT, *command], stdout=subprocess.PIPE)
    assert agent.stdout is not None
    pid = int.from_bytes(bytes.fromhex(agent.stdout.readline().decode()), "little")
    assert Path(f"/proc/{pid}").exists()
    agent.kill()
    agent.communicate(timeout=SECONDS)
    wait_gone(pid)


def test_files_are_limited_to_the_disk_size(mode: Mode) -> None:
    instance = Instance(mode, ("--disk-bytes=1000000",))
    try:
        outcome = instance.run("ulimit -c; ulimit -H -f; exec head -c 2000000 /dev/zero > big")
        assert outcome.stdout == "976\n976\n" or outcome.stdout == "1953\n976\n"
        assert outcome.code == -signal.SIGXFSZ
    finally:
        instance.close()


def test_a_task_that_fills_the_queue_of_environment_names_is_refused(instance: Instance) -> None:
    many = {f"V{n}": "x" for n in range(4096)}
    outcome = instance.run("true", environment=many)
    assert outcome.done.flags == DoneFlag.SETUP
    assert os.strerror(outcome.done.status) == "Argument list too long"
    assert instance.run("echo on").stdout == "on\n"


def test_a_packet_that_breaks_the_protocol_ends_the_lackey(mode: Mode) -> None:
    instance = Instance(mode)
    instance.channel.send(77)
    assert receive(instance.channel) is None
    instance.channel.close()
    _, stderr = instance.process.communicate(timeout=SECONDS)
    assert stderr.decode().splitlines()[0] == "lackey: an unknown packet from the agent"
    instance.close()


def test_an_environment_without_an_end_is_refused(mode: Mode) -> None:
    instance = Instance(mode)
    instance.channel.send(Kind.ENV, payload=encode_environment({"A": "b"})[:-1])
    assert receive(instance.channel) is None
    instance.close()
