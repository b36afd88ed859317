"""Several nodes: what one makes another reads, through real agents, instances and sockets."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from scheduler.agent.blobs import fetch
from scheduler.agent.blobs.server import BlobServer
from scheduler.common.ids import new_id
from scheduler.model.credentials.tickets import source_of
from scheduler.model.wire import Asset, BlobRef, FeedPage, FeedSource, Outcome
from tests.integration.agent.attempts.test_agent_reduce import started
from tests.support.eventually import eventually
from tests.support.lines.noise import noise
from tests.support.nodes.agent_rig import KNOCK, Rig, rig
from tests.support.nodes.peers import KEY, Peer, crook, passes_on, peer, says

MEMORY = Path("/dev/shm")
DATA = noise(5_000_000)


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patience that fits a test."""
    monkeypatch.setattr(fetch, "PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr(fetch, "LONGEST_PAUSE", 0.1)


@pytest.fixture
def objects() -> Iterator[Path]:
    """The directory that all nodes share: on another file system than their own, where there is one."""
    folder = Path(tempfile.mkdtemp(dir=MEMORY if os.access(MEMORY, os.W_OK) else None))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest_asyncio.fixture
async def agent(tmp_path: Path, objects: Path) -> AsyncIterator[Rig]:
    async with rig(tmp_path / "state", objects=objects) as running:
        yield running


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Peer]:
    with peer(tmp_path / "peer") as made:
        yield made


@contextlib.contextmanager
def serving(agent: Rig) -> Iterator[int]:
    """What a node made, served: the port."""
    exchange = BlobServer(agent.stores.own, KEY, agent.stores.traffic)
    try:
        yield exchange.start("127.0.0.1", 0)
    finally:
        exchange.close()


def told_elsewhere(blob: BlobRef | None, port: int) -> BlobRef:
    """A blob as the agent of another node is told of it."""
    assert blob is not None
    return replace(blob, source=source_of(f"http://127.0.0.1:{port}", KEY, blob.id, "here"))


async def test_what_one_node_made_is_read_on_another(agent: Rig, tmp_path: Path, objects: Path) -> None:
    async with rig(tmp_path / "other", objects=objects, node="other") as other:
        first = agent.map_task(DATA)
        agent.grant(agent.spec("cat; cat $MANTA_INPUT_FILE", last=False), first)
        made = (await agent.report_of(first)).outputs[0].blob
        assert made is not None
        assert made.node == "here"
        assert not agent.stores.objects.path(made.id).exists()
        with serving(agent) as port:
            elsewhere = told_elsewhere(made, port)
            tasks = [other.map_task(elsewhere, f"/jill/stor/in{number}") for number in range(3)]
            other.grant(other.spec("cat $MANTA_INPUT_FILE | cmp - /dev/stdin && wc -c < $MANTA_INPUT_FILE"), *tasks)
            reports = await other.reports_of(*tasks)
        assert [other.output(report) for report in reports] == [b"10000000\n"] * 3
        assert all(output.blob and output.blob.node is None for report in reports for output in report.outputs)
        assert (agent.stores.traffic.served, other.stores.traffic.fetched) == (10_000_000, 10_000_000)


async def test_a_reducer_reads_from_its_own_node_from_others_and_from_the_objects(agent: Rig, there: Peer) -> None:
    first = agent.map_task(b"own\n")
    agent.grant(agent.spec("cat", last=False), first)
    own = (await agent.report_of(first)).outputs[0].blob
    assert own is not None
    task = await started(agent, "cat | md5sum; cat; true")
    with crook(passes_on(there.port, 2_000_000), passes_on(there.port)) as way:
        far = [way.ref(there.put(DATA)), there.put(b"small\n"), there.put(DATA)]
        agent.feed(task, own, far[0], agent.blob(b"object\n"), *far[1:], end=True)
        report = await agent.report_of(task)
    assert report.outcome is Outcome.OK
    assert report.usage.bytes_in == 2 * len(DATA) + len(b"own\nobject\nsmall\n")
    assert agent.stores.traffic.resumed == 1


