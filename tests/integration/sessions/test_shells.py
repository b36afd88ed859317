"""`mjob shell` and `mjob debug`: what a task read, what it left, and its script, on a terminal."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from hashlib import md5
from pathlib import Path
from typing import Any

import pytest

from scheduler.providers.linux.cgroups import open_groups
from tests.support.machine import needs_core_files, needs_namespaces
from tests.support.services.service import Service, command
from tests.support.services.user import User, reduce
from tests.support.sessions import LOST, PROMPT, asked, ended, session
from tests.support.terminal import Terminal, terminal

pytestmark = needs_namespaces
WORDS = b"one\ntwo\nthree\n"
SUM = "md5sum < input"


def shell_at(service: Service, *words: str) -> AbstractContextManager[Terminal]:
    return session(service, "mjob", "shell", *words)


def digest(data: bytes) -> str:
    return f"{md5(data, usedforsecurity=False).hexdigest()}  -\n"


@contextmanager
def at_prompt(service: Service, *words: str) -> Iterator[Terminal]:
    """A shell that has shown its first prompt; it is left at the end."""
    with shell_at(service, *words) as running:
        running.read_until(PROMPT)
        yield running
        running.type("exit 0\r")
        assert ended(running)[1] == 0


def jobs_of(user: User) -> set[str]:
    return {entry["name"] for entry in user.jobs.listing()}


def test_a_task_that_failed_by_its_exit_code(service: Service, user: User) -> None:
    path, tool = user.put("words.txt", WORDS), user.put("tool", b'#!/bin/sh\necho "$1 $(wc -l)" >&2; echo $2\n')
    script = f"/assets{tool} 'it said' printed; pwd; exit 3"
    job = user.create({"exec": script, "assets": [tool], "init": "echo made > /tmp/made", "memory": 256})
    user.add(job, path)
    user.finish(job)
    with at_prompt(service, job) as running:
        assert asked(running, "pwd; ls") == "/task\ninput  run.sh  stderr  stdout\n"
        assert asked(running, f"{SUM}; cat stderr stdout /tmp/made") == digest(WORDS) + "it said 3\nprinted\n/\nmade\n"
        assert asked(running, "./run.sh; echo status $?") == "it said 3\nprinted\n/\nstatus 3\n"
        assert asked(running, "echo $MANTA_INPUT_OBJECT") == f"{path}\n"


@needs_core_files
def test_a_task_that_left_a_core(service: Service, user: User) -> None:
    failed = user.run("kill -SEGV $$", inputs=[user.put("words.txt", WORDS)])
    with at_prompt(service, failed.job) as running:
        assert asked(running, SUM) == digest(WORDS)
        assert asked(running, "head -c 4 core | tail -c 3").startswith("ELF")
        assert "status 139\n" in asked(running, "./run.sh; echo status $?")


def test_a_task_that_reached_its_memory_cap(service: Service, user: User) -> None:
    phase: dict[str, Any] = {"exec": "head -c 200M /dev/zero | tail", "memory": 128}
    failed = user.run(phase, inputs=[user.put("words.txt", WORDS)])
    assert "out of memory" in failed.error["message"]
    with shell_at(service, failed.job) as running:
        running.read_until(PROMPT)
        assert asked(running, SUM) == digest(WORDS)
        if kernel_caps_memory():
            assert "status 137\n" in asked(running, "./run.sh; echo status $?")
            running.type("exit 0\r")
            assert ended(running)[1] == 0
        else:  # the agent measures it, and ends all that runs in the instance
            running.type("./run.sh\r")
            shown, status = ended(running)
            assert "session ended" in shown
            assert status == LOST


def kernel_caps_memory() -> bool:
    """Whether memory control groups can be made here."""
    groups = open_groups("test-probe")
    if groups is not None:
        groups.close()
    return groups is not None


def test_a_reducer_has_the_input_that_the_phases_before_make_again(service: Service, user: User) -> None:
    paths = [user.put(f"part{number}", b"%d\n" % number * 1000) for number in range(3)]
    failed = user.run("sed s/^/x/", reduce("sort -u | tee /dev/stderr; exit 4"), inputs=paths)
    before = jobs_of(user)
    with at_prompt(service, failed.job) as running:
        assert asked(running, "sort input | md5sum") == digest(b"".join(b"x%d\n" % n * 1000 for n in range(3)))
        assert asked(running, "./run.sh; echo status $?; echo $MANTA_REDUCER ${MANTA_INPUT_FILE-none}") == (
            "x0\nx1\nx2\n" * 2 + "status 4\n0 none\n"
        )
        assert asked(running, "cat stdout") == "x0\nx1\nx2\n"
    assert len(jobs_of(user) - before) == 1  # the session's own


def test_one_of_several_reducers_has_its_own_input(service: Service, user: User) -> None:
    path = user.put("numbers", b"".join(b"%d\n" % number for number in range(100)))
    failed = user.run(
        "msplit -n 3", reduce('cat > all; cksum < all; test "$MANTA_REDUCER" != 2', count=3), inputs=[path]
    )
    with at_prompt(service, failed.job) as running:
        assert asked(running, "echo $MANTA_REDUCER; cksum < input; cat stdout; ./run.sh; echo status $?")
        first, *others = asked(running, "cksum < input; cat stdout; ./run.sh").splitlines()
        assert first.split()[1] != "0" and others == [first, first]
        assert asked(running, "echo $MANTA_REDUCER $(./run.sh > /dev/null; echo $?)") == "2 1\n"


def test_a_map_task_of_a_later_phase_has_the_output_that_it_read(service: Service, user: User) -> None:
    paths = [user.put(name, b"".join(b"%s%d\n" % (name.encode(), n) for n in range(6))) for name in ("a", "b")]
    split = "split -l 2 - part.; for f in part.*; do mpipe < $f; done"
    failed = user.run(split, "sed s/$/./", "! grep b4", inputs=paths)
    with at_prompt(service, failed.job) as running:
        assert asked(running, "cat input; ./run.sh; echo status $?") == "b4.\nb5.\nb4.\nstatus 1\n"
        assert asked(running, "echo $MANTA_INPUT_OBJECT") == f"{failed.error['input']}\n"


def test_a_map_task_after_a_reducer(service: Service, user: User) -> None:
    paths = [user.put(name, name.encode() * 3 + b"\n") for name in ("a", "b", "c")]
    failed = user.run("cat", reduce("sort | while read -r x; do echo $x | mpipe; done"), "! grep b", inputs=paths)
    with at_prompt(service, failed.job) as running:
        assert asked(running, "cat input") == "bbb\n"


def test_an_input_that_cannot_be_made_again_is_said(service: Service, user: User) -> None:
    path = user.put("words.txt", WORDS)
    failed = user.run("cat", reduce("exit 1"), inputs=[path])
    user.session.call("DELETE", path)
    first = user.run("exit 1", inputs=[user.put("words.txt", WORDS)])
    user.session.call("DELETE", path)
    before = jobs_of(user)
    with shell_at(service, first.job) as running:
        shown, status = ended(running)
        assert f"the input of the task, {path}, is not there any more" in shown and status == 1
    with at_prompt(service, failed.job) as running:
        assert asked(running, "wc -c < input") == "0\n"
    assert len(jobs_of(user) - before) == 1


def test_a_job_without_a_failure_has_no_shell_of_its_own_choice(service: Service, user: User) -> None:
    ok = user.run("cat", inputs=[user.put("words.txt", WORDS)])
    with shell_at(service, ok.job) as running:
        assert "no task of job" in ended(running)[0]
    (task,) = user.jobs.tasks(ok.job)
    with at_prompt(service, ok.job, task["taskId"][:8]) as running:
        assert asked(running, "./run.sh") == "one\ntwo\nthree\n"


@pytest.mark.parametrize(
    ("words", "read", "printed"),
    [
        ("-m 'sed s/^/x/' -r 'sort -r; exit 5'", "xone\nxtwo\nxthree\n", "xtwo\nxthree\nxone\n5\n"),
        ("-m 'sed s/^/x/' -m 'tac; exit 6'", "xone\nxtwo\nxthree\n", "xthree\nxtwo\nxone\n6\n"),
        ("'tac; exit 7'", "one\ntwo\nthree\n", "three\ntwo\none\n7\n"),
    ],
)
def test_debug_is_a_shell_in_the_place_of_the_last_command(
    service: Service, user: User, words: str, read: str, printed: str
) -> None:
    path = user.put("words.txt", WORDS)
    before = jobs_of(user)
    line = ["sh", "-c", f"echo {path} | {shlex.join(command('mjob'))} debug {words}"]
    with terminal(line, service.env | {"TERM": "xterm"}, Path("/")) as running:
        running.resize(columns=200, lines=30)
        running.read_until(PROMPT)
        assert asked(running, "cat input") == read
        assert asked(running, "./run.sh; echo $?") == printed
        running.type("exit 0\r")
        assert ended(running)[1] == 0
    assert len(jobs_of(user) - before) == 1


def test_debug_without_names_says_how_to_give_them(service: Service) -> None:
    with session(service, "mjob", "debug", "wc") as running:
        assert "stdin names no objects: give it names" in ended(running)[0]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_client_that_ends_while_the_phases_before_run_leaves_no_job(
    service: Service, user: User, number: signal.Signals, status: int
) -> None:
    path, before = user.put("words.txt", WORDS), jobs_of(user)
    mjob = shlex.join(command("mjob"))
    line = ["bash", "-c", f"exec {mjob} debug -m 'sleep 3600' -r wc < <(echo {path})"]
    with terminal(line, service.env | {"TERM": "xterm"}, Path("/")) as running:
        running.read_until(b"running the phases before the shell -- ")
        running.read_until(b" tasks")
        running.process.send_signal(number)
        assert ended(running)[1] == status
    assert jobs_of(user) == before
