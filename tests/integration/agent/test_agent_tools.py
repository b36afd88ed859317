"""mpipe, mcat, mtee and msplit inside a task, and hostile speakers of their protocol."""

from __future__ import annotations

import base64
import hashlib
import os
import resource
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from scheduler.agent import client
from scheduler.agent.attempts import attempt
from scheduler.model.wire import Outcome, fields
from tests.support.nodes.agent_rig import ANY_ISOLATION, KNOCK, Rig, rig
from tests.support.nodes.fake_supervisor import JOB

BASE = f"/jill/jobs/{JOB}/stor/jill/stor/in1.txt.0."


@pytest_asyncio.fixture(params=ANY_ISOLATION)
async def agent(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    async with rig(tmp_path / "state", isolation=request.param) as running:
        yield running


async def test_the_input_file_can_be_piped_on(agent: Rig) -> None:
    report = await agent.run('cat "$MANTA_INPUT_FILE" | mpipe; echo more | mpipe', b"input\n")
    assert [agent.read(output.blob) for output in report.outputs] == [b"input\n", b"more\n"]


async def test_mpipe_makes_the_output_and_stdout_is_dropped(agent: Rig) -> None:
    report = await agent.run("echo foo; echo bar | mpipe; echo baz | mpipe", b"x", last=False)
    assert [agent.read(output.blob) for output in report.outputs] == [b"bar\n", b"baz\n"]
    for output in report.outputs:
        assert output.name.startswith(BASE)
        assert (output.named, output.reducer) == (False, None)


async def test_mpipe_prints_the_name_of_what_it_made(agent: Rig) -> None:
    report = await agent.run("echo x | mpipe >&2; exit 1")
    assert agent.read(report.stderr.blob).decode().strip().endswith(report.outputs[0].name)


async def test_mpipe_takes_a_name_a_reducer_and_headers(agent: Rig) -> None:
    report = await agent.run("echo x | mpipe -r 2 -H 'm-color: red' /jill/stor//out/../named", next_reducers=3)
    (output,) = report.outputs
    assert (output.name, output.reducer, output.named) == ("/jill/stor/named", 2, True)
    assert output.headers == {"m-color": "red"}
    assert output.blob.md5 is not None
    assert [(check.name, check.parents) for check in agent.supervisor.checked] == [("/jill/stor/named", False)]


async def test_an_unfinished_mpipe_leaves_nothing(agent: Rig) -> None:
    report = await agent.run("mkfifo f; exec 7<> f; echo x >&7; mpipe <&7 & exit 1")
    assert report.outcome is Outcome.FAILED
    assert all(output.blob.size == 0 for output in report.outputs)  # its stdout, or nothing if mpipe was heard of


@pytest.mark.parametrize(
    ("tool", "sentence"),
    [
        ("mpipe /jill/none/x", "/jill/none does not exist"),
        ("mpipe -r 128", "invalid reducer"),
        ("mtee /jill/none/x", "/jill/none does not exist"),
    ],
)
async def test_a_refused_tool_ends_with_1_and_says_why(agent: Rig, tool: str, sentence: str) -> None:
    agent.supervisor.missing.add("/jill/none")
    report = await agent.run(f"echo x | {tool}; exit $((PIPESTATUS[1] + 40))")
    assert report.message == "user command exited with code 41"
    assert sentence in agent.read(report.stderr.blob).decode()


async def test_mpipe_makes_directories_when_it_is_told_to(agent: Rig) -> None:
    agent.supervisor.missing.add("/jill/none")
    report = await agent.run("echo x | mpipe -p /jill/none/x")
    assert report.outputs[0].name == "/jill/none/x"


async def test_mcat_emits_names_in_order_and_duplicates_too(agent: Rig) -> None:
    report = await agent.run("mcat -r 1 /jill/stor/a ~~/stor/b /jill/stor/a", next_reducers=2)
    assert [(output.name, output.blob, output.reducer) for output in report.outputs] == [
        ("/jill/stor/a", None, 1),
        ("/jill/stor/b", None, 1),
        ("/jill/stor/a", None, 1),
    ]


async def test_mtee_stores_a_plain_object_at_once_and_stdout_stays_the_output(agent: Rig) -> None:
    report = await agent.run("mtee /jill/stor/copy | tr a-z A-Z", b"hello\n")
    assert agent.output(report) == b"HELLO\n"
    (adoption,) = agent.supervisor.adopted
    assert (adoption.name, agent.read(adoption.blob)) == ("/jill/stor/copy", b"hello\n")
    assert adoption.blob.md5 == base64.b64encode(hashlib.md5(b"hello\n").digest()).decode()


async def test_msplit_makes_one_output_for_each_reducer_empty_ones_too(agent: Rig) -> None:
    report = await agent.run("msplit -n 4", b"a\nfoo\nfoo\n", last=False, next_reducers=4)
    assert [output.reducer for output in report.outputs] == [0, 1, 2, 3]
    assert [agent.read(output.blob) for output in report.outputs] == [b"", b"a\n", b"", b"foo\nfoo\n"]
    stem = report.outputs[0].name.removesuffix(".0")
    assert [output.name for output in report.outputs] == [f"{stem}.{index}" for index in range(4)]
    assert stem.startswith(BASE)


async def test_many_tools_at_once_all_get_their_turn(agent: Rig) -> None:
    report = await agent.run("for i in $(seq 60); do echo $i | mpipe > /dev/null & done; wait")
    assert sorted(int(agent.read(output.blob)) for output in report.outputs) == list(range(1, 61))


async def test_what_a_failed_task_piped_is_saved(agent: Rig) -> None:
    report = await agent.run("echo x | mpipe; exit 1", last=False)
    assert agent.output(report) == b"x\n"
    assert report.outputs[0].blob.md5 is not None


HOSTILE = """
import os, socket, struct, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.connect(os.environ.get("REMORA_SOCKET", "/.remora/agent.sock"))
OPEN, COMMIT = 32, 33
def packet(kind, payload=b""): return struct.pack("=IIQ", kind, 0, 0) + payload
def opening(kind, name=b"", headers=b"", reducer=-1, count=1, name_len=None):
    name_len = len(name) if name_len is None else name_len
    return packet(OPEN, struct.pack("=IIiIII", kind, 0, reducer, count, name_len, len(headers)) + name + headers)
"""


@pytest.mark.skipif(shutil.which("python3", path="/usr/bin") is None, reason="needs python3 in the instance")
@pytest.mark.parametrize(
    "attack",
    [
        "s.send(b'short')",
        "s.send(packet(COMMIT))",
        "s.send(packet(999, b'x' * 1000))",
        "s.send(opening(1, name_len=4000000000))",
        "s.send(opening(77))",
        "s.send(opening(1, b'relative'))",
        "s.send(opening(1, b'/jill/' + b'x' * 5000))",
        "s.send(opening(4, count=200000))",
        "s.send(opening(1, b'/jill/stor/a', b'bad header\\n'))",
        "s.send(opening(3, b'/jill/stor/a', b'a: b\\r\\nc: d\\n'))",
        "s.send(opening(1)); s.recv(99); socket.send_fds(s, [packet(COMMIT)], [0, 1, 2])",
    ],
)
async def test_a_hostile_tool_gets_no_output_and_harms_nobody(agent: Rig, attack: str) -> None:
    ending = "try:\n print(s.recv(1000)[0] == 50)\nexcept OSError:\n print('cut off')"
    report = await agent.run(f"/usr/bin/python3 - <<'END'\n{HOSTILE}\n{attack}\n{ending}\nEND\nexit 1")
    assert all(output.name.startswith(BASE) and output.blob is not None for output in report.outputs)
    assert len(report.outputs) <= 1
    assert (await agent.run("echo fine")).outcome is Outcome.OK


@pytest.mark.skipif(shutil.which("python3", path="/usr/bin") is None, reason="needs python3 in the instance")
async def test_an_object_of_mtee_does_not_change_through_a_descriptor_that_was_kept(agent: Rig) -> None:
    attack = """
s.send(opening(2, b"/jill/stor/copy"))
_, (fd,), _, _ = socket.recv_fds(s, 1000, 1)
os.write(fd, b"as committed")
s.send(packet(COMMIT))
assert s.recv(1000)
os.pwrite(fd, b"TAMPERED", 0)
"""
    report = await agent.run(f"/usr/bin/python3 - <<'END'\n{HOSTILE}{attack}\nEND")
    assert report.outcome is Outcome.OK
    assert agent.read(agent.supervisor.adopted[0].blob) == b"as committed"


async def test_tools_survive_a_service_that_is_away_for_a_moment(agent: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PAUSE", 0.01)
    agent.supervisor.speechless = 2
    assert (await agent.run("echo x | mpipe ~~/stor/a")).outputs[0].name == "/jill/stor/a"
    agent.supervisor.speechless = 2
    assert (await agent.run("echo x | mtee ~~/stor/b")).outcome is Outcome.OK
    agent.supervisor.speechless = 3
    report = await agent.run("echo x | mpipe ~~/stor/c")
    assert report.message == "user command exited with code 1"
    assert b"the service does not answer" in agent.read(report.stderr.blob)


@pytest.fixture
def few_descriptors() -> Iterator[None]:
    """So few that an agent which keeps one for each output runs out of them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 200, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("few_descriptors")
async def test_a_task_has_more_outputs_than_its_agent_has_descriptors(agent: Rig) -> None:
    many, others = agent.map_task(b""), [agent.map_task(b"") for _ in range(20)]
    agent.grant(agent.spec("for i in $(seq 400); do echo $i | mpipe >&9; done 9>/dev/null", last=False), many)
    agent.grant(agent.spec("sleep .05; echo fine"), *others)
    assert [agent.output(report) for report in await agent.reports_of(*others)] == [b"fine\n"] * 20
    report = await agent.report_of(many)
    assert report.outcome is Outcome.OK
    texts = [f"{number}\n".encode() for number in range(1, 401)]
    assert [agent.read(output.blob) for output in report.outputs] == texts
    assert report.usage.bytes_out == sum(map(len, texts))


async def test_msplit_for_all_reducers_there_can_be_twice_over(agent: Rig) -> None:
    report = await agent.run("seq 1000 | tee >(msplit -n 128) | msplit -n 128; wait", last=False, next_reducers=128)
    assert len(report.outputs) == 256
    lines = b"".join(agent.read(output.blob) for output in report.outputs).split()
    assert sorted(map(int, lines)) == sorted([*range(1, 1001)] * 2)


async def test_outputs_of_a_failed_task_have_their_md5_however_many(agent: Rig) -> None:
    report = await agent.run("for i in $(seq 40); do echo $i | mpipe; done; exit 1", last=False)
    assert [(output.blob.md5, output.blob.size) for output in report.outputs] == [
        (base64.b64encode(hashlib.md5(text).digest()).decode(), len(text))
        for text in (f"{number}\n".encode() for number in range(1, 41))
    ]


async def test_outputs_of_a_cancelled_task_are_removed(agent: Rig) -> None:
    task, following = agent.map_task(b"x"), agent.map_task(b"y")
    script = f"[ $(cat) = y ] || {{ for i in $(seq 40); do echo $i | mpipe; done; {KNOCK}; sleep 100; }}"
    agent.grant(agent.spec(script), task, following)
    await agent.until(lambda supervisor: bool(supervisor.requests))
    assert len(blobs(agent)) > 2
    agent.cancel(task)
    await agent.report_of(following)
    assert blobs(agent) == {task.blob.id, following.blob.id}


@pytest.mark.skipif(shutil.which("python3", path="/usr/bin") is None, reason="needs python3 in the instance")
async def test_an_output_does_not_change_through_a_descriptor_that_was_kept(agent: Rig) -> None:
    attack = """
s.send(opening(1, b""))
_, (fd,), _, _ = socket.recv_fds(s, 1000, 1)
os.write(fd, b"as committed")
s.send(packet(COMMIT))
assert s.recv(1000)
os.pwrite(fd, b"TAMPERED", 0)
"""
    script = f"for i in $(seq 16); do echo $i | mpipe; done; /usr/bin/python3 - <<'END'\n{HOSTILE}{attack}\nEND"
    report = await agent.run(script)
    assert report.outcome is Outcome.OK
    assert agent.output(report, 16) == b"as committed"


def blobs(agent: Rig) -> set[str]:
    return set(agent.blobs.older_than(1 << 60))


async def test_a_task_that_emits_too_much_fails_by_a_reason(agent: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt, "MAX_EMITTED", 5)
    report = await agent.run("for i in $(seq 6); do echo $i | mpipe; done; true", b"x")
    assert (report.outcome, report.code) == (Outcome.FAILED, "UserTaskError")
    assert report.message == "user task emitted more than 5 outputs"
    assert agent.output(await agent.run("echo fine")) == b"fine\n"


async def test_a_task_whose_outputs_are_too_many_to_tell_fails_and_others_do_not(
    agent: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fields, "MAX_BYTES", 4000)
    report = await agent.run("for i in $(seq 20); do echo $i | mpipe; done", b"x")
    assert (report.outcome, report.code, report.outputs) == (Outcome.FAILED, "InternalError", [])
    assert report.message is not None
    assert report.message.startswith("cannot save outputs: report of ")
    assert agent.output(await agent.run("echo fine")) == b"fine\n"
    assert len(blobs(agent)) == 2  # an input, and what is fine
