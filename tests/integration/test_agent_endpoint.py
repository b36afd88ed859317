"""The HTTP endpoint that a task finds at MANTA_URL, used with curl from inside an instance."""

from __future__ import annotations

import base64
import hashlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from scheduler.model.wire import Outcome
from tests.integration.agent_rig import Rig, rig

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is what tasks use here")
CURL = "curl -sS -o /dev/null -w '%{http_code} ' "


@pytest_asyncio.fixture(params=["auto", "subreaper"])
async def agent(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    async with rig(tmp_path / "state", isolation=request.param) as running:
        yield running


@pytest_asyncio.fixture
async def isolated(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig(tmp_path / "state") as running:
        yield running


async def test_a_get_goes_to_the_gateway_with_the_credential_of_the_job(isolated: Rig) -> None:
    isolated.supervisor.objects["/jill/stor/a b"] = b"contents"
    report = await isolated.run("curl -sS -H 'Authorization: Bearer mine' -H 'm-x: 1' ${MANTA_URL}jill/stor/a%20b?k=v")
    assert isolated.output(report) == b"contents"
    ((method, path, headers, _),) = isolated.supervisor.requests
    assert (method, path) == ("GET", "/jill/stor/a%20b?k=v")
    assert headers["Authorization"] == "Token job-token"
    assert headers["m-x"] == "1"


async def test_a_plain_put_is_just_a_put(isolated: Rig) -> None:
    report = await isolated.run(
        f"head -c 3000000 /dev/zero | {CURL} -T - -H 'Expect: 100-continue' ${{MANTA_URL}}jill/stor/z"
    )
    assert isolated.output(report) == b"204 "
    assert isolated.supervisor.objects["/jill/stor/z"] == bytes(3_000_000)
    assert len(report.outputs) == 1


async def test_an_error_of_the_gateway_reaches_the_task_as_it_is(isolated: Rig) -> None:
    report = await isolated.run("curl -sS ${MANTA_URL}jill/stor/none")
    assert isolated.output(report) == b'{"code": "ResourceNotFound", "message": "/jill/stor/none was not found"}'


async def test_a_put_with_stream_makes_an_output_and_suppresses_stdout(isolated: Rig) -> None:
    script = (
        f"head -c 3000000 /dev/zero | {CURL} -T - -H 'x-manta-stream: stdout' -H 'x-manta-reducer: 2x'"
        " -H 'm-color: red' -H 'Expect: 100-continue' ${MANTA_URL}jill/stor/out >&2"
    )
    report = await isolated.run(script, next_reducers=3)
    (output,) = report.outputs
    assert (output.name, output.reducer, output.named) == ("/jill/stor/out", 2, True)
    assert output.headers["m-color"] == "red"
    assert isolated.output(report) == bytes(3_000_000)
    assert isolated.supervisor.requests == []
    assert [check.name for check in isolated.supervisor.checked] == ["/jill/stor/out"]


async def test_the_answer_to_an_emission_has_the_etag_that_the_object_will_have(isolated: Rig) -> None:
    report = await isolated.run(
        "curl -sSi -T /dev/fd/0 -H 'X-Manta-Stream: stdout' ${MANTA_URL}jill/stor/o >&2; exit 1", b"abc"
    )
    seen = isolated.read(report.stderr.blob).decode()
    assert f"Etag: {report.outputs[0].blob.id}" in seen
    assert "Computed-MD5: " + base64.b64encode(hashlib.md5(b"abc").digest()).decode() in seen


async def test_a_reference_is_an_output_that_nobody_looked_for(isolated: Rig) -> None:
    script = (
        f"{CURL} -X PUT -H 'X-Manta-Reference: true' -H 'X-Manta-Stream: stdout' ${{MANTA_URL}}mark/public/far%20away"
    )
    report = await isolated.run(script)
    (output,) = report.outputs
    assert (output.name, output.blob) == ("/mark/public/far away", None)
    assert isolated.supervisor.requests == isolated.supervisor.checked == []


@pytest.mark.parametrize(
    ("headers", "directory", "expected"),
    [
        ("-H 'X-Manta-Reducer: many'", "/jill/stor", "409 InvalidArgument invalid reducer"),
        ("-H 'X-Manta-Reducer: 128'", "/jill/stor", "409 InvalidArgument invalid reducer"),
        ("", "/jill/stor/none", "404 DirectoryDoesNotExist /jill/stor/none does not exist"),
        ("-H 'Content-MD5: AAAA'", "/jill/stor", "400 ContentMD5Mismatch"),
    ],
)
async def test_an_emission_that_is_refused_says_why_and_emits_nothing(
    isolated: Rig, headers: str, directory: str, expected: str
) -> None:
    isolated.supervisor.missing.add("/jill/stor/none")
    curl = f"curl -sS -w ' %{{http_code}}' -T - -H 'X-Manta-Stream: stdout' {headers}"
    script = f"echo x | {curl} ${{MANTA_URL}}{directory[1:]}/o >&2; exit 1"
    report = await isolated.run(script)
    seen = isolated.read(report.stderr.blob).decode()
    assert all(word in seen for word in expected.split())
    assert report.outputs == []


async def test_what_a_failed_task_emitted_is_saved(isolated: Rig) -> None:
    report = await isolated.run(
        f"echo x | {CURL} -T - -H 'X-Manta-Stream: stdout' ${{MANTA_URL}}jill/stor/o >&2; exit 1", last=False
    )
    assert report.outcome is Outcome.FAILED
    assert isolated.output(report) == b"x\n"
    assert report.outputs[0].blob.md5 is not None


async def test_a_task_can_read_its_own_intermediate_input_by_name(isolated: Rig) -> None:
    report = await isolated.run('curl -sS -r 2-4 "${MANTA_URL}${MANTA_INPUT_OBJECT#/}"', b"0123456789")
    assert isolated.output(report) == b"234"


async def test_the_endpoint_works_in_every_kind_of_instance(agent: Rig) -> None:
    agent.supervisor.objects["/jill/stor/a"] = b"contents"
    assert agent.output(await agent.run("curl -sS ${MANTA_URL}jill/stor/a")) == b"contents"


async def test_nobody_else_on_the_machine_may_use_it(agent: Rig) -> None:
    task = agent.map_task(b"")
    spec = agent.spec("curl -sS -o /dev/null ${MANTA_URL}jill/stor/a?url=${MANTA_URL}; sleep 1000")
    agent.grant(spec, task)
    await agent.until(lambda supervisor: bool(supervisor.requests))
    url = agent.supervisor.requests[0][1].partition("url=")[2]
    async with aiohttp.ClientSession() as stranger, stranger.get(url + "jill/stor/a") as reply:
        assert reply.status == 403
        assert (await reply.json())["code"] == "AuthorizationFailed"
    other = await agent.run(f"curl -sS {url}jill/stor/a")
    if agent.state_dir.stat().st_uid == 0:
        assert b"AuthorizationFailed" in agent.output(other)
    agent.cancel(task)


async def test_the_init_script_may_read_but_not_emit(isolated: Rig) -> None:
    isolated.supervisor.objects["/jill/stor/a"] = b"contents"
    init = (
        "curl -sS ${MANTA_URL}jill/stor/a > /tmp/a; echo x |"
        " curl -sS -T - -H 'X-Manta-Stream: stdout' ${MANTA_URL}jill/stor/o > /tmp/b; true"
    )
    report = await isolated.run("cat /tmp/a /tmp/b", init=init)
    assert isolated.output(report) == b'contents{"code": "ConflictError", "message": "invalid zone state"}'
