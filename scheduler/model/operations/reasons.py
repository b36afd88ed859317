"""Reasons for which attempts of operations end early: abort reasons, as the seed of the design names them.

An attempt that was aborted is not its user's fault: it is tried again and counts as no failure. The reasons that begin
with `scheduling_` are of attempts that never reached a node. A word that this version does not know is `unknown`.
"""

from __future__ import annotations

from enum import StrEnum


class AbortReason(StrEnum):
    """The reason why an attempt was aborted."""

    SCHEDULER = "scheduler"  # its supervisor was lost or stopped, and the next one did not adopt it
    FAILED_CHUNKS = "failed_chunks"  # its input could not be read, or its output not be written
    RESOURCE_OVERDRAFT = "resource_overdraft"  # its node has too little memory or disk, though it is within its cap
    OTHER = "other"  # a fault of its node
    PREEMPTION = "preemption"  # another task has its place, or it runs sooner elsewhere
    USER_REQUEST = "user_request"  # the user has aborted it, or its operation
    NODE_OFFLINE = "node_offline"  # its agent is silent
    WAITING_TIMEOUT = "waiting_timeout"  # it waited for a place on its node for too long
    ACCOUNT_LIMIT_EXCEEDED = "account_limit_exceeded"
    UNKNOWN = "unknown"
    OPERATION_FAILED = "operation_failed"  # an addition: its operation failed meanwhile
    SCHEDULING_TIMEOUT = "scheduling_timeout"
    SCHEDULING_RESOURCE_OVERCOMMIT = "scheduling_resource_overcommit"
    SCHEDULING_OPERATION_SUSPENDED = "scheduling_operation_suspended"
    SCHEDULING_JOB_SPEC_THROTTLING = "scheduling_job_spec_throttling"
    SCHEDULING_INTERMEDIATE_CHUNK_LIMIT_EXCEEDED = "scheduling_intermediate_chunk_limit_exceeded"
    SCHEDULING_OTHER = "scheduling_other"

    @property
    def before_a_node(self) -> bool:
        """Whether attempts that end for this reason never reached a node."""
        return self.startswith("scheduling_")

    @classmethod
    def read(cls, word: str | None) -> AbortReason:
        """The reason that an agent, perhaps of another version, has given; none is `other`."""
        if word is None:
            return cls.OTHER
        return cls(word) if word in list(cls) else cls.UNKNOWN


class Interruption(StrEnum):
    """The reason why an attempt that has completed was told to stop taking input."""

    NONE = "none"
    PREEMPTION = "preemption"
    USER_REQUEST = "user_request"
    JOB_SPLIT = "job_split"
    UNKNOWN = "unknown"
