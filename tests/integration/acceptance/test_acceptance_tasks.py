"""What a task is given, what it may not do, and what is told of it when it goes wrong."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from scheduler.providers.linux import loopback
from tests.support.gate import Gate
from tests.support.machine import ONE_USER, REFUSED, needs_core_files, needs_curl, needs_namespaces
from tests.support.nodes.lackey_instance import unique_seconds
from tests.support.services.service import Service, processes_with
from tests.support.services.user import User, reduce

CONTENT = b"the content\n"
WRITES: list[Any] = [
    "> $MANTA_INPUT_FILE",
    "echo x >> $MANTA_INPUT_FILE",
    "exec 5<> $MANTA_INPUT_FILE",
    "chmod u+w $MANTA_INPUT_FILE",
    "touch $MANTA_INPUT_FILE",
    "ln $MANTA_INPUT_FILE x && echo x > x",
    "truncate -s 0 $MANTA_INPUT_FILE",
    "dd if=/dev/zero of=$MANTA_INPUT_FILE count=1 conv=notrunc",
    "echo x > /dev/stdin",
    "echo x >> /dev/stdin",
    "echo x >&0",
    "echo x > /proc/self/fd/0",
    "truncate -s 0 /proc/self/fd/0",
    "fallocate -p -o 0 -l 4096 $MANTA_INPUT_FILE",
]
# Where nothing isolates them, tasks own the directory in which the input lies, and may take its name away or make
# another file of it; or open it by force, which fails the task but too late.
ON_A_NAME_OF_ONES_OWN = [
    "chown 0:0 $MANTA_INPUT_FILE",
    "rm -f $MANTA_INPUT_FILE",
    "mv $MANTA_INPUT_FILE /tmp/x",
    "mv /etc/hostname $MANTA_INPUT_FILE",
    "ln -sf /etc/hostname $MANTA_INPUT_FILE",
    "sed -i s/c/d/ $MANTA_INPUT_FILE",
    "chmod 777 /dev/stdin && echo x > /proc/self/fd/0",
    "mount -o remount,rw /manta",
    "umount -l /manta",
]
WRITES += [pytest.param(command, marks=needs_namespaces) for command in ON_A_NAME_OF_ONES_OWN]
LEFT_BEHIND = [
    "sleep {seconds} &",
    "nohup sleep {seconds} > /dev/null 2>&1 &",
    "setsid sleep {seconds} > /dev/null 2>&1 < /dev/null &",
    "( ( sleep {seconds} & ) & )",
    "setsid bash -c 'setsid bash -c \"exec -a daemon sleep {seconds}\" & ' &",
    "(trap '' HUP INT QUIT TERM; sleep {seconds}) &",
    "sleep {seconds} & kill -STOP $!",
    "coproc sleep {seconds}",
    "bash -c 'sleep {seconds} & disown -a; exit 0'",
    "unshare -Urpf sleep {seconds} > /dev/null 2>&1 &",
]


@pytest.fixture(scope="module")
def item(user: User) -> str:
    return user.put("item", CONTENT)


# Several phases at once.


def test_tasks_of_three_phases_run_at_once_while_the_input_is_open(user: User) -> None:
    first, second, third = (user.put(name) for name in ("first", "second", "third"))
    with Gate() as gate:

        def held(phase: int, name: str) -> str:
            wait = gate.wait(f"{phase} {name}")
            return f'case "$MANTA_INPUT_OBJECT" in *{name}*) {wait};; esac; cat; echo {phase}'

        job = user.create(held(0, "/third"), held(1, "/second"), held(2, "/first"))
        user.add(job, first)
        assert gate.arrivals(1) == ["2 /first"]
        user.add(job, second)
        assert gate.arrivals(1) == ["1 /second"]
        user.add(job, third)
        assert gate.arrivals(1) == ["0 /third"]
        status = user.jobs.status(job)
        assert (status["state"], status["inputDone"]) == ("running", False)
        assert (status["stats"]["tasks"], status["stats"]["tasksDone"]) == (6, 3)
    assert user.texts(user.finish(job)) == ["0\n1\n2\n"] * 3


def test_a_reducer_reads_before_its_input_has_ended(user: User, item: str) -> None:
    with Gate() as gate:
        job = user.create("cat", reduce(f"read line && {gate.wait('$line')} && cat"))
        user.add(job, item)
        assert gate.arrivals(1) == ["the content"]
        user.add(job, item)
    assert user.texts(user.finish(job)) == [CONTENT.decode()]


def test_reducers_that_wait_for_input_do_not_keep_maps_from_running(user: User, item: str) -> None:
    with Gate() as gate:
        waiting = [user.create(reduce(f"head -c 1; {gate.wait()}; cat")) for _ in range(6)]
        for job in waiting:
            user.add(job, item)
        gate.arrivals(4)
        assert user.texts(user.run("cat", "cat", inputs=[item] * 3)) == [CONTENT.decode()] * 3
        for job in waiting:
            user.jobs.cancel(job)


# What is left behind.


@pytest.mark.parametrize("command", LEFT_BEHIND)
def test_nothing_that_a_task_leaves_behind_goes_on(user: User, item: str, command: str) -> None:
    seconds = unique_seconds()
    ended = user.run(command.format(seconds=seconds) + "\necho done", inputs=[item])
    assert (user.texts(ended), ended.errors) == (["done\n"], [])
    assert processes_with(seconds) == []


def test_a_process_that_goes_on_writing_does_not_change_the_output(user: User, item: str) -> None:
    ended = user.run("yes > fifo-less & (while :; do echo late; done) & echo first; exec true", inputs=[item])
    name = ended.outputs[0]
    assert user.get(name) == user.get(name)
    size = int(user.session.call("HEAD", name).headers["content-length"])
    assert len(user.get(name)) == size


# The input.


@pytest.mark.parametrize("command", WRITES)
def test_a_task_that_writes_to_its_input_fails_and_changes_nothing(user: User, item: str, command: str) -> None:
    before = dict(user.session.call("HEAD", item).headers)
    ended = user.run(f"set -e; {command}", inputs=[item])
    assert ended.error["code"] == "UserTaskError"
    assert user.get(item) == CONTENT
    after = dict(user.session.call("HEAD", item).headers)
    assert all(after[name] == before[name] for name in ("etag", "last-modified", "content-md5", "content-length"))


@needs_curl
def test_input_is_the_same_by_descriptor_by_name_and_by_http(user: User, item: str) -> None:
    script = 'cat; cat "$MANTA_INPUT_FILE"; curl -fsS "$MANTA_URL${MANTA_INPUT_OBJECT:1}"'
    assert user.texts(user.run(script, inputs=[item])) == [3 * CONTENT.decode()]


def test_an_object_that_is_replaced_is_what_it_was_for_a_task_that_reads_it(user: User) -> None:
    path = user.put("replaced", b"old\n")
    with Gate() as gate:
        job = user.create(f'{gate.wait()}; cat; cat "$MANTA_INPUT_FILE"')
        user.add(job, path)
        gate.arrivals(1)
        user.put("replaced", b"new\n")
        user.session.call("DELETE", path)
    assert user.texts(user.finish(job)) == ["old\nold\n"]


# The environment.


def environment(text: str) -> dict[str, str]:
    """What `env -0` printed, without what bash itself sets."""
    found = dict(entry.split("=", 1) for entry in text.split("\0") if entry)
    return {name: value for name, value in found.items() if name not in ("PWD", "SHLVL", "_", "OLDPWD")}


def common(user: User, job: str) -> dict[str, str]:
    return {
        "HOME": "/root",
        "MANTA_NO_AUTH": "true",
        "MANTA_USER": user.login,
        "MANTA_JOB_ID": job,
        "DTRACE_DOF_INIT_DISABLE": "1",
        "SHELL": "/bin/bash",
    }


def without_places(found: dict[str, str]) -> dict[str, str]:
    """Without what differs from run to run, after a look at it."""
    assert re.fullmatch(r"http://(localhost|127\.0\.0\.1):\d+/", found.pop("MANTA_URL"))
    tools, *usual = found.pop("PATH").split(":")
    assert tools.startswith("/") and "/usr/bin" in usual and "/bin" in usual
    assert found.pop("TAR_OPTIONS", None) == ("--no-same-owner" if ONE_USER else None)
    return found


@needs_namespaces
def test_the_environment_of_a_map_of_a_reducer_and_of_init(user: User, item: str) -> None:
    init = {"init": "env -0 > /tmp/init"}
    maps = {"exec": "cat /tmp/init | mpipe ~~/stor/init; env -0 | mpipe ~~/stor/map; echo | mpipe", **init}
    ended = user.run(maps, reduce("env -0"), inputs=[item])
    assert ended.errors == []
    base = f"{ended.stor}{item}.0."
    inner = {"MANTA_INPUT_OBJECT": item, "mc_input_key": item}
    file = {"MANTA_INPUT_FILE": f"/manta{item}", "mc_input_file": f"/manta{item}"}
    job = common(user, ended.job)
    assert without_places(environment(user.get("map").decode())) == {**job, **inner, **file, "MANTA_OUTPUT_BASE": base}
    assert without_places(environment(user.get("init").decode())) == {**job, "MANTA_OUTPUT_BASE": base}
    assert without_places(environment(user.texts(ended)[0])) == {
        **job,
        "MANTA_REDUCER": "0",
        "MANTA_OUTPUT_BASE": f"{ended.stor}/reduce.1.",
    }


@needs_namespaces
def test_a_task_runs_as_root_in_the_root_directory_with_three_descriptors(user: User, item: str) -> None:
    ended = user.run("id -u; pwd; ls /proc/self/fd | tr '\\n' ' '; cat /proc/$$/cmdline | tr '\\0' ' '", inputs=[item])
    assert user.texts(ended)[0].startswith("0\n/\n0 1 2 3 bash --norc -c id -u; pwd;")  # 3 is that of ls


# What is told when it goes wrong.


def test_what_a_failed_task_printed_is_saved_and_not_forwarded(user: User, item: str) -> None:
    ended = user.run("echo printed; exit 1", reduce("cat"), inputs=[item])
    task = ended.error["stderr"].rpartition(".")[2]
    assert user.get(f"{ended.stor}{item}.0.{task}") == b"printed\n"
    assert user.texts(ended) == [""]


@needs_core_files
@pytest.mark.parametrize(
    "command",
    [
        "kill -SEGV $$",
        "sh -c 'kill -QUIT $$'; true",
        "(bash -c 'kill -ABRT $$' &) ; sleep SECONDS",
        "ulimit -c unlimited; mkdir d; cd d; bash -c 'kill -SEGV $$'; exit 0",
    ],
)
def test_a_core_dump_of_any_process_ends_the_task_and_can_be_read(user: User, item: str, command: str) -> None:
    seconds = unique_seconds()
    error = user.run(command.replace("SECONDS", seconds), inputs=[item]).error
    assert (error["code"], error["message"]) == ("UserTaskError", "user command or child process dumped core")
    assert re.fullmatch(r"/[^/]+/jobs/[0-9a-f-]{36}/stor/cores/0/core\.(ba)?sh\.[0-9a-f-]{36}", error["core"])
    core = user.get(error["core"])
    assert core[:5] == b"\x7fELF\x02" and core[16] == 4  # ET_CORE
    assert list(error) == ["phase", "what", "code", "message", "stderr", "core", "input", "p0input"]
    assert processes_with(seconds) == []


def test_tasks_within_their_caps_succeed_after_one_that_was_not(user: User, item: str) -> None:
    big = user.put("big", b"1")
    script = "if grep -q 1; then head -c 400M /dev/zero | tail > /dev/null; exit ${PIPESTATUS[1]}; fi; echo fine"
    ended = user.run({"exec": script, "memory": 128}, inputs=[big, item, item, item])
    assert (ended.failures, user.texts(ended)) == ([big], ["fine\n"] * 3)


def test_stderr_of_a_failed_task_can_be_fetched_by_the_command_line(service: Service, user: User, item: str) -> None:
    error = user.run("echo naïve >&2; false", inputs=[item]).error
    assert service.text("mget", error["stderr"]) == "naïve\n"


@pytest.mark.skipif(not Path("/usr/bin/python3").exists(), reason="needs a Python that tasks can see")
@pytest.mark.skipif(
    loopback.keeps_abstract_sockets_apart() and not REFUSED,
    reason="this kernel leaves tasks no way to pass anything on; where it does, this holds",
)
def test_an_output_does_not_change_by_a_descriptor_that_was_passed_on(user: User, item: str) -> None:
    name = rf"\0remora-test-{user.jobs.account}-{id(item)}"
    send = f"""/usr/bin/python3 -c 'import os, socket
os.write(1, b"good")
peer = socket.socket(socket.AF_UNIX); peer.connect("{name}")
socket.send_fds(peer, [b"x"], [1])'"""
    with Gate() as gate:
        receive = f"""/usr/bin/python3 -c 'import os, socket, subprocess
door = socket.socket(socket.AF_UNIX); door.bind("{name}"); door.listen()
subprocess.run(["bash", "-c", os.environ["LISTENING"]], check=True)
peer, _ = door.accept()
_, (fd, *_), _, _ = socket.recv_fds(peer, 9, 1)
subprocess.run(["bash", "-c", os.environ["RECEIVED"]], check=True)
os.pwrite(fd, b"evil", 0)'"""
        words = " ".join(f"{when}='{gate.wait(when)}'" for when in ("LISTENING", "RECEIVED"))
        accomplice = user.create(f"export {words}; {receive}")
        user.add(accomplice, item)
        assert gate.arrivals(1) == ["LISTENING"]
        gate.open()
        job = user.create(send)
        user.add(job, item)
        assert gate.arrivals(1) == ["RECEIVED"]
        ended = user.finish(job)
        assert user.texts(ended) == ["good"]
    assert user.finish(accomplice).errors == []
    assert user.texts(ended) == ["good"]