async def test_a_partition_is_read_on_its_own_node_and_on_another(agent: Rig, tmp_path: Path, objects: Path) -> None:
    lines = [b"%d %s\n" % (number % 100, b"x" * (number % 300)) for number in range(5000)]
    shuffled = {"operation": "map_reduce", "divides": True, "partitions": 2, "last": False}
    async with rig(tmp_path / "other", objects=objects, node="other") as other:
        first = agent.map_task(b"".join(lines))
        agent.grant(agent.spec('mpartition --partitions "$REMORA_PARTITIONS" -k1,1', **shuffled), first)
        report = await agent.report_of(first)
        made = report.outputs[0].blob
        assert made is not None
        assert (report.outcome, made.node, made.md5) == (Outcome.OK, "here", None)
        with serving(agent) as port:
            read = []
            for part in range(2):
                near, far = await started(agent, "cat"), await started(other, "cat")
                for node, task, blob in ((agent, near, made), (other, far, told_elsewhere(made, port))):
                    sources = [FeedSource(seq=1, blob=blob, part=part)]
                    page = FeedPage(task=task.task, attempt=task.attempt, sources=sources, end=True)
                    node.supervisor.replies.put_nowait({"feeds": [page]})
                here, there = agent.output(await agent.report_of(near)), other.output(await other.report_of(far))
                assert here == there
                part_lines = here.splitlines(True)
                own = set(part_lines)
                assert part_lines == [line for line in lines if line in own]
                read += part_lines
    assert sorted(read) == sorted(lines)
    assert agent.stores.traffic.served == other.stores.traffic.fetched == sum(map(len, lines))


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("cat", "what it has printed is no shuffle file: it "),
        ("mpartition --partitions 2", "what it has printed is no shuffle file: it has 2 partitions, not 3"),
        ("mpartition --partitions 3; echo more", "what it has printed is no shuffle file: it "),
        ("true", "what it has printed is no shuffle file: it is too short"),
        ("mpartition --partitions 3; echo x | mpipe", "is an output beside its lines (mpipe)"),
    ],
)
async def test_what_is_no_shuffle_file_fails_its_task(agent: Rig, script: str, why: str) -> None:
    task = agent.map_task(b"a\nb\n" * 100)
    spec = agent.spec(script, operation="map_reduce", divides=True, partitions=3, last=False)
    agent.grant(spec, task)
    report = await agent.report_of(task)
    assert (report.outcome, report.code, report.outputs) == (Outcome.FAILED, "UserTaskError", [])
    assert why in (report.message or "")


@pytest.mark.usefixtures("brief")
async def test_an_input_that_its_node_has_not_got_any_more_is_told_as_missing(agent: Rig, there: Peer) -> None:
    gone = there.ref(new_id(), 10)
    task = agent.map_task(gone)
    agent.grant(agent.spec("cat"), task)
    lost = await agent.report_of(task)
    assert (lost.outcome, lost.missing, lost.message) == (Outcome.LOST, [gone.id], "error fetching inputs")
    reducer = await started(agent, "cat")
    agent.feed(reducer, there.put(b"x"), gone, end=True)
    lost = await agent.report_of(reducer)
    assert (lost.outcome, lost.missing) == (Outcome.LOST, [gone.id])
    assert lost.outputs == []


@pytest.mark.usefixtures("brief")
async def test_a_node_that_does_not_answer_and_an_own_file_that_vanished_are_told_as_missing(agent: Rig) -> None:
    own = BlobRef(id=new_id(), size=3, node="here")
    with crook(says(b"")) as way:
        silent = BlobRef(id=new_id(), size=3, node="far", source=f"http://127.0.0.1:{way.port}/blobs/x")
        tasks = [agent.map_task(own), agent.map_task(silent)]
        agent.grant(agent.spec("cat"), *tasks)
        reports = await agent.reports_of(*tasks)
    assert [(report.outcome, report.missing) for report in reports] == [
        (Outcome.LOST, [own.id]),
        (Outcome.LOST, [silent.id]),
    ]


async def test_an_object_that_is_gone_fails_its_task_as_ever(agent: Rig) -> None:
    task = agent.map_task(b"text")
    assert task.blob is not None
    agent.blobs.discard([task.blob.id])
    agent.grant(agent.spec("cat"), task)
    report = await agent.report_of(task)
    assert (report.outcome, report.code, report.missing) == (Outcome.FAILED, "ResourceNotFoundError", [])


async def test_tasks_run_while_the_input_of_another_is_on_its_way(agent: Rig, there: Peer) -> None:
    slow = there.put(DATA)
    with crook(passes_on(there.port, 1000, hangs=True)) as way:
        waiting, *others = agent.map_task(way.ref(slow)), agent.map_task(b"1"), agent.map_task(there.put(b"2"))
        agent.grant(agent.spec("cat"), waiting, *others)
        reports = await agent.reports_of(*others)
        assert [agent.output(report) for report in reports] == [b"1", b"2"]
        assert (waiting.task, 1) not in agent.supervisor.reports
        agent.cancel(waiting)  # which ends its transfer, too
        await agent.until(lambda supervisor: supervisor.states[-1].pools[0].room > 0)


async def test_a_pool_that_is_over_leaves_no_transfer(agent: Rig, there: Peer) -> None:
    with crook(passes_on(there.port, 1000, hangs=True)) as way:
        spec, task = agent.spec("cat"), agent.map_task(way.ref(there.put(DATA)))
        agent.grant(spec, task)
        await eventually(lambda: way.connections, "the input is fetched")
        agent.release(spec)
        await agent.until(lambda supervisor: not supervisor.states[-1].pools)


