"""Requests about running attempts: for what one has printed, or for a shell beside it; and the answer of its agent."""

from __future__ import annotations

from enum import StrEnum

from scheduler.model.wire.fields import Id, LogData, Number, Text, Wire


class LogStream(StrEnum):
    STDOUT = "stdout"
    STDERR = "stderr"


class RunningRequest(Wire):
    """A request about an attempt that runs."""

    number: Number = 0  # of the request; the answer repeats it
    task: Number
    attempt: Number


class TaskLogRequest(RunningRequest):
    """A request for output of a running attempt, from a byte on, at most `MAX_LOG_PAGE` bytes."""

    stream: LogStream
    offset: Number = 0


class TaskShellRequest(RunningRequest):
    """A request to start a shell's program beside a running attempt, in its instance.

    `session` is a secret with which the program attaches.
    """

    session: Id


class RunningAnswer(Wire):
    """The answer to a request about a running attempt."""

    number: Number
    data: LogData | None = None  # of a log; None: the attempt does not run here, not yet or no more
    refused: Text | None = None  # why there is no shell
    lost: bool = False  # the agent has not answered


class RunningReply(Wire):
    agent: Number
    answer: RunningAnswer
