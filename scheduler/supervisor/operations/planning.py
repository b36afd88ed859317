"""Planning: the tasks of a stage, made page by page from what was pinned, ahead of the agents that run them.

What the tasks of a stage read (`Reads`) says how they are made: a cut of the inputs at bytes, or at lines where the
number of tasks must be exact and slices are small; blocks of the inputs, for a sample; one partition each of what the
stage before has left, or of the inputs themselves if they are sorted; or all outputs of the stage before in one task,
and a single output needs none.

A stage that is not needed is planned without tasks: lines that need not be counted, a shuffle of one partition.
"""

from __future__ import annotations

from scheduler.common.ids import new_id
from scheduler.engine.operations import slicing
from scheduler.engine.operations.slicing import Want, wanted
from scheduler.engine.operations.status import Event
from scheduler.model.errors import JobErrorCode
from scheduler.model.operations.stage import MAX_TASKS, MIB, Cut, Reads, Stage
from scheduler.model.wire import MAX_COUNTED
from scheduler.records.database import Connection
from scheduler.supervisor.cache.live_jobs import LiveJob
from scheduler.supervisor.jobs.changes import Changes
from scheduler.supervisor.jobs.writer import JobWriter
from scheduler.supervisor.operations import ending, shuffling
from scheduler.supervisor.operations.pages import BytePage, HeadsPage, LinePage, PartitionPage, SamplePage


def plan_page(c: Connection, live: LiveJob, now: int) -> Changes:
    """Make a page of tasks of the stage whose turn it is. An operation that links its inputs has no tasks."""
    operation, changes = live.spec.operation, Changes()
    assert operation is not None
    writer = JobWriter(c, live, changes, now)
    number = writer.stage
    if operation.links:
        c.run("link_pins", job=live.id)
    elif number is not None and (problem := _plan(c, live, writer, number)):
        writer.close()
        return ending.fail(c, live, changes, now, JobErrorCode.INVALID_ARGUMENT, problem)
    writer.happened(Event.PLANNED)
    writer.close()
    return changes


def _plan(c: Connection, live: LiveJob, writer: JobWriter, number: int) -> str | None:
    """Make a page of tasks of a stage. Returns the problem, if it would have too many."""
    assert live.spec.operation is not None
    stage = live.spec.operation.stages[number]
    partitions: int = writer.row["partitions"]
    if stage.reads is Reads.PARTITIONS and stage.phase.headed:
        c.run("put_first", job=live.id, stage=0, to=number)
    reads = live.spec.operation.reads(stage, partitions)
    if stage.reads is Reads.OUTPUTS:
        _join(c, live, writer, number, in_order=reads is None)
    elif stage.phase.counting:
        _index(c, live, writer, number)
    elif reads is None:
        leave_out(c, live, number)
    elif reads is Reads.HEADS:
        HeadsPage(c, live, writer, number).plan()
    elif reads is Reads.BLOCKS:
        SamplePage(c, live, writer, number, partitions).plan()
    elif reads in (Reads.KEY_RANGES, Reads.PARTITIONS):
        PartitionPage(c, live, writer, number, partitions).plan()
    else:
        return _cut(c, live, writer, number, stage)
    return None


def _cut(c: Connection, live: LiveJob, writer: JobWriter, number: int, stage: Stage) -> str | None:
    """Make a page of tasks that read slices of the inputs."""
    cut = stage.cut
    if cut.tasks and _is_indexed(c, live, number):
        LinePage(c, live, writer, number, cut.tasks).plan()
        return None
    want = wanted(writer.row["pinned_bytes"], writer.row["pins"], cut.tasks, cut.size, cut.per_object)
    if problem := too_many(want, writer.row["pins"], cut):
        return problem
    if stage.phase.divides:
        shuffling.begin(c, live, number)
    BytePage(c, live, writer, number, want).plan()
    return None


def too_many(want: Want, objects: int, cut: Cut) -> str | None:
    """The problem with the number of tasks, if there would be too many."""
    tasks = slicing.count(want, objects)
    if tasks <= MAX_TASKS:
        return None
    size = -(-want.total // (MAX_TASKS * MIB))
    advice = "let it cut its input by bytes" if cut.per_object else f"give task_size {size} MiB or more"
    return f"the operation would have {tasks:,} tasks, of at most {MAX_TASKS:,}: {advice}"


def leave_out(c: Connection, live: LiveJob, number: int) -> None:
    """Plan a stage without tasks."""
    c.run("set_cursor", pool=live.pools[number], cursor=None, planned=1)


def _join(c: Connection, live: LiveJob, writer: JobWriter, number: int, in_order: bool) -> None:
    """Make the task that reads all outputs of the stage before, unless there is one at most that can be an object.

    `in_order`: it would only merge what is in order already, so that all outputs are those of this stage.
    """
    found, pool = c.one("count_staged", job=live.id, stage=number - 1), live.pools[number]
    if found is not None and (found["n"] > 1 or found["unhashed"]) and not in_order:
        task = c.insert("insert_fed_task", uuid=new_id(), pool=pool, number=0)
        inputs = c.run("feed_staged", task=task, job=live.id, stage=number - 1)
        c.run("inputs_arrived", task=task, arrived=inputs, now=writer.now)
        writer.planned(pool, 1, ready=1)
    else:
        c.run("move_staged", job=live.id, stage=number - 1)
    leave_out(c, live, number)


def _index(c: Connection, live: LiveJob, writer: JobWriter, number: int) -> None:
    """Have the lines of the input counted, if slices by bytes could cut many lines in one."""
    assert live.spec.operation is not None
    cut, following = (live.spec.operation.stages[each].cut for each in (number, number + 1))
    total: int = writer.row["pinned_bytes"]
    if not slicing.needs_index(total, following.tasks or 1, cut.size):
        leave_out(c, live, number)
    else:
        BytePage(c, live, writer, number, Want(total, -(-total // cut.size) or 1, MAX_COUNTED), counting=True).plan()


def _is_indexed(c: Connection, live: LiveJob, number: int) -> bool:
    """Whether the stage before has counted the lines of the input."""
    assert live.spec.operation is not None
    if not number or not live.spec.operation.stages[number - 1].phase.counting:
        return False
    issued: int = c.all("phases_of_job", job=live.id)[number - 1]["issued"]
    return issued > 0
