"""The log of a running task: what its attempt has printed so far, on stdout or stderr.

Both are files that the attempt holds open until it ends, so a page of one is a read at an offset. It is read in a
thread, by a descriptor of its own, since the file need not be in memory any more. If the attempt ends meanwhile,
its files may be reused by the next task: then the page is discarded.
"""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Callable

from scheduler.agent.attempts.attempt import Attempt
from scheduler.model.wire import MAX_LOG_PAGE, LogStream, RunningAnswer, TaskLogRequest

# Finds an attempt that an instance was handed, by its task and number.
Find = Callable[[int, int], Attempt | None]


async def read(find: Find, request: TaskLogRequest) -> RunningAnswer:
    """A page of the requested log; without data if the attempt does not run here, not yet or not any more."""
    attempt = find(request.task, request.attempt)
    if attempt is None:
        return RunningAnswer(number=request.number)
    fd = os.dup(attempt.stdout if request.stream is LogStream.STDOUT else attempt.stderr)
    try:
        data = await asyncio.to_thread(os.pread, fd, MAX_LOG_PAGE, request.offset)
    finally:
        os.close(fd)
    if find(request.task, request.attempt) is not attempt:
        return RunningAnswer(number=request.number)
    return RunningAnswer(number=request.number, data=base64.b64encode(data).decode())