async def test_its_own_input_is_there_for_a_task_that_asks_by_http(agent: Rig, there: Peer) -> None:
    ask = (
        "exec 9<> /dev/tcp/127.0.0.1/$(p=${MANTA_URL##*:}; echo ${p%/}); "
        "printf 'GET %s HTTP/1.0\\r\\n\\r\\n' $MANTA_INPUT_OBJECT >&9; cat <&9"
    )
    task = agent.map_task(there.put(b"from far away"), "/jill/jobs/x/stor/in")
    agent.grant(agent.spec(ask), task)
    assert agent.output(await agent.report_of(task)).endswith(b"\r\n\r\nfrom far away")


async def test_assets_come_from_the_objects_of_another_file_system(agent: Rig) -> None:
    asset = Asset(name="/jill/stor/tool", blob=agent.blob(b"echo a tool\n"))
    task = agent.map_task(b"x")
    where = "/assets" if agent.isolated else f"{agent.state_dir}/instances/0/assets"
    agent.grant(agent.spec(f"bash {where}/jill/stor/tool", assets=[asset]), task)
    assert agent.output(await agent.report_of(task)) == b"a tool\n"


async def test_what_a_failed_task_of_an_early_phase_wrote_is_in_the_objects(agent: Rig) -> None:
    task = agent.map_task(b"x")
    agent.grant(
        agent.spec("echo out; echo err >&2; for i in {1..20}; do echo $i | mpipe; done; exit 3", last=False), task
    )
    report = await agent.report_of(task)
    assert report.stderr is not None
    refs = [report.stderr.blob, *(output.blob for output in report.outputs)]
    assert len(refs) == 21  # what mpipe took, and stderr; stdout was dropped
    assert all(ref and ref.node is None and agent.stores.objects.path(ref.id).exists() for ref in refs)
    assert list(agent.stores.own.older_than(1 << 60)) == []


async def test_named_outputs_of_an_early_phase_are_objects_and_the_others_stay(agent: Rig) -> None:
    script = "echo named | mpipe /jill/stor/named; echo unnamed | mpipe; echo tee | mtee /jill/stor/tee > /dev/null"
    task = agent.map_task(b"x")
    agent.grant(agent.spec(script, last=False), task)
    named, unnamed = (output.blob for output in (await agent.report_of(task)).outputs)
    assert named is not None
    assert unnamed is not None
    assert (named.node, unnamed.node) == (None, "here")
    assert (agent.read(named), agent.read(unnamed)) == (b"named\n", b"unnamed\n")
    (adopted,) = agent.supervisor.adopted
    assert (adopted.blob.node, agent.read(adopted.blob)) == (None, b"tee\n")


async def test_what_the_supervisor_says_nobody_needs_is_removed(agent: Rig) -> None:
    task = agent.map_task(b"x")
    agent.grant(agent.spec("cat", last=False), task)
    made = (await agent.report_of(task)).outputs[0].blob
    assert made is not None
    agent.supervisor.replies.put_nowait({"discard": [made.id, new_id()]})
    await eventually(lambda: not agent.stores.own.path(made.id).exists(), "the blob is removed")


async def test_what_an_earlier_start_left_is_asked_about_and_removed_if_nobody_wants_it(
    tmp_path: Path, objects: Path
) -> None:
    with peer(tmp_path / "state" / "blobs") as earlier:
        old = [earlier.put(b"x").id for _ in range(3)]
    made_ms = time.time_ns() // 1_000_000
    await eventually(lambda: time.time_ns() // 1_000_000 > made_ms, "the next millisecond: what is of this one stays")
    async with rig(tmp_path / "state", objects=objects, unknown=old[:2]) as agent:
        task = agent.map_task(b"x")
        agent.grant(agent.spec(f"cat; {KNOCK}", last=False), task)
        made = (await agent.report_of(task)).outputs[0].blob
        assert made is not None
        left = {old[2], made.id}
        await eventually(lambda: set(agent.stores.own.older_than(1 << 60)) == left, "old intermediates are removed")
        assert set(agent.supervisor.swept) == set(old)
        agent.supervisor.forgotten = True  # it registers again, and has no old files then
        await agent.until(lambda supervisor: supervisor.registrations == 2)
        assert len(agent.supervisor.swept) == 3


async def test_what_could_not_be_reported_to_who_forgot_us_is_removed(agent: Rig) -> None:
    agent.supervisor.unavailable = many = 1 << 30
    spec, *tasks = agent.spec("cat", last=False), *(agent.map_task(b"x") for _ in range(3))
    agent.grant(spec, tasks[0])
    await eventually(lambda: agent.supervisor.unavailable < many, "a report, which is repeated from here on")
    agent.grant(spec, *tasks[1:])
    await eventually(lambda: len(list(agent.stores.own.older_than(1 << 60))) == len(tasks), "every task has its output")
    agent.supervisor.forgotten = True
    agent.supervisor.replies.put_nowait({})  # the poll ends, and the next one is refused
    await agent.until(lambda supervisor: supervisor.registrations == 2)
    # What was in a report may have arrived: whether somebody knows it is for the next start to ask.
    await eventually(lambda: len(list(agent.stores.own.older_than(1 << 60))) == 1, "the others are removed")
