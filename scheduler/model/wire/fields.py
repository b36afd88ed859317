"""Fields of messages: types that bound their values, the bounds, and references to bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from scheduler.model import ids, names
from scheduler.model.errors import JobErrorCode

VERSION = 6
POLL_SECONDS = 20.0
# An agent without a request for LEASE_SECONDS is lost, so an idle one sends a beat every BEAT_SECONDS.
LEASE_SECONDS = 10.0
BEAT_SECONDS = 2.0
MAX_SWEEP = 5000
# The number of outputs of one attempt. The transaction that commits it excludes all others of the cluster while it
# lasts (about 25 µs for each output), so this bounds how long they wait.
MAX_OUTPUTS = 10_000
# The longest message, in bytes and in parts (values and their containers). Nothing else is served while it is parsed,
# which takes about 1 µs a part. A report of MAX_OUTPUTS outputs has some 80,000.
MAX_BYTES = 4 * 1024 * 1024
MAX_PARTS = 150_000
MAX_REPORTS = 4096
MAX_ROOM = 4096
MAX_STATES = 65_536
MAX_HELD = 20_000
MAX_LOG_PAGE = 64 * 1024
MAX_COUNTED = 64  # sources of one task whose lines are counted
MAX_WORD = 256
Id = Annotated[str, StringConstraints(pattern=f"^{ids.PATTERN}$", max_length=36)]
Number = Annotated[int, Field(ge=0, le=1 << 53)]  # an id of a record, or bytes
Count = Annotated[int, Field(ge=0, le=1 << 24)]  # slots, instances, MiB
Room = Annotated[int, Field(le=MAX_ROOM)]  # below 0: there are more than there should be
Md5 = Annotated[str, StringConstraints(pattern="^[A-Za-z0-9+/]{22}==$")]
Node = Annotated[str, StringConstraints(pattern="^[!-~]{1,128}$")]
Url = Annotated[str, StringConstraints(pattern="^https?://[!-~]+$", max_length=1024)]
Word = Annotated[str, StringConstraints(max_length=MAX_WORD)]
Text = Annotated[str, StringConstraints(max_length=65_536)]
# A normal path (`model.names`). "/" is one too but names no object, and only an output by reference may have it.
ObjectName = Annotated[str, StringConstraints(pattern=f"^{names.NORMAL}$", max_length=65_536)]
OutputName = Annotated[str, StringConstraints(pattern=f"^(?:/|{names.NORMAL})$", max_length=65_536)]
LogData = Annotated[str, StringConstraints(pattern="^[A-Za-z0-9+/]*={0,2}$", max_length=4 * (MAX_LOG_PAGE // 3 + 1))]
Headers = Annotated[dict[Word, Text], Field(max_length=1024)]
ErrorCode = Annotated[str, StringConstraints(pattern=f"^(?:{'|'.join(JobErrorCode)})$")]
# A column of the records sums up the usage of all tasks of a phase, so the usage of one task is bounded.
Measure = Annotated[int, Field(ge=0, le=1 << 45)]


def excess(message: bytes) -> str | None:
    """The reason why a message is too large, in the form "so much of something, above so much"; None if it is not."""
    if len(message) > MAX_BYTES:
        return f"{len(message)} bytes, above {MAX_BYTES}"
    parts = sum(map(message.count, (b",", b"{", b"[")))
    return f"{parts} parts, above {MAX_PARTS}" if parts > MAX_PARTS else None


class Wire(BaseModel):
    """The base of messages and most of their parts: immutable; unknown fields are ignored, so that versions can grow.

    Parts that are made for each task are plain dataclasses: pydantic checks them where a message is parsed, as it does
    all others, but not where we make them, which takes a third of the time. They are not changed once they are made.
    Those of a report are checked as a whole where a task has had its say in them (`reports.check`).
    """

    model_config = ConfigDict(frozen=True, extra="ignore")


# Parts of a report are checked again where one that we have made is validated.
CHECKED = ConfigDict(revalidate_instances="always")


@dataclass(slots=True)
class BlobRef:
    """A reference to committed bytes: `id` is the etag of the object that they become; a size of 0 has no file.

    An object is in the store that all nodes share. An intermediate is on the `node` that made it; an agent of another
    node also gets a `source`, a URL with a ticket from which it can read the bytes.
    """

    __pydantic_config__ = CHECKED

    id: Id
    size: Number
    md5: Md5 | None = None  # base64; known for all blobs that become objects
    node: Node | None = None  # None: in the shared store
    source: Url | None = None  # None: on this node, or in the shared store
