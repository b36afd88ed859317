"""What tasks print that open their own standard output or error again is what the same script gives in a pipe."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from scheduler.agent.pools import instance_factory
from scheduler.agent.pools.reopened_outputs import script_may_reopen
from scheduler.model import wire
from scheduler.model.wire import Outcome
from tests.support.nodes.agent_rig import ANY_ISOLATION, KNOCK, Rig, rig

OUT_OF_DISK = "user task ran out of local disk space"
FORMS = {
    "truncated": "echo a; echo b > /dev/stdout; echo c",
    "truncated when long": 'printf "%01000d\\n" 1; echo b > /dev/stdout; echo c',
    "appended": "echo a; echo b >> /dev/stdout; echo c",
    "by descriptor": "echo a; echo b > /dev/fd/1; echo c > /proc/self/fd/1; echo d > /proc/$$/fd/1",
    "put together": 'for f in /dev/std; do echo a; echo b > "${f}out"; echo c; done; cd /dev; echo d > stdout',
    "tee": "echo a; echo b | tee /dev/stdout; echo c",
    "tee -a": "echo a; echo b | tee -a /dev/stderr 2>&1; echo c",
    "sort": "echo a; printf '2\\n1\\n' | sort -o /dev/stdout; echo c",
    "cp": "echo a; cp /proc/sys/kernel/ostype /dev/stdout; echo c",
    "dd": "echo a; echo b | dd of=/dev/stdout status=none; echo c",
    "awk": 'echo a; awk \'BEGIN { print "b" > "/dev/stdout" }\'; echo c',
    "subshells": "(echo a; (echo b > /dev/stdout; echo c) > /dev/stdout; echo d) >> /dev/stdout; echo e",
    "kept open": "exec 3> /dev/stdout; echo a; echo b >&3; echo c; echo d >&3",
    "both": "{ echo a; echo b >&2; echo c > /dev/stderr; echo d > /dev/stdout; } 2>&1",
    "inside a pipeline": "echo a; (echo b > /dev/stdout) | tr b x; echo c",
    "processes in turn": "for n in 1 2 3; do (echo $n; bash -c 'echo $0 > /dev/stdout' $n; echo $n); done",
    "processes one after the other's end": "(sleep 0.1; echo b > /dev/stdout) & echo a; wait; echo c",
    "from eval": 'eval "echo a; echo b > /dev/std${x}out; echo c"',
    "generated": "echo 'echo a; echo b > /dev/stdout; echo c' | sh",
}
PROGRAMS = {
    "curl": "echo a; curl -s -o /dev/stdout file:///proc/sys/kernel/ostype; echo c",
    "python3": 'echo a; python3 -c \'open("/dev/stdout", "w").write("b\\n")\'; echo c',
    "perl": 'echo a; perl -e \'open F, ">", "/dev/stdout"; print F "b\\n"\'; echo c',
}


@pytest_asyncio.fixture(params=ANY_ISOLATION)
async def agent(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    async with rig(tmp_path / "state", request.param) as running:
        yield running


def piped(script: str) -> bytes:
    """What a script prints into a pipe on this machine."""
    return subprocess.run(["bash", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout


async def test_every_form_gives_what_it_gives_in_a_pipe(agent: Rig) -> None:
    assert [name for name, script in FORMS.items() if not script_may_reopen(script)] == []
    tasks = [agent.map_task(script.encode()) for script in FORMS.values()]
    agent.grant(agent.spec('bash "$MANTA_INPUT_FILE"'), *tasks)
    printed = map(agent.output, await agent.reports_of(*tasks))
    assert dict(zip(FORMS, printed, strict=True)) == {name: piped(script) for name, script in FORMS.items()}


@pytest.mark.parametrize("program", PROGRAMS)
async def test_so_do_programs_that_are_told_the_name(agent: Rig, program: str) -> None:
    report = await agent.run(f"command -v {program} || exit 99; {PROGRAMS[program]}")
    if report.message == "user command exited with code 99":
        pytest.skip(f"instances have no {program}")
    assert agent.output(report).partition(b"\n")[2] == piped(PROGRAMS[program])


async def test_lines_of_many_processes_at_once_are_all_there_and_whole(agent: Rig) -> None:
    report = await agent.run(
        "for p in 1 2 3 4; do (for n in {1..50}; do echo $p $n > /dev/stdout; echo $p $n; done) & done; wait"
    )
    lines = agent.output(report).decode().splitlines()
    expected = [f"{p} {n}" for p in range(1, 5) for n in range(1, 51)]
    assert sorted(lines) == sorted(expected * 2)
    for process in "1234":  # each in its own order
        own = [line for line in lines if line.startswith(process)]
        assert own == sorted(own, key=lambda line: int(line.split()[1]))


async def test_the_stderr_of_a_failure_keeps_what_came_before_its_last_line(agent: Rig) -> None:
    report = await agent.run('echo first >&2; echo "giving up" > /dev/stderr; exit 3')
    assert (report.code, report.message) == ("UserTaskError", "user command exited with code 3")
    assert report.stderr is not None and agent.read(report.stderr.blob) == b"first\ngiving up\n"


async def test_a_reducer_loses_nothing_either(agent: Rig) -> None:
    task = agent.reduce_task()
    agent.grant(agent.spec(f"{KNOCK}; echo header; cat > /dev/stdout; echo footer", blocking=True), task)
    await agent.until(lambda supervisor: bool(supervisor.requests))  # it runs, so it can be fed
    agent.feed(task, agent.blob(b"one\n"), agent.blob(b"two\n" * 100_000), end=True)
    report = await agent.report_of(task)
    assert agent.output(report) == b"header\none\n" + b"two\n" * 100_000 + b"footer\n"


async def test_an_asset_and_an_init_script_may_do_it_too(agent: Rig) -> None:
    content = b"echo a; echo b > /dev/stdout; echo c\n"
    asset = wire.Asset(name="/jill/stor/show.sh", blob=agent.blob(content))
    report = await agent.run(
        'bash "$A/jill/stor/show.sh"'.replace("$A", agent.inside("/assets") if agent.isolated else "$PWD/../assets"),
        assets=[asset],
    )
    assert agent.output(report) == b"a\nb\nc\n"
    report = await agent.run("true", init="echo first >&2; echo second > /dev/stderr; exit 9")
    assert (report.code, agent.read(report.stderr.blob)) == ("TaskInitError", b"first\nsecond\n")


async def test_tools_work_as_ever(agent: Rig) -> None:
    report = await agent.run("echo a > /dev/stdout; echo b | mpipe; echo c | mtee /jill/stor/c > /dev/null")
    assert [agent.read(output.blob) for output in report.outputs] == [b"b\n"]


async def test_tasks_that_do_not_print_into_their_files(agent: Rig) -> None:
    report = await agent.run("x=ev; [ -f /d$x/stdout ] && [ -f /d$x/stderr ] && echo files 2>/dev/null")
    assert agent.output(report) == b"files\n"


async def test_a_task_that_floods_is_cancelled_at_once(agent: Rig) -> None:
    task = agent.map_task(b"")
    agent.grant(agent.spec(f"yes > /dev/stdout & {KNOCK}; exec yes > /dev/stderr"), task)
    await agent.until(lambda supervisor: bool(supervisor.requests))
    agent.cancel(task)
    assert agent.output(await agent.run("echo on > /dev/stdout")) == b"on\n"
    assert (task.task, 1) not in agent.supervisor.reports


async def test_a_task_that_fills_its_disk_through_a_pipe_fails_by_name(
    agent: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instance_factory, "GIGABYTE", 1 << 20)
    report = await agent.run("cat /dev/zero > /dev/stdout; sleep 1000", disk_gb=2)
    assert (report.outcome, report.code) == (Outcome.FAILED, "UserTaskError")
    assert report.message is not None and report.message.startswith(OUT_OF_DISK)
    assert report.outputs[0].blob.size == 2 << 20
    assert agent.output(await agent.run("echo on > /dev/stdout")) == b"on\n"
