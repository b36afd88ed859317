"""The protocol between the supervisor and the agents of the nodes.

An agent owns instances; the supervisor owns tasks. The agent starts all requests: JSON over HTTP below `/_agent/v1/`,
with the node's credential in `Authorization: Bearer …` (`gateway.node_credentials`):

- `register` is sent once per agent start, and again to a supervisor that does not know the agent (any more). The reply
  has the agent's id. Attempts that the agent says that it has may go on; the other leases of the node go back to the
  queue.
- `poll` asks for work and waits until there is some (a long poll; after `POLL_SECONDS` the reply is empty, and the
  agent polls again). Any request renews the agent's leases.
- `report` hands in attempts that have ended, in batches. After the reply they are durable. A repeated one is ignored.
- `answer` answers a request of a poll reply about a running attempt: a page of its output, or a shell beside it.
- `beat` says that the agent lives, or ends; `sweep` asks which of its intermediates are still needed; `supervisors`,
  which any gateway answers too, returns the supervisors to register with.

A compromised node can send anything, so every field has a type that bounds its values: an id is a UUID, a count has a
bound, a name is a path. The supervisor decides what such a message may change: an agent is believed only about its own
leases (`supervisor.tasks.commit`).

The supervisor must know how much an agent can take *now*, also while a poll waits. So both requests contain the
agent's whole `AgentState`, which is small: a line per pool and per running reducer. `seen` is the number of the last
poll reply that the agent has acted on. A state that has not seen the newest reply says nothing about room, because
the tasks which that reply granted are still on their way. States have serial numbers, because a poll may overtake a
report, or wait for less.

Example: an agent with 4 slots polls with an empty state. The reply (number 1) grants pool 7 its specification, two
instances, and two tasks. The agent makes instances, runs the tasks, and reports two attempts with `state.seen = 1` and
more room in pool 7. The supervisor then answers the poll that is still waiting, with 16 more tasks.
"""

from __future__ import annotations

from scheduler.model.wire.fields import (
    BEAT_SECONDS,
    LEASE_SECONDS,
    MAX_BYTES,
    MAX_COUNTED,
    MAX_HELD,
    MAX_LOG_PAGE,
    MAX_OUTPUTS,
    MAX_PARTS,
    MAX_REPORTS,
    MAX_ROOM,
    MAX_STATES,
    MAX_SWEEP,
    MAX_WORD,
    POLL_SECONDS,
    VERSION,
    BlobRef,
    Count,
    ErrorCode,
    Headers,
    Id,
    LogData,
    Md5,
    Measure,
    Node,
    Number,
    ObjectName,
    OutputName,
    Room,
    Text,
    Url,
    Wire,
    Word,
    excess,
)
from scheduler.model.wire.members import (
    AgentBeat,
    RegisterReply,
    RegisterRequest,
    Supervisor,
    Supervisors,
    SweepReply,
    SweepRequest,
    Versioned,
)
from scheduler.model.wire.polls import PollReply, PollRequest
from scheduler.model.wire.reports import (
    Adoption,
    AttemptReport,
    Outcome,
    OutputCheck,
    OutputRecord,
    ReportReply,
    ReportRequest,
    SavedFile,
    Usage,
    check,
    usage_json,
)
from scheduler.model.wire.running import LogStream, RunningAnswer, RunningReply, TaskLogRequest, TaskShellRequest
from scheduler.model.wire.states import AgentState, FeedState, PoolState
from scheduler.model.wire.work import Asset, AttemptId, FeedPage, FeedSource, PoolGrant, PoolSpec, TaskLease

__all__ = [
    "BEAT_SECONDS",
    "LEASE_SECONDS",
    "MAX_BYTES",
    "MAX_COUNTED",
    "MAX_HELD",
    "MAX_LOG_PAGE",
    "MAX_OUTPUTS",
    "MAX_PARTS",
    "MAX_REPORTS",
    "MAX_ROOM",
    "MAX_STATES",
    "MAX_SWEEP",
    "MAX_WORD",
    "POLL_SECONDS",
    "VERSION",
    "Adoption",
    "AgentBeat",
    "AgentState",
    "Asset",
    "AttemptId",
    "AttemptReport",
    "BlobRef",
    "Count",
    "ErrorCode",
    "FeedPage",
    "FeedSource",
    "FeedState",
    "Headers",
    "Id",
    "LogData",
    "LogStream",
    "Md5",
    "Measure",
    "Node",
    "Number",
    "ObjectName",
    "Outcome",
    "OutputCheck",
    "OutputName",
    "OutputRecord",
    "PollReply",
    "PollRequest",
    "PoolGrant",
    "PoolSpec",
    "PoolState",
    "RegisterReply",
    "RegisterRequest",
    "ReportReply",
    "ReportRequest",
    "Room",
    "RunningAnswer",
    "RunningReply",
    "SavedFile",
    "Supervisor",
    "Supervisors",
    "SweepReply",
    "SweepRequest",
    "TaskLease",
    "TaskLogRequest",
    "TaskShellRequest",
    "Text",
    "Url",
    "Usage",
    "Versioned",
    "Wire",
    "Word",
    "check",
    "excess",
    "usage_json",
]
