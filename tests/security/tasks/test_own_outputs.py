"""A task reads what it has emitted; nobody else does before the commit."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from scheduler.model.wire import Outcome
from tests.support.nodes.agent_rig import ANY_ISOLATION, Rig, rig

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is what tasks use here")
GET = 'get() { curl -sS "$@"; }; url() { echo "${MANTA_URL%/}$1"; }; '


@pytest_asyncio.fixture(params=ANY_ISOLATION)
async def agent(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    async with rig(tmp_path / "state", isolation=request.param) as running:
        yield running


async def said(agent: Rig, script: str, data: bytes = b"", **changes: object) -> bytes:
    """What a task printed to stderr, since tools drop its stdout."""
    report = await agent.run(f"exec >&2; {GET}{script}\nexit 1", data, **changes)
    assert report.stderr is not None
    return agent.read(report.stderr.blob)


WAYS = {
    "mpipe": "name=$(echo -n 0123456789 | mpipe)",
    "mpipe with a name": "name=$(echo -n 0123456789 | mpipe -H 'm-a: b' /jill/stor/mine)",
    "the 20th of mpipe": "for n in {1..20}; do name=$(echo -n 0123456789 | mpipe); done",
    "http": "name=/jill/stor/mine; echo -n 0123456789 | get -T - -H 'X-Manta-Stream: stdout' $(url $name)",
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
@pytest.mark.parametrize("last", [True, False])
async def test_an_attempt_reads_what_it_has_emitted_again_and_again(agent: Rig, way: str, last: bool) -> None:
    reads = (
        "get $(url $name); get -r 2-4 $(url $name); get -I $(url $name) | tr -d '\\r' | grep -ic '^content-length: 10$'"
    )
    assert await said(agent, f"{way}; {reads}; get $(url $name)", last=last) == b"01234567892341\n0123456789"
    assert agent.supervisor.requests == []


async def test_conditions_hold_and_the_newest_of_two_outputs_counts(agent: Rig) -> None:
    script = """
        echo -n old | mpipe /jill/stor/mine > /dev/null; echo -n new | mpipe /jill/stor/mine > /dev/null
        etag=$(get -I $(url /jill/stor/mine) | tr -d '\\r' | sed -n 's/^etag: //Ip')
        get -w '%{http_code} ' $(url /jill/stor/mine)
        get -w '%{http_code} ' -H "If-None-Match: $etag" $(url /jill/stor/mine)
        get -o /dev/null -w '%{http_code} ' -H 'If-Match: "x"' $(url /jill/stor/mine)
        get -o /dev/null -w '%{http_code} ' -r 100-200 $(url /jill/stor/mine)
        : | mpipe /jill/stor/empty > /dev/null; get -w '%{http_code}' $(url /jill/stor/empty)
    """
    assert await said(agent, script) == b"new200 304 412 416 200"


async def test_reads_that_are_broken_off_do_no_harm(agent: Rig) -> None:
    script = """
        name=$(head -c 30000000 /dev/zero | mpipe)
        for n in {1..5}; do get $(url $name) | head -c 1000 | wc -c; done 2> /dev/null
        get "$(url $MANTA_INPUT_OBJECT)" 2> /dev/null | head -c 3
        get "$(url $MANTA_INPUT_OBJECT)" | wc -c; get $(url $name) | wc -c
    """
    spec = agent.spec(f"exec >&2; {GET}{script}\nexit 1")
    open_files = []
    for _ in range(2):  # in the same instance
        task = agent.map_task(b"1" * 3_000_000)
        agent.grant(spec, task)
        report = await agent.report_of(task)
        assert report.stderr is not None
        assert agent.read(report.stderr.blob) == b"1000\n" * 5 + b"1113000000\n30000000\n"
        open_files.append(len(list(Path("/proc/self/fd").iterdir())))
    assert open_files[1] <= open_files[0] + 2  # connections that have not been closed yet


async def test_neither_another_task_nor_a_later_one_sees_it(agent: Rig) -> None:
    first, later = agent.map_task(b""), agent.map_task(b"")
    spec = agent.spec(
        "[ -e seen ] || { touch seen; echo mine | mpipe /jill/stor/mine; exit 0; };"
        'exec >&2; curl -sS -w "%{http_code} " -o /dev/null ${MANTA_URL}jill/stor/mine; exit 1'
    )
    agent.grant(spec, first)
    assert (await agent.report_of(first)).outcome is Outcome.OK
    agent.grant(spec, later)  # in the same instance
    report = await agent.report_of(later)
    assert report.stderr is not None
    assert agent.read(report.stderr.blob) == b"404 "


async def test_a_reference_is_read_from_the_service(agent: Rig) -> None:
    agent.supervisor.objects["/jill/stor/far"] = b"far"
    script = "get -X PUT -H 'X-Manta-Reference: true' $(url /jill/stor/far); get $(url /jill/stor/far)"
    assert await said(agent, script) == b"far"
