"""A dry run of an operation: its document by the rules of the service, and the tasks that it would have.

The rules and the cut are the service's own (`scheduler.model.operations`, `scheduler.engine.operations.slicing`); the
sizes of the inputs are asked of it. The document goes to stdout, where scripts expect it; what it comes to, to stderr.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from cli.client import objects
from cli.client.problem import Problem
from cli.frame import note
from cli.jobs.documents.plan import WIDTH, checked
from cli.jobs.documents.specification import encoded
from cli.text import count, human_size, indented, shortened
from scheduler.engine.operations import sampling, slicing
from scheduler.engine.operations.slicing import Cursor, Pin, Range, is_cuttable, needs_index, wanted
from scheduler.model.operations.document import Operation
from scheduler.model.operations.stage import MAX_TASKS, Reads, Stage
from scheduler.model.operations.stages import INDEX_SIZE

if TYPE_CHECKING:
    from cli.client.jobs import Jobs


def show(mine: Jobs, document: dict[str, Any], inputs: Sequence[str], *, quiet: bool) -> None:
    """Check an operation and print its document; unless `quiet`, say what would run. Raises `Problem`."""
    shown, spec = checked(encoded(document))
    print(indented(shown, 4))
    if quiet:
        return
    sys.stdout.flush()
    assert spec.operation is not None
    for line in summary(spec.operation, list(pins(mine, inputs))):
        note(line)


def pins(mine: Jobs, inputs: Sequence[str]) -> Iterator[Pin]:
    """The inputs as the operation would find them. Raises `Problem` for one that is not there."""
    seq = 0
    for path in inputs:
        for name, size, kind in found(mine, path):
            yield Pin(seq, size, is_cuttable(name, kind))
            seq += 1


def found(mine: Jobs, path: str) -> Iterator[tuple[str, int, str | None]]:
    """The name, size and type of an object, or of all objects of a directory, which ends in a slash."""
    if path.endswith("/"):
        for entry in objects.entries(mine.session, path.rstrip("/"), kind="o"):
            if not entry["name"].startswith("."):
                yield entry["name"], int(entry["size"]), entry.get("contentType")
        return
    info = objects.info(mine.session, path)
    if info.is_directory:
        raise Problem(f"{path} is a directory: end it in a slash to read all objects in it")
    yield path, int(info.headers.get("content-length", 0)), info.headers.get("content-type")


def summary(operation: Operation, inputs: Sequence[Pin]) -> list[str]:
    """What would run: the inputs, the stages with their tasks, and where the output goes."""
    total = sum(pin.size for pin in inputs)
    lines = [f"would run {operation.type} on {count(len(inputs), 'object')}, {human_size(total)} bytes"]
    if not operation.stages:
        lines.append("  no tasks: nothing is read")
    lines += stage_lines(operation, inputs, total)
    output = operation.output
    if output.path is None:
        lines.append("output: parts in the job's own directory, printed in their order")
    else:
        what = "one object" if output.whole else "a set of parts"
        lines.append(f"output: {output.path}, {what} (mode {output.mode})")
    return lines


def stage_lines(operation: Operation, inputs: Sequence[Pin], total: int) -> Iterator[str]:
    """A line for each stage that has tasks, and the bytes between them."""
    exact = next((stage.cut.tasks for stage in operation.stages if stage.cut.tasks and not is_shuffled(stage)), None)
    partitioning = operation.partitioning
    partitions = partitioning.partitions(total) if partitioning else 1
    before = 0
    for number, stage in enumerate(operation.stages):
        if stage.phase.counting:
            if exact and needs_index(total, exact, INDEX_SIZE):
                yield f"  {number}  {stage.kind:<16}  lines are counted first, so that there are {exact} tasks"
            continue
        reads = operation.reads(stage, partitions)
        if reads is None or (reads is Reads.OUTPUTS and before <= 1):
            continue
        if reads is Reads.BLOCKS:
            tasks = 1, min(total, sampling.blocks_of(total, partitions) * sampling.BLOCK)
        elif reads in (Reads.KEY_RANGES, Reads.PARTITIONS):
            assert partitioning is not None
            tasks = partitions, int(total * partitioning.selectivity) // partitions
        elif reads is Reads.OUTPUTS:
            tasks = 1, total
        else:
            tasks = tasks_of(stage, inputs, total)
        before = tasks[0]
        yield f"  {number}  {described(stage, tasks)}"
        if stage.phase.divides and partitioning is not None:
            between = human_size(int(total * partitioning.selectivity))
            yield f"     {'':<16}  about {between} of intermediates in {count(before, 'shuffle file')}"


def is_shuffled(stage: Stage) -> bool:
    """Whether a stage reads what another has left, or leaves something for another."""
    return stage.reads is not Reads.SLICES or stage.phase.divides


def tasks_of(stage: Stage, inputs: Sequence[Pin], total: int) -> tuple[int, int]:
    """The number of a stage's tasks, and the bytes that the largest reads. Raises `Problem` if there are too many."""
    want = wanted(total, len(inputs), stage.cut.tasks, stage.cut.size, stage.cut.per_object)
    if (number := slicing.count(want, len(inputs))) > MAX_TASKS:
        raise Problem(f"the operation would have {number:,} tasks, of at most {MAX_TASKS:,}: make slices larger")
    sizes: dict[int, int] = {}
    for part, _ in slicing.cut(want, Cursor(), inputs):
        if isinstance(part, Range):
            sizes[part.number] = sizes.get(part.number, 0) + part.length
    number = stage.cut.tasks if stage.cut.tasks and needs_index(total, stage.cut.tasks, INDEX_SIZE) else len(sizes)
    return number, max(sizes.values(), default=0)


def described(stage: Stage, tasks: tuple[int, int]) -> str:
    """`map  5 tasks of at most 256M  1024 MB  8 GB  grep ERROR`."""
    number, largest = tasks
    phase = stage.phase
    is_partition = stage.reads in (Reads.PARTITIONS, Reads.KEY_RANGES)
    about = "about" if is_partition and number > 1 else "at most"
    parts = [f"{stage.kind:<16}", f"{count(number, 'task')} of {about} {human_size(largest)}"]
    return "  ".join([*parts, f"{phase.memory_mb} MB", f"{phase.disk_gb} GB", shortened(phase.exec, WIDTH)])
