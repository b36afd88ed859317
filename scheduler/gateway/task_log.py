"""The output of a running task so far: `GET …/:id/live/log?task=NUMBER&stream=stdout|stderr&attempt=N&offset=N`.

The reply is a page of at most 64 KiB, from the byte `offset` on, if `attempt` is the number of the attempt that runs.
If another attempt runs, the page is the first of its output. `X-Remora-Attempt` is the number of the attempt,
`X-Remora-Next` the next offset. An empty page means that there is no new output. For a task that does not run the
reply is 409: the output of one that has ended is in objects. The number of a task is in `live/tasks`.

A caller who may read the job may read this, as any path below it.
"""

from __future__ import annotations

import base64

from aiohttp import web

from scheduler.gateway.context import Call
from scheduler.gateway.job_lists import integer
from scheduler.model import errors
from scheduler.model.wire import LogStream, TaskLogRequest
from scheduler.records.database import Row, select
from scheduler.supervisor.jobs.intake import JobRef

NEXT, ATTEMPT = "X-Remora-Next", "X-Remora-Attempt"
TYPE = "application/octet-stream"
MAX_OUTPUT = 1 << 20  # bytes of the output of a running attempt that are sent in one reply


async def show_log(call: Call, row: Row) -> web.StreamResponse:
    """`GET …/live/log`. Raises WireError; 409 if the task does not run, 503 if its node does not answer."""
    agent, request = await asked(call, row)
    page = await call.service.ask_agent(JobRef(row["id"], row["uuid"]), agent, request)
    if page is None:
        raise errors.service_unavailable("the node of the task did not answer: ask again")
    data = base64.b64decode(page.data or "")
    headers = {"Content-Type": TYPE, ATTEMPT: str(request.attempt), NEXT: str(request.offset + len(data))}
    return web.Response(body=data, headers=headers)


async def running_output(
    call: Call, row: Row, agent: int, task: int, attempt: int, stream: LogStream
) -> web.StreamResponse:
    """All that an attempt which runs has printed so far. Raises WireError 503 if its node does not answer."""
    pages, offset = [], 0
    while offset < MAX_OUTPUT:
        request = TaskLogRequest(task=task, attempt=attempt, stream=stream, offset=offset)
        page = await call.service.ask_agent(JobRef(row["id"], row["uuid"]), agent, request)
        if page is None:
            raise errors.service_unavailable("the node of the task did not answer: ask again")
        data = base64.b64decode(page.data or "")
        if not data:
            break
        pages.append(data)
        offset += len(data)
    return web.Response(body=b"".join(pages), headers={"Content-Type": TYPE})


async def running_task(call: Call, job: int, number: int) -> Row:
    """The record of a task of a job that an agent holds. Raises WireError for any other."""
    found = await call.context.db.read(select("task_of_job", job=job, task=number))
    if not found or found[0]["state"] != "leased":
        raise errors.task_not_running(number)
    return found[0]


async def asked(call: Call, row: Row) -> tuple[int, TaskLogRequest]:
    """The agent that runs the task, and the page that is requested. Raises WireError."""
    stream = call.query.get("stream", LogStream.STDOUT)
    if stream not in list(LogStream):
        raise errors.invalid_parameter(stream, "stream")
    number, known, offset = (integer(call, name) for name in ("task", "attempt", "offset"))
    task = await running_task(call, row["id"], number)
    offset = offset if known in (0, task["attempt"]) else 0
    request = TaskLogRequest(task=task["id"], attempt=task["attempt"], stream=LogStream(stream), offset=offset)
    return task["agent"], request
