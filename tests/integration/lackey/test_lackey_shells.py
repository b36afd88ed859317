"""What a lackey does with a program beside a task, however it is isolated: it ends with the task, and is none of it."""

from __future__ import annotations

import errno
import os
import select
import signal
from collections.abc import Iterator

import pytest

from datapath.passing import DoneFlag, Kind, Slot, encode_environment
from tests.support.nodes.lackey_instance import (
    MODES,
    SECONDS,
    Instance,
    Mode,
    processes_with,
    receive,
    skip_if_refused,
    unique_seconds,
    wait_gone,
)

SPINS = "n=0; while ((n++ < 500000)); do :; done"


@pytest.fixture(params=MODES, ids=str)
def instance(request: pytest.FixtureRequest) -> Iterator[Instance]:
    mode: Mode = request.param
    skip_if_refused(mode)
    running = Instance(mode)
    yield running
    running.close()


def begin_shell(instance: Instance, task: int, script: str, **environment: str) -> tuple[int, int]:
    """Ask for a program beside a task: the errno with which it begins, and the reader of what it prints."""
    reader, writer = os.pipe()
    nothing = os.open("/dev/null", os.O_RDWR)
    os.fchown(writer, instance.mode.owner, -1)
    instance.channel.send(Kind.SCRIPT, flags=Slot.SHELL, payload=script.encode())
    payload = encode_environment(environment)
    instance.channel.send(Kind.SHELL, task=task, flags=Slot.SHELL, payload=payload, fds=(nothing, writer, nothing))
    os.close(writer)
    os.close(nothing)
    said = instance.expect(Kind.BEGUN)
    assert said.task == task
    return said.flags, reader


def printed(reader: int) -> str:
    """What is printed until nothing has the other end any more."""
    pieces = []
    while True:
        readable, _, _ = select.select([reader], [], [], SECONDS)
        assert readable, "it does not end"
        if not (piece := os.read(reader, 1 << 16)):
            os.close(reader)
            return b"".join(pieces).decode()
        pieces.append(piece)


def test_it_has_the_task_s_variables_and_leaves_the_task_alone(instance: Instance) -> None:
    task = instance.submit_until_running("echo running; until test -e go; do sleep 0.01; done")
    error, reader = begin_shell(instance, task, "echo $HOME $WHO; touch seen; exit 3", WHO="jill")
    assert (error, printed(reader)) == (0, "/root jill\n")
    error, reader = begin_shell(instance, task, "ls seen; touch go")  # another one, in the same directory
    assert (error, printed(reader)) == (0, "seen\n")
    ended, outcome = instance.result()
    assert (ended, outcome.code, outcome.done.flags) == (task, 0, DoneFlag(0))


@pytest.mark.parametrize("way", ["exit", "stop"])
def test_the_end_of_the_task_ends_it_with_all_that_it_has_started(instance: Instance, way: str) -> None:
    seconds = unique_seconds()
    task = instance.submit_until_running("echo running; until test -e go; do sleep 0.01; done")
    error, reader = begin_shell(instance, task, f"trap '' TERM HUP; sleep {seconds} & echo $!; touch ready; wait")
    assert error == 0 and os.read(reader, 100)
    if way == "stop":
        instance.channel.send(Kind.STOP, task=task)
    else:
        begin_shell(instance, task, "touch go")
    assert instance.result()[0] == task
    for pid in processes_with(seconds):
        wait_gone(pid)
    printed(reader)
    assert instance.run("echo next").stdout == "next\n"


def test_its_use_and_its_death_are_not_the_task_s(instance: Instance) -> None:
    task = instance.submit_until_running("echo running; sleep 1000")
    error, reader = begin_shell(instance, task, f"{SPINS}; ulimit -c unlimited; kill -SEGV $$")
    assert error == 0
    printed(reader)
    instance.channel.send(Kind.STOP, task=task)
    _, outcome = instance.result()
    assert outcome.done.user_us + outcome.done.sys_us < 100_000
    assert outcome.done.flags == DoneFlag.STOPPED


def test_there_is_none_beside_a_task_that_does_not_run(instance: Instance) -> None:
    task = instance.submit("exit 0")
    assert instance.result()[0] == task
    for number in (task, task + 1):
        error, reader = begin_shell(instance, number, "echo x")
        assert (error, printed(reader)) == (errno.ESRCH, "")
    waiting = instance.submit_until_running("echo running; sleep 1000")
    queued = instance.submit("echo x")
    assert begin_shell(instance, queued, "echo x")[0] == errno.ESRCH
    for number in (queued, waiting):
        instance.channel.send(Kind.STOP, task=number)
        assert instance.result()[0] == number


def test_a_program_that_cannot_start_is_said(instance: Instance) -> None:
    task = instance.submit_until_running("echo running; sleep 1000")
    instance.channel.send(Kind.SCRIPT, flags=Slot.SHELL, payload=b"true")
    nothing = os.open("/dev/null", os.O_RDWR)
    many = encode_environment({f"V{number}": "x" for number in range(4100)})
    instance.channel.send(Kind.SHELL, task=task, flags=Slot.SHELL, payload=many, fds=(nothing,) * 3)
    os.close(nothing)
    assert instance.expect(Kind.BEGUN).flags == errno.E2BIG
    instance.channel.send(Kind.STOP, task=task)
    assert instance.result()[0] == task


def test_a_shell_without_descriptors_ends_the_lackey(instance: Instance) -> None:
    task = instance.submit_until_running("echo running; sleep 1000")
    instance.channel.send(Kind.SHELL, task=task, flags=Slot.SHELL)
    assert receive(instance.channel) is None
    assert b"a shell with bad descriptors" in instance.process.communicate(timeout=SECONDS)[1]
    assert instance.process.returncode not in (0, -signal.SIGSEGV)
