"""The HTTP endpoint that a task finds at MANTA_URL, used with curl from inside an instance."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from scheduler.agent import client
from scheduler.model.wire import Outcome
from tests.support.nodes.agent_rig import ANY_ISOLATION, Rig, rig
from tests.support.nodes.containers import doors

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is what tasks use here")
CURL = "curl -sS -o /dev/null -w '%{http_code} ' "


@pytest_asyncio.fixture(params=ANY_ISOLATION)
async def agent(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    async with rig(tmp_path / "state", isolation=request.param) as running:
        yield running


async def test_a_get_goes_to_the_gateway_with_the_credential_of_the_job(agent: Rig) -> None:
    agent.supervisor.objects["/jill/stor/a b"] = b"contents"
    report = await agent.run("curl -sS -H 'Authorization: Bearer mine' -H 'm-x: 1' ${MANTA_URL}jill/stor/a%20b?k=v")
    assert agent.output(report) == b"contents"
    ((method, path, headers, _),) = agent.supervisor.requests
    assert (method, path) == ("GET", "/jill/stor/a%20b?k=v")
    assert headers["Authorization"] == "Token job-token"
    assert headers["m-x"] == "1"


async def test_a_plain_put_is_just_a_put(agent: Rig) -> None:
    report = await agent.run(
        f"head -c 3000000 /dev/zero | {CURL} -T - -H 'Expect: 100-continue' ${{MANTA_URL}}jill/stor/z"
    )
    assert agent.output(report) == b"204 "
    assert agent.supervisor.objects["/jill/stor/z"] == bytes(3_000_000)
    assert len(report.outputs) == 1


async def test_an_error_of_the_gateway_reaches_the_task_as_it_is(agent: Rig) -> None:
    report = await agent.run("curl -sS ${MANTA_URL}jill/stor/none")
    assert agent.output(report) == b'{"code": "ResourceNotFound", "message": "/jill/stor/none was not found"}'


async def test_a_put_with_stream_makes_an_output_and_suppresses_stdout(agent: Rig) -> None:
    script = (
        f"head -c 3000000 /dev/zero | {CURL} -T - -H 'x-manta-stream: stdout' -H 'x-manta-reducer: 2x'"
        " -H 'm-color: red' -H 'Expect: 100-continue' ${MANTA_URL}jill/stor/out >&2"
    )
    report = await agent.run(script, next_reducers=3)
    (output,) = report.outputs
    assert (output.name, output.reducer, output.named) == ("/jill/stor/out", 2, True)
    assert output.headers["m-color"] == "red"
    assert agent.output(report) == bytes(3_000_000)
    assert agent.supervisor.requests == []
    assert [check.name for check in agent.supervisor.checked] == ["/jill/stor/out"]


async def test_the_answer_to_an_emission_has_the_etag_that_the_object_will_have(agent: Rig) -> None:
    report = await agent.run(
        "curl -sSi -T /dev/fd/0 -H 'X-Manta-Stream: stdout' ${MANTA_URL}jill/stor/o >&2; exit 1", b"abc"
    )
    seen = agent.read(report.stderr.blob).decode()
    assert f"Etag: {report.outputs[0].blob.id}" in seen
    assert "Computed-MD5: " + base64.b64encode(hashlib.md5(b"abc").digest()).decode() in seen


async def test_half_a_reply_is_not_passed_off_as_a_whole_one(agent: Rig) -> None:
    report = await agent.run('curl -sS ${MANTA_URL}jill/stor/broken || echo " $?"; curl -sS ${MANTA_URL}jill/stor/none')
    partial = b"18"  # of curl: transfer closed with bytes remaining
    said, _, after = agent.output(report).partition(b"\n")
    assert said.split()[-1] in (partial, b"56")
    assert b"ResourceNotFound" in after


async def test_a_reference_is_an_output_that_nobody_looked_for(agent: Rig) -> None:
    script = (
        f"{CURL} -X PUT -H 'X-Manta-Reference: true' -H 'X-Manta-Stream: stdout' ${{MANTA_URL}}mark/public/far%20away"
    )
    report = await agent.run(script)
    (output,) = report.outputs
    assert (output.name, output.blob) == ("/mark/public/far away", None)
    assert agent.supervisor.requests == agent.supervisor.checked == []


@pytest.mark.parametrize(
    ("headers", "directory", "expected"),
    [
        ("-H 'X-Manta-Reducer: many'", "/jill/stor", "409 InvalidArgument invalid reducer"),
        ("-H 'X-Manta-Reducer: 128'", "/jill/stor", "409 InvalidArgument invalid reducer"),
        ("", "/jill/stor/none", "404 DirectoryDoesNotExist /jill/stor/none does not exist"),
        ("-H 'Content-MD5: AAAA'", "/jill/stor", "400 BadRequestError Content-MD5 invalid"),
        ("-H 'Content-MD5: 1B2M2Y8AsgTpgAmY7PhCfg=='", "/jill/stor", "400 ContentMD5Mismatch"),
    ],
)
async def test_an_emission_that_is_refused_says_why_and_emits_nothing(
    agent: Rig, headers: str, directory: str, expected: str
) -> None:
    agent.supervisor.missing.add("/jill/stor/none")
    curl = f"curl -sS -w ' %{{http_code}}' -T - -H 'X-Manta-Stream: stdout' {headers}"
    script = f"echo x | {curl} ${{MANTA_URL}}{directory[1:]}/o >&2; exit 1"
    report = await agent.run(script)
    seen = agent.read(report.stderr.blob).decode()
    assert all(word in seen for word in expected.split())
    assert report.outputs == []


async def test_what_a_failed_task_emitted_is_saved(agent: Rig) -> None:
    report = await agent.run(
        f"echo x | {CURL} -T - -H 'X-Manta-Stream: stdout' ${{MANTA_URL}}jill/stor/o >&2; exit 1", last=False
    )
    assert report.outcome is Outcome.FAILED
    assert agent.output(report) == b"x\n"
    assert report.outputs[0].blob.md5 is not None


async def test_a_task_can_read_its_own_intermediate_input_by_name(agent: Rig) -> None:
    report = await agent.run('curl -sS -r 2-4 "${MANTA_URL}${MANTA_INPUT_OBJECT#/}"', b"0123456789")
    assert agent.output(report) == b"234"


async def test_nobody_else_on_the_machine_may_use_it(agent: Rig) -> None:
    task = agent.map_task(b"")
    spec = agent.spec("curl -sS -o /dev/null ${MANTA_URL}jill/stor/a?url=${MANTA_URL}; sleep 1000")
    agent.grant(spec, task)
    await agent.until(lambda supervisor: bool(supervisor.requests))
    said = agent.supervisor.requests[0][1].partition("url=")[2]
    (url,) = doors(agent.state_dir, [said])
    async with aiohttp.ClientSession() as stranger:
        with pytest.raises(aiohttp.ClientConnectionError):
            await stranger.get(url + "jill/stor/a")
    if url == said:  # another container does not even reach it
        other = await agent.run(f"curl -sS {url}jill/stor/a; echo $?")
        assert agent.output(other) in (b"7\n", b"52\n", b"56\n")  # of curl: no connection, an empty reply, a reset
    agent.cancel(task)


async def test_the_init_script_may_read_but_not_emit(agent: Rig) -> None:
    agent.supervisor.objects["/jill/stor/a"] = b"contents"
    init = (
        "curl -sS ${MANTA_URL}jill/stor/a > a; echo x |"
        " curl -sS -T - -H 'X-Manta-Stream: stdout' ${MANTA_URL}jill/stor/o > b; true"
    )
    report = await agent.run("cat a b", init=init)
    assert agent.output(report) == b'contents{"code":"ConflictError","message":"invalid zone state"}'


async def test_at_most_25_requests_are_in_work_and_the_others_wait(agent: Rig) -> None:
    script = """
        for n in $(seq 40); do
            exec {connection}<> /dev/tcp/127.0.0.1/$(tr -dc 0-9 <<< ${MANTA_URL##*:})
            printf 'GET /jill/stor/none HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n' >&$connection
            all="$all $connection"
        done
        mtee ~~/stor/asked < /dev/null
        for connection in $all; do head -1 <&$connection; done
    """
    agent.supervisor.held = asyncio.Event()
    task = agent.map_task(b"")
    agent.grant(agent.spec(script), task)
    await agent.until(lambda supervisor: bool(supervisor.adopted) and supervisor.pending >= 25)
    assert agent.supervisor.pending == len(agent.supervisor.requests) == 25
    agent.supervisor.held.set()
    report = await agent.report_of(task)
    assert agent.output(report) == b"HTTP/1.1 404 Not Found\r\n" * 40


async def test_an_emission_survives_a_service_that_is_away_for_a_moment(
    agent: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "PAUSE", 0.01)
    agent.supervisor.speechless = 2
    report = await agent.run(f"echo x | {CURL} -T - -H 'X-Manta-Stream: stdout' ${{MANTA_URL}}jill/stor/o")
    assert [output.name for output in report.outputs] == ["/jill/stor/o"]
    agent.supervisor.speechless = 3
    report = await agent.run("echo x | curl -sS -T - -H 'X-Manta-Stream: stdout' ${MANTA_URL}jill/stor/o >&2; exit 1")
    assert b'"code":"ServiceUnavailable"' in agent.read(report.stderr.blob)
    assert report.outputs == []
