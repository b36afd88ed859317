"""An agent that runs no programs: it reads what tasks of operations are given, as `cat` would."""

from __future__ import annotations

from dataclasses import replace

from scheduler.common.ids import new_id
from scheduler.model import naming
from scheduler.model.wire import AttemptReport, BlobRef, FeedSource, Outcome, OutputRecord, PoolSpec, TaskLease
from scheduler.objects.blobs import EMPTY_MD5
from tests.support.services.house import House

LINES = [b"one\n", b"two\n", b"three\n", b"four\n", b"a longer line, the fifth\n", b"six\n", b"\n", b"eight"]


class Reader:
    """An agent that reads what its tasks are given, as `cat` would: the lines that begin in their ranges."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.leases: list[TaskLease] = []

    def __call__(self, spec: PoolSpec, task: TaskLease) -> AttemptReport:
        if spec.counting:
            return counted(self, spec, task)
        self.leases.append(task)
        return self.printed(spec, task, self.read(task))

    def read(self, task: TaskLease) -> bytes:
        if task.blob is not None:
            return self.bytes_of(task.blob)
        assert task.feed is not None
        assert task.feed.end
        return b"".join(map(self.of, task.feed.sources))

    def of(self, source: FeedSource) -> bytes:
        """The bytes of the lines that a source owns."""
        data = self.bytes_of(source.blob)
        end = len(data) if source.length is None else source.start + source.length
        return data[skipped(data, source.start, source.skip) : skipped(data, end, source.upto)]

    def bytes_of(self, blob: BlobRef) -> bytes:
        return self.house.blobs.path(blob.id).read_bytes() if blob.size else b""

    def printed(self, spec: PoolSpec, task: TaskLease, data: bytes) -> AttemptReport:
        name = naming.stdout_name(spec.login, spec.job, task.base, spec.phase, task.uuid)
        blob = self.house.blob(data) if data else BlobRef(id=new_id(), size=0, md5=EMPTY_MD5)
        output = OutputRecord(name=name, blob=blob)
        return AttemptReport(task=task.task, attempt=task.attempt, outcome=Outcome.OK, outputs=[output])


def counted(reader: Reader, spec: PoolSpec, task: TaskLease) -> AttemptReport:
    """What an agent reports of a task whose lines are only to be counted."""
    assert task.feed is not None
    lines = [len(reader.of(source).splitlines()) for source in task.feed.sources]
    return replace(reader.printed(spec, task, b""), outputs=[], lines=lines)


def skipped(data: bytes, at: int, lines: int) -> int:
    """Where so many lines behind the first line at `at` or after it end."""
    start = line_start(data, at)
    return start + len(b"".join(data[start:].splitlines(keepends=True)[:lines]))


def line_start(data: bytes, at: int) -> int:
    """Where the first line that begins at `at` or after it begins."""
    if at == 0:
        return 0
    found = data.find(b"\n", at - 1)
    return len(data) if found < 0 else found + 1
