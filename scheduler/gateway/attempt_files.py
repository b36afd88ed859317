"""One attempt of an operation: what it is, what it has printed on stderr, and what it reads.

    GET …/:id/live/attempts/STAGE.TASK.N           the attempt, and the ranges of objects that it reads
    GET …/:id/live/attempts/STAGE.TASK.N/stderr    of one that runs, what it has printed so far
    GET …/:id/live/attempts/STAGE.TASK.N/input     the very bytes that it has on its standard input

The input is read from the objects as they were when they were pinned: it can be had while they are there. A caller who
may read the job may read it, as its owner could when it was pinned.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from aiohttp import web
from multidict import CIMultiDict

from datapath import shuffle_file
from datapath.shuffle_file import NotAShuffleFileError
from datapath.slices import END, LineTooLongError
from scheduler.agent.blobs.slices import bounds
from scheduler.gateway.attempts import described
from scheduler.gateway.context import Call
from scheduler.gateway.control import ATTEMPT
from scheduler.gateway.task_log import running_output
from scheduler.http.ranges import Part
from scheduler.http.replies import json_reply
from scheduler.http.sending import send_part, write_pieces
from scheduler.model import errors
from scheduler.model.job import JobSpec
from scheduler.model.phase import PhaseSpec
from scheduler.model.wire import BlobRef, FeedSource, LogStream
from scheduler.objects import namespace
from scheduler.objects.entries import Entry
from scheduler.records.database import Connection, Row
from scheduler.supervisor.agents.leases import feed_source, feed_statements, find_input

PAGE = 500  # ranges of an input that are looked up at once
SHOWN = 1000  # ranges that the description of an attempt lists
PATH = re.compile(rf"attempts/{ATTEMPT}(?:/(?P<what>stderr|input))?", re.ASCII)
BYTES = {"Content-Type": "application/octet-stream"}

Show = Callable[[Call, Row], Awaitable[web.StreamResponse]]


def find(what: str) -> Show | None:
    """What serves a GET of a path below `live/`, if it is about one attempt."""
    match = PATH.fullmatch(what)
    if match is None:
        return None
    numbers = {name: int(match[name]) for name in ("stage", "task", "attempt")}
    return partial({"stderr": show_stderr, "input": show_input}.get(match["what"], show_attempt), numbers)


async def show_attempt(numbers: dict[str, int], call: Call, row: Row) -> web.StreamResponse:
    """`GET …/attempts/STAGE.TASK.N`."""
    attempt, task = await found(numbers, call, row)
    phase = phase_of(row, attempt)
    sources = [source_of(task)] if task["blob"] else [source async for source in sources_of(call, task, phase, SHOWN)]
    return json_reply({**described(attempt), "input": [range_of(source, task) for source in sources]})


def range_of(source: FeedSource, task: Row) -> dict[str, Any]:
    """A range as users see it: of which object, from which byte on, how long; `skip` and `upto` are lines."""
    whole = {"name": source.name or task["input"], "size": source.blob.size}
    if source.part is not None:
        return {**whole, "partition": source.part}
    if source.length is None:
        return whole
    lines = {name: lines for name, lines in (("skip", source.skip), ("upto", source.upto)) if lines}
    return {**whole, "start": source.start, "length": source.length, **lines}


async def show_stderr(numbers: dict[str, int], call: Call, row: Row) -> web.StreamResponse:
    """`GET …/attempts/STAGE.TASK.N/stderr`. Raises WireError: 404 if none is kept."""
    attempt, task = await found(numbers, call, row)
    if attempt["ended"] is None and task["attempt"] == attempt["attempt"] and attempt["agent"] is not None:
        return await running_output(call, row, attempt["agent"], task["id"], attempt["attempt"], LogStream.STDERR)
    path = attempt["stderr"]
    entry = await call.context.db.read(lambda c: namespace.lookup(c, path)) if path else None
    if entry is None or entry.is_directory:
        raise errors.no_stderr(name_of(numbers), removed=bool(path))
    return await stored(call, entry)


async def stored(call: Call, entry: Entry) -> web.StreamResponse:
    """The bytes of an object."""
    if not entry.size or entry.etag is None:
        return web.Response(headers=BYTES)
    fd = await asyncio.to_thread(call.context.blobs.open_in_thread, entry.etag)
    try:
        return await send_part(call.request, fd, Part(0, entry.size), 200, CIMultiDict(BYTES))
    finally:
        os.close(fd)


async def show_input(numbers: dict[str, int], call: Call, row: Row) -> web.StreamResponse:
    """`GET …/attempts/STAGE.TASK.N/input`. Raises WireError: 409 if it cannot be had any more."""
    attempt, task = await found(numbers, call, row)
    phase = phase_of(row, attempt)
    if phase.merges and not phase.joins:
        raise errors.input_unknown(name_of(numbers))
    sources = [source_of(task)] if task["blob"] else [source async for source in sources_of(call, task, phase)]
    if phase.partitioned and not sources:
        raise errors.input_gone(name_of(numbers), "its stage is over, and what it shared with the others was removed")
    for source in sources:
        if source.blob.node is not None:
            raise errors.input_gone(name_of(numbers), "it is an intermediate on a node")
    missing = await asyncio.to_thread(first_missing, call, sources)
    if missing is not None:
        raise errors.input_gone(name_of(numbers), f"{missing.name or task['input']} was replaced or removed since")
    reply = web.StreamResponse(headers=BYTES)
    await reply.prepare(call.request)
    for source in sources:
        await send(call, reply, source, phase)
    await reply.write_eof()
    return reply


async def send(call: Call, reply: web.StreamResponse, source: FeedSource, phase: PhaseSpec) -> None:
    """Send what an attempt is fed of one source. Raises OSError, which ends the connection: the reply has begun."""
    line_end = b"\0" if phase.zero else END
    if not source.blob.size:
        return
    fd = await asyncio.to_thread(call.context.blobs.open_in_thread, source.blob.id)
    try:
        try:
            pieces = await asyncio.to_thread(pieces_of, source, fd, line_end)
        except (LineTooLongError, NotAShuffleFileError) as error:
            raise OSError(str(error)) from None
        for start, end in pieces:
            if end > start:
                await write_pieces(call.request, reply, fd, Part(start, end - start))
        if source.part is None and phase.ends_lines and end == source.blob.size:
            await reply.write(b"" if os.pread(fd, 1, end - 1) == line_end else line_end)
    finally:
        os.close(fd)


def pieces_of(source: FeedSource, fd: int, line_end: bytes) -> Sequence[tuple[int, int]]:
    """The pieces of an open source that a task is fed. Reads the file, so it runs in a thread."""
    if source.part is None:
        return (bounds(source, source.blob.size, fd, line_end),)
    return [(extent.at, extent.at + extent.length) for extent in shuffle_file.find(fd, source.part)]


def first_missing(call: Call, sources: list[FeedSource]) -> FeedSource | None:
    """The first source whose bytes are gone. In a thread."""
    for source in sources:
        try:
            if source.blob.size:
                call.context.blobs.status(source.blob.id)
        except OSError:
            return source
    return None


async def found(numbers: dict[str, int], call: Call, row: Row) -> tuple[Row, Row]:
    """The rows of an attempt and of its task. Raises WireError 404."""

    def look(c: Connection) -> tuple[Row | None, Row | None]:
        task = c.one("task_of_stage", job=row["id"], stage=numbers["stage"], number=numbers["task"])
        attempt = task and c.one("attempt_of_task", task=task["id"], attempt=numbers["attempt"])
        return attempt, task

    attempt, task = await call.context.db.read(look)
    if attempt is None or task is None:
        raise errors.no_such_task(row["uuid"], name_of(numbers))
    return attempt, task


def phase_of(row: Row, attempt: Row) -> PhaseSpec:
    """The stage of an attempt, of a job's row."""
    stage: int = attempt["stage"]
    return JobSpec.of(json.loads(row["document"])).phases[stage]


async def sources_of(call: Call, task: Row, phase: PhaseSpec, most: int | None = None) -> Any:
    """The sources that a task is fed, in order."""
    after, number = 0, 0

    def look(c: Connection) -> Sequence[Row]:
        return find_input(c, feed_statements(phase), task["id"], after, PAGE)

    while rows := await call.context.db.read(look):
        for each in rows:
            number += 1
            if most is not None and number > most:
                return
            yield feed_source(each, None, "", {})
        after = rows[-1]["seq"]


def source_of(task: Row) -> FeedSource:
    """The source of a task that has one whole object as a file."""
    node = task["node"] if task["availability"] else None
    return FeedSource(seq=1, blob=BlobRef(id=task["blob"], size=task["size"], node=node), name=task["input"] or "")


def name_of(numbers: dict[str, int]) -> str:
    return f"{numbers['stage']}.{numbers['task']}.{numbers['attempt']}"
