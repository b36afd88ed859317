"""Control requests: what users ask of a job that runs.

    suspend        no attempt begins any more; `aborts`: and those that run are aborted
    resume         attempts begin again
    complete       the operation ends as if its input had ended here, and publishes what there is
    abort          the operation leaves nothing; a pipeline is cancelled
    update         other values of some keys of the document
    abort_attempt  one attempt is aborted, and its task is run again
    abandon        one task is given up: it counts as done, without output

Each may be repeated, and says what is to hold afterwards: so a client that has lost the reply asks again.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict


class Verb(StrEnum):
    SUSPEND = "suspend"
    RESUME = "resume"
    COMPLETE = "complete"
    ABORT = "abort"
    UPDATE = "update"
    ABORT_ATTEMPT = "abort_attempt"
    ABANDON = "abandon"


class ControlRequest(BaseModel):
    """One request. `stage`, `task` and `attempt` are numbers; `keys` are those of an update, None removes one."""

    model_config = ConfigDict(frozen=True)

    verb: Verb
    aborts: bool = False
    reason: str | None = None
    keys: dict[str, Any] = {}
    stage: int = 0
    task: int = 0
    attempt: int = 0
