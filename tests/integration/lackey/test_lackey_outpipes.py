"""What a lackey does with tasks that print into pipes, however it is isolated."""

from __future__ import annotations

import errno
import os

import pytest

from datapath.passing import DoneFlag, Kind, ScriptFlag
from tests.support.nodes.lackey_instance import Instance, Mode, needs_core_files
from tests.support.variants import variants

PIPED = ScriptFlag.PIPED


def test_outputs_that_are_opened_again_lose_nothing(instance: Instance) -> None:
    script = "echo a; echo b > /dev/stdout; echo c >> /proc/self/fd/1; echo x >&2; echo y > /dev/stderr; echo z >&2"
    outcome = instance.run(script, flags=PIPED)
    assert (outcome.code, outcome.stdout, outcome.stderr) == (0, "a\nb\nc\n", "x\ny\nz\n")
    assert outcome.done.flags == 0


def test_other_users_of_the_instance_may_open_them_too(instance: Instance, mode: Mode) -> None:
    if mode.isolation != "namespaces" or mode.user is not None or os.geteuid() != 0:
        pytest.skip("there is one user here")
    outcome = instance.run(
        "echo a; setpriv --reuid 1000 --clear-groups sh -c 'echo b > /dev/stdout'; echo c", flags=PIPED
    )
    assert (outcome.stdout, outcome.stderr) == ("a\nb\nc\n", "")


def test_a_script_that_is_not_piped_has_its_files_again(instance: Instance) -> None:
    which = "[ -p /dev/stdout ] && echo pipe || echo file"
    assert [instance.run(which, flags=flags).stdout for flags in (PIPED, ScriptFlag(0))] == ["pipe\n", "file\n"]


def test_the_status_is_that_of_the_script_and_background_processes_end_with_it(instance: Instance) -> None:
    outcome = instance.run("sleep 1000 & yes & head -c 100000 /dev/zero >&2; exit 7", flags=PIPED)
    assert (outcome.code, outcome.done.flags, len(outcome.stderr)) == (7, 0, 100000)


def test_a_flood_is_stopped_and_what_came_before_is_kept(instance: Instance) -> None:
    task = instance.submit_until_running(
        "echo said > /dev/stderr; yes > /dev/stderr & echo running; exec yes >&2", PIPED
    )
    instance.channel.send(Kind.STOP, task=task)
    number, outcome = instance.result()
    assert (number, outcome.done.flags) == (task, DoneFlag.STOPPED)
    assert outcome.stderr.startswith("said\n")
    assert instance.run("echo on", flags=PIPED).stdout == "on\n"


@pytest.mark.parametrize("count", variants([1_300_000, 13_000_000]))  # ten megabytes, and a hundred
def test_many_megabytes_arrive_byte_for_byte(instance: Instance, count: int) -> None:
    outcome = instance.run(f"seq {count} > /dev/stdout; echo end", flags=PIPED)
    assert outcome.code == 0
    lines = outcome.stdout.splitlines()
    assert (len(lines), lines.pop()) == (count + 1, "end")
    assert all(line == str(number) for number, line in enumerate(lines, 1))


def test_a_file_at_its_limit_ends_the_task_with_the_reason(mode: Mode) -> None:
    instance = Instance(mode, ("--disk-bytes=1000000",))
    try:
        outcome = instance.run("yes; sleep 1000", flags=PIPED)
        assert (outcome.done.flags, outcome.done.status) == (DoneFlag.UNSAVED, errno.EFBIG)
        assert len(outcome.stdout) == 1000000
        assert instance.run("echo on", flags=PIPED).stdout == "on\n"
    finally:
        instance.close()


def test_a_task_that_reads_from_its_own_output_or_keeps_it_stops_nothing(instance: Instance) -> None:
    outcome = instance.run("cat < /dev/stdout & exec 3<> /dev/stderr; exec > /dev/null 2>&1; exit 4", flags=PIPED)
    assert (outcome.code, outcome.done.flags) == (4, 0)
    assert instance.run("echo on").stdout == "on\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="others may not look at what a lackey has open")
def test_no_descriptor_is_left_of_a_task(instance: Instance) -> None:
    instance.run("true", flags=PIPED)  # it is READY before all that it needed to start is closed
    before = os.listdir(f"/proc/{instance.ready.pid}/fd")
    for script in ("true", "exec >&- 2>&-; sleep 0.1", "no-such-program", "yes & kill -9 $$"):
        instance.run(script, flags=PIPED)
    instance.run("true", environment={f"V{n}": "x" for n in range(4096)}, flags=PIPED)  # does not start
    assert os.listdir(f"/proc/{instance.ready.pid}/fd") == before


@needs_core_files
def test_a_core_dump_is_told_as_ever(instance: Instance) -> None:
    outcome = instance.run("echo before > /dev/stdout; sh -c 'kill -SEGV $$'; echo after", flags=PIPED)
    assert DoneFlag.CORE in outcome.done.flags
    assert outcome.stdout.startswith("before\n")
