"""Shuffling: shuffle files go from the tasks that divide lines to the tasks that read one partition each.

N tasks leave N files, of which each of P tasks reads its partition. A row for each pair would be N × P rows. But all
readers read the same files in the same order, and differ in the number of the partition alone. So the inputs are
recorded once, N rows, as those of a task that never runs: the stage's *shared* task, which waits until all readers
have ended. Each reader is fed what it shares with the others, and finds its own extents on its node.

What holds for inputs of any waiting task then holds for these (`tasks.recovery`): if the node that has a file is lost,
the file is lost, its producer runs again, and the readers wait at the gap. The producers are our own tools on pinned
inputs, which make the same file twice. A user's mapper may throw dice, and half of the readers would have read the old
file, half the new one; so what mappers print is kept in the shared store (`PhaseSpec.keeps_on_node`).

Example: 400 tasks divide 100 GB among 250 partitions: 400 rows of inputs, 250 of tasks. A node dies with 130 of the
files: 130 rows are lost, and their producers are ready again.
"""

from __future__ import annotations

from collections.abc import Sequence

from scheduler.common.ids import new_blob_id, new_id
from scheduler.engine.availability import Availability
from scheduler.model.operations.document import Operation
from scheduler.model.operations.stage import BORDERS, Reads
from scheduler.model.wire import Asset, BlobRef, OutputRecord
from scheduler.objects.blobs import EMPTY_MD5
from scheduler.records.database import Connection, Row
from scheduler.supervisor.cache.live_jobs import LiveJob

# The number of the shared task in its stage.
SHARED = -1


def begin(c: Connection, live: LiveJob, stage: int) -> None:
    """Make the shared task of the stage that reads what stage `stage` divides, unless it is there."""
    reader = live.pools[stage + 1]
    if c.one("shared_of", pool=reader) is None:
        task = c.insert("insert_shared_task", uuid=new_id(), pool=reader, number=SHARED)
        c.run("share_inputs", pool=reader, task=task)


def record(
    c: Connection, live: LiveJob, phase: int, producer: Row, outputs: Sequence[OutputRecord], node: str | None
) -> None:
    """Record the shuffle file that a task has left, for the readers of the next stage. `node`: where it lies."""
    shared = c.one("shared_of", pool=live.pools[phase + 1])
    found = [(made, output) for made, output in enumerate(outputs) if not output.named and output.blob is not None]
    if shared is None or not found:
        return
    made, output = found[-1]
    assert output.blob is not None
    row = {
        "task": shared["shared"],
        "seq": producer["number"] + 1,
        "name": output.name,
        "origin": None,
        "blob": output.blob.id,
        "size": output.blob.size,
        "availability": int(Availability.HERE),
        "node": node,
        "producer": None if node is None else producer["id"],
        "producer_output": None if node is None else made,
    }
    c.many("insert_task_input", [row])


def holder_of(c: Connection, reader: Row) -> int:
    """The task whose inputs a task is fed: the shared one of its stage, or itself."""
    shared = c.one("shared_of", pool=reader["pool"])
    return int(shared["shared"] if shared else reader["id"])


def partitions_of(c: Connection, live: LiveJob) -> int:
    """The number of partitions that the lines of an operation are divided among; 1 for any other job."""
    if live.spec.operation is None or live.spec.operation.partitioning is None:
        return 1
    row = c.one("job_by_id", job=live.id)
    assert row is not None
    return int(row["partitions"])


def borders(c: Connection, live: LiveJob, operation: Operation) -> Asset:
    """The asset with the borders by which the tasks of an operation divide lines: what its sample has printed.

    It is empty if no line begins in the sample, or there was none because all lines are one partition.
    """
    sample = next(number for number, stage in enumerate(operation.stages) if stage.reads is Reads.BLOCKS)
    rows = c.all("staged_of", job=live.id, stage=sample, limit=1)
    blob = BlobRef(id=new_blob_id(), size=0, md5=EMPTY_MD5)
    if rows:
        blob = BlobRef(id=rows[0]["blob"], size=rows[0]["size"], md5=rows[0]["md5"])
    return Asset(name=BORDERS, blob=blob)
