"""Messages about the output of running attempts."""

from __future__ import annotations

from enum import StrEnum

from scheduler.model.wire.fields import LogData, Number, Wire


class LogStream(StrEnum):
    STDOUT = "stdout"
    STDERR = "stderr"


class TaskLogRequest(Wire):
    """A request for output of a running attempt, from a byte on, at most `MAX_LOG_PAGE` bytes."""

    number: Number = 0  # of the request; the answer repeats it
    task: Number
    attempt: Number
    stream: LogStream
    offset: Number = 0


class TaskLogPage(Wire):
    """The answer to a `TaskLogRequest`."""

    number: Number
    data: LogData | None = None  # None: the attempt does not run here, not yet or no more
    lost: bool = False  # the agent has not answered


class TaskLogReply(Wire):
    agent: Number
    page: TaskLogPage
