"""Outputs that a task emits by HTTP: by value (the body) and by reference (the name).

A body is refused for the same reasons as by the gateway, and by the same code: the supervisor
checks whether the object can be put there, the agent checks the body itself. But the object appears
only when the attempt is committed, and overwrites what was put there in between.
"""

from __future__ import annotations

import time

from aiohttp import web

from scheduler.agent.attempts import output_names
from scheduler.agent.attempts.attempt import Attempt, Emitted
from scheduler.agent.client import UnavailableError, several
from scheduler.agent.task_api.publish import emit
from scheduler.agent.task_api.task_host import TaskHost, no_task, unavailable
from scheduler.http import role_headers
from scheduler.http.body import invite
from scheduler.http.upload import Announced, Upload
from scheduler.model import names
from scheduler.model.dates import rfc1123
from scheduler.model.wire import OutputCheck
from scheduler.objects import headers as kept_headers
from scheduler.objects.admission import telling


def refer(attempt: Attempt, request: web.BaseRequest, reducer: int | None) -> web.Response:
    """Emit an object by name; it is resolved when the next phase reads it, and not now."""
    path = names.from_request(request.raw_path.partition("?")[0])
    if request.headers.get("X-Manta-Stream", "stdout").lower() == "stdout":
        attempt.uncaptured = True
        attempt.add(Emitted(path, None, reducer, named=True))
    return web.Response(status=204)


async def emit_body(host: TaskHost, attempt: Attempt, request: web.BaseRequest, reducer: int | None) -> web.Response:
    """Emit the body as an output of the attempt. Raises WireError; then nothing is emitted.

    A name that begins with MANTA_OUTPUT_BASE needs no existing directory: the pool made the name up, and makes its
    directories.
    """
    path = names.from_request(request.raw_path.partition("?")[0])
    role_headers.refuse_roles(request.headers.get("Role", ""))
    role_headers.refuse_tags(request.headers.get("Role-Tag", ""))
    announced, kept = Announced.of(request), accepted_headers(request, path)
    suggested = path.startswith(output_names.output_base(host.spec, attempt.lease))
    check = OutputCheck(job=host.spec.job, name=path, parents=suggested, headers=telling(request.headers))
    try:
        await several(lambda: host.client.check(check))
    except UnavailableError:
        raise unavailable() from None
    with Upload(host.stores.born(True), announced) as upload:
        await invite(request)
        await upload.receive(request)
        if host.current() is not attempt:
            raise no_task()
        md5, blob = upload.md5, upload.blob
        output = Emitted(path, upload.detach(), reducer, named=True, headers=kept, blob=blob, md5=md5)
        await emit(host, attempt, output)
    now = rfc1123(time.time_ns() // 1_000_000)
    return web.Response(status=204, headers={"Etag": blob, "Last-Modified": now, "Computed-MD5": md5})


def accepted_headers(request: web.BaseRequest, path: str) -> dict[str, str]:
    """The headers of a PUT that stay with the object. Raises WireError for invalid values."""
    sent = request.headers
    return kept_headers.stored(sent, public=names.top(path) == "public") | {
        "content-type": kept_headers.content_type(sent),
        "durability-level": str(kept_headers.copies(sent)),
    }
