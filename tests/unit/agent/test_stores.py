"""Two stores of a node, on file systems that cannot be linked: what is made, moved, copied and found where."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from datapath import spool
from datapath.passing import Done, DoneFlag
from scheduler.agent.attempts import capture
from scheduler.agent.attempts.attempt import Attempt, Emitted
from scheduler.agent.attempts.capture import Scratch
from scheduler.agent.attempts.reports import Reporter
from scheduler.agent.attempts.verdict import Verdict
from scheduler.agent.blobs.cache import Cache
from scheduler.agent.blobs.stores import Stores
from scheduler.common.ids import new_id
from scheduler.model.wire import BlobRef, Outcome, PoolSpec, TaskLease
from scheduler.objects.blobs import UNFINISHED, BlobStore
from tests.support.ids import id_of
from tests.support.nodes.peers import peer

LEASE = TaskLease(task=1, uuid=id_of("u"), attempt=1, base="/jill/stor/x", input="/jill/stor/x")
DONE = Done(0, DoneFlag(0), 0, 0, 0, 0, 0, "", "")
FAILED = Verdict(Outcome.FAILED, "UserTaskError", "no")
MEMORY = Path("/dev/shm")


def spec(last: bool) -> PoolSpec:
    return PoolSpec(
        pool=1, job=id_of("j"), login="jill", phase=0, blocking=False, exec="", memory_mb=128, disk_gb=2, last=last,
        next_reducers=0, token="t",
    )  # fmt: skip


@pytest.fixture
def shared() -> Iterator[Path]:
    """A directory on another file system than that of `tmp_path`."""
    if not os.access(MEMORY, os.W_OK):
        pytest.skip("there is no second file system here")
    folder = Path(tempfile.mkdtemp(dir=MEMORY))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
async def stores(tmp_path: Path, shared: Path) -> AsyncIterator[Stores]:
    made = Stores.of_node("here", shared, tmp_path)
    yield made
    await made.close()


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> None:
    """No file system has nameless files."""
    really = os.open

    def refuse(path: Any, flags: int, *args: Any, **more: Any) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")
        return really(path, flags, *args, **more)

    monkeypatch.setattr(os, "open", refuse)


def put(blobs: BlobStore, data: bytes) -> str:
    fd, blob = blobs.create(), new_id()
    os.write(fd, data)
    blobs.publish(fd, blob)
    blobs.drop(fd)
    return blob


def content(blobs: BlobStore, blob: str) -> bytes:
    return blobs.path(blob).read_bytes()


def everything(blobs: BlobStore) -> list[str]:
    return list(blobs.older_than(1 << 60))


def attempt_of(scratch: Scratch, stdout: bytes, stderr: bytes = b"") -> Attempt:
    attempt = Attempt(1, LEASE, scratch.take(), scratch.take())
    os.write(attempt.stdout, stdout)
    os.write(attempt.stderr, stderr)
    return attempt


def emitted(stores: Stores, name: str, data: bytes, final: bool = False) -> Emitted:
    fd = stores.born(final).create()
    os.write(fd, data)
    return Emitted(name, fd, named=final)


async def test_intermediates_stay_on_the_node_and_objects_are_shared(stores: Stores) -> None:
    for last in (False, True):
        scratch = Scratch(stores.born(last))
        reporter = Reporter(stores, scratch, spec(last), 1 << 30)
        attempt = attempt_of(scratch, b"text")
        attempt.add(emitted(stores, "/jill/stor/named", b"named", final=True))
        report = reporter.report(attempt, DONE, Verdict(Outcome.OK))
        kept, stdout = (output.blob for output in report.outputs)
        assert kept is not None
        assert stdout is not None
        assert (kept.node, content(stores.objects, kept.id)) == (None, b"named")
        assert (stdout.node, stdout.md5 is None) == ((None, False) if last else ("here", True))
        assert content(stores.objects if last else stores.own, stdout.id) == b"text"
        scratch.close()
    assert len(everything(stores.own)) == 1


async def test_what_a_failed_task_leaves_is_moved_to_the_objects(stores: Stores) -> None:
    scratch = Scratch(stores.born(False))
    reporter = Reporter(stores, scratch, spec(False), 1 << 30)
    attempt = attempt_of(scratch, b"out", b"err")
    held, early = emitted(stores, "/jill/stor/held", b"held"), emitted(stores, "/jill/stor/early", b"early")
    assert early.fd is not None
    early.kept = capture.publish(stores, early.fd, 5, False, early.blob)
    os.close(early.fd)
    early.fd = None
    attempt.add(held, early)
    core = stores.own.create()
    os.write(core, b"core")
    attempt.core = core
    assert reporter.is_heavy(attempt, FAILED)  # a copy between file systems is nothing for the event loop
    report = reporter.report(attempt, DONE, FAILED)
    assert report.stderr is not None
    assert report.core is not None
    blobs = [output.blob for output in report.outputs] + [report.stderr.blob, report.core.blob]
    assert [content(stores.objects, blob.id) for blob in blobs if blob] == [b"held", b"early", b"out", b"err", b"core"]
    assert all(blob and blob.node is None and blob.md5 for blob in blobs)
    assert everything(stores.own) == []
    scratch.close()


async def test_only_the_stores_that_were_used_are_flushed(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[int] = []
    monkeypatch.setattr(spool, "syncfs", lambda fd: flushed.append(os.fstat(fd).st_dev))
    own, objects = (os.stat(each.root).st_dev for each in (stores.own, stores.objects))
    mine, ours = BlobRef(id=new_id(), size=1, node="here"), BlobRef(id=new_id(), size=1)
    await stores.durable([mine, mine])
    assert flushed == [own]
    await stores.durable([ours])
    assert flushed == [own, objects]
    await stores.durable([mine, ours])
    assert sorted(flushed[2:]) == sorted([own, objects])


async def test_where_they_are_one_nothing_has_a_node_and_nothing_moves(tmp_path: Path) -> None:
    stores = Stores.one(BlobStore(tmp_path))
    assert stores.born(True) is stores.born(False) is stores.home(True) is stores.home(False)
    assert stores.node_of(False) is None
    assert stores.is_near(BlobRef(id=new_id(), size=1))
    assert not stores.moves(True, False)
    await stores.close()


async def test_an_object_on_another_file_system_is_copied_once_and_can_be_linked(
    stores: Stores, tmp_path: Path
) -> None:
    object_ = BlobRef(id=put(stores.objects, b"text"), size=4)
    own = BlobRef(id=put(stores.own, b"mine"), size=4, node="here")
    assert [stores.is_near(each) for each in (object_, own)] == [False, True]
    await asyncio.gather(*(stores.hold(object_) for _ in range(20)))
    os.link(stores.store_of(object_).path(object_.id), tmp_path / "link")
    assert (tmp_path / "link").read_bytes() == b"text"
    assert stores.traffic.fetched == 4
    assert stores.store_of(own) is stores.own


async def test_an_object_that_is_gone_and_a_peer_s_blob_that_is_gone_are_told_apart(
    stores: Stores, tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError):
        await stores.hold(BlobRef(id=new_id(), size=1))
    with peer(tmp_path / "peer") as there:
        with pytest.raises(Exception, match="the peer answered 404"):
            await stores.hold(there.ref(new_id(), 1))
        blob = there.put(b"far away")
        await stores.hold(blob)
    assert content(stores.store_of(blob), blob.id) == b"far away"


async def test_a_copy_that_was_written_to_is_not_used_again(stores: Stores) -> None:
    blob = BlobRef(id=put(stores.objects, b"text"), size=4)
    await stores.hold(blob)
    stores.let_go(blob)
    stores.doubt(blob)
    assert everything(stores.store_of(blob)) == []
    await stores.hold(blob)
    assert content(stores.store_of(blob), blob.id) == b"text"


# Without nameless files.


@pytest.mark.usefixtures("named")
def test_without_nameless_files_blobs_are_renamed_into_place(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path)
    assert not blobs.nameless
    fd, blob = blobs.create(), new_id()
    os.write(fd, b"text")
    assert everything(blobs) == []
    blobs.publish(fd, blob)
    assert content(blobs, blob) == b"text"
    assert os.stat(blobs.path(blob)).st_mode & 0o777 == 0o444
    blobs.drop(fd)  # it is published, and stays
    blobs.drop(blobs.create())  # it is not
    assert everything(blobs) == [blob]
    assert list((tmp_path / UNFINISHED).iterdir()) == []
    blobs.close()


@pytest.mark.usefixtures("named")
def test_what_a_writer_left_that_died_is_swept(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path)
    os.close(blobs.create())
    blobs.discard_unfinished(1)
    assert len(list((tmp_path / UNFINISHED).iterdir())) == 1
    blobs.discard_unfinished(1 << 60)
    assert list((tmp_path / UNFINISHED).iterdir()) == []
    blobs.close()


async def test_where_objects_cannot_be_nameless_outputs_are_born_on_the_node(tmp_path: Path, shared: Path) -> None:
    stores = Stores.of_node("here", shared, tmp_path)
    stores.objects.nameless = False
    scratch = Scratch(stores.born(True))
    reporter = Reporter(stores, scratch, spec(True), 1 << 30)
    attempt = attempt_of(scratch, b"text")
    assert reporter.is_heavy(attempt, Verdict(Outcome.OK))
    (output,) = reporter.report(attempt, DONE, Verdict(Outcome.OK)).outputs
    assert output.blob is not None
    assert content(stores.objects, output.blob.id) == b"text"
    assert list((shared / UNFINISHED).iterdir()) == everything(stores.own) == []
    scratch.close()
    await stores.close()


# The cache.


class Source:
    """Blobs of a size, which come when they are let."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.gate = threading.Event()
        self.gate.set()
        self.broken = False

    def __call__(self, blob: BlobRef, fd: int, unwanted: threading.Event) -> None:
        self.asked.append(blob.id)
        while not self.gate.wait(0.01):
            if unwanted.is_set():
                raise OSError("nobody wants it")
        if self.broken:
            raise OSError(errno.EIO, "Input/output error")
        os.write(fd, b"x" * blob.size)


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
async def cache(tmp_path: Path, source: Source) -> AsyncIterator[Cache]:
    made = Cache(tmp_path / "cache", source, limit=100)
    yield made
    await made.close()


