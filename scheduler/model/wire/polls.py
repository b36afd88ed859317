"""The poll, by which an agent asks for work."""

from __future__ import annotations

from pydantic import Field

from scheduler.model.wire.fields import MAX_STATES, Id, Node, Number, Wire
from scheduler.model.wire.running import TaskLogRequest, TaskShellRequest
from scheduler.model.wire.states import AgentState
from scheduler.model.wire.work import AttemptId, FeedPage, PoolGrant


class PollRequest(Wire):
    agent: Number
    state: AgentState


class PollReply(Wire):
    """The reply to a poll. `pools` that are missing are unchanged. `release` lists pools that are over."""

    number: int
    pools: list[PoolGrant] = Field(default_factory=list)
    feeds: list[FeedPage] = Field(default_factory=list)
    cancel: list[AttemptId] = Field(default_factory=list)  # kill; report only that those of operations are gone
    release: list[int] = Field(default_factory=list)
    discard: list[Id] = Field(default_factory=list)  # intermediates on this node that are not needed any more
    logs: list[TaskLogRequest] = Field(default_factory=list)  # requests for the output of running tasks
    shells: list[TaskShellRequest] = Field(default_factory=list)  # requests for shells beside them
    lost: list[Node] | None = Field(default=None, max_length=MAX_STATES)  # nodes without an agent; None: unchanged