def some(size: int) -> BlobRef:
    return BlobRef(id=new_id(), size=size)


async def settle() -> None:
    """Let all that can run now do so."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_the_least_recently_used_copy_goes_first(cache: Cache) -> None:
    blobs = [some(30) for _ in range(3)]
    for blob in [*blobs, blobs[0]]:
        await cache.hold(blob)
        cache.let_go(blob.id)
    fourth = some(30)
    await cache.hold(fourth)
    assert set(everything(cache.blobs)) == {blobs[2].id, blobs[0].id, fourth.id}
    assert cache.used == 90


async def test_what_is_held_stays_and_who_finds_no_room_waits(cache: Cache) -> None:
    first, second = some(60), some(60)
    await cache.hold(first)
    waiting = asyncio.create_task(cache.hold(second))
    small = asyncio.create_task(cache.hold(some(10)))  # comes later, and has to wait for its turn
    await settle()
    assert not waiting.done()
    assert not small.done()
    cache.let_go(first.id)
    await waiting
    await small
    assert first.id not in everything(cache.blobs)


async def test_a_blob_that_is_larger_than_the_cache_is_let_in_alone(cache: Cache) -> None:
    small, large = some(10), some(1000)
    await cache.hold(small)
    waiting = asyncio.create_task(cache.hold(large))
    await settle()
    assert not waiting.done()
    cache.let_go(small.id)
    await waiting
    assert everything(cache.blobs) == [large.id]


async def test_a_transfer_that_failed_is_tried_again_by_the_next_and_takes_no_room(
    cache: Cache, source: Source
) -> None:
    source.broken = True
    blob = some(60)
    results = await asyncio.gather(cache.hold(blob), cache.hold(blob), return_exceptions=True)
    assert [str(result) for result in results] == ["[Errno 5] Input/output error"] * 2
    assert (cache.used, source.asked) == (0, [blob.id])
    source.broken = False
    await cache.hold(blob)
    assert cache.used == 60


async def test_who_gives_up_waiting_stops_the_transfer_unless_others_wait(cache: Cache, source: Source) -> None:
    source.gate.clear()
    blob = some(60)
    first, second = asyncio.create_task(cache.hold(blob)), asyncio.create_task(cache.hold(blob))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert cache.used == 60
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    assert cache.used == 0
    source.gate.set()
    await cache.hold(blob)
    assert content(cache.blobs, blob.id) == b"x" * 60


async def test_a_cache_begins_empty(cache: Cache, source: Source, tmp_path: Path) -> None:
    blob = some(10)
    await cache.hold(blob)
    again = Cache(tmp_path / "cache", source)
    assert everything(again.blobs) == []
    assert again.limit >= 1 << 30
    await again.close()
