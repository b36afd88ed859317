"""Small files in batches: one request stores many of them (`gateway.storage.batch` has its form).

What a small file costs is its request and not its bytes, so the files of one directory are sent together: as many as
come next, up to a megabyte. A batch is answered name by name, so each file still succeeds or fails by itself.

A service that knows no batches (a Manta) refuses the first of them, and each file is put by a request of its own from
then on. So are those of a batch that is refused as a whole, that each may have its answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from cli.client.problem import Problem, Refused, refusal
from cli.client.session import Session, encoded, json_of, not_manta
from cli.client.transport.retry import again
from cli.text import compact
from scheduler.model import batch, names

MOST_FILES = 100
MOST_BYTES = 1 << 20
UNKNOWN = (404, 405, 501)
REFUSED = (*UNKNOWN, 400, 413)
# A header that says for all objects of a batch what it says for one; the type is each object's own.
COMMON = ("x-durability-level", "durability-level", "role-tag", "cache-control", "m-", "access-control-")


@dataclass(frozen=True, slots=True)
class Small:
    """A file that was read, and where it goes."""

    file: str
    path: str
    data: bytes
    md5: str
    headers: Mapping[str, str]


@dataclass
class Batch:
    """Files of one directory, with the same headers but for their types."""

    size: int = 0
    files: list[Small] = field(default_factory=list)

    def add(self, small: Small) -> bool:
        """Take a file in, unless it does not fit. Raises `Problem` for a name that cannot be sent."""
        encoded(small.path)
        full = self.files and self.size + len(small.data) > MOST_BYTES
        if full or not all(name.startswith(COMMON) for name in common(small.headers)):
            return False
        self.size += len(small.data)
        self.files.append(small)
        return True

    def send(self, session: Session) -> Iterator[tuple[Small, Problem | None]]:
        """Store all of it; what became of each file. Raises `Problem` if that is the same for all."""
        directory, _ = names.split(self.files[0].path)
        headers = {**common(self.files[0].headers), "content-type": batch.CONTENT_TYPE}
        body = b"".join(piece for small in self.files for piece in (described(small), small.data))
        reply = again(session, lambda: session.call("POST", directory, headers=headers, body=body))
        answers = [json_of(reply, line) for line in reply.content.splitlines()]
        if len(answers) != len(self.files):
            raise not_manta(reply.url)
        for small, record in zip(self.files, answers, strict=True):
            yield small, refusal(record["status"], record["code"], record["message"]) if "code" in record else None


def common(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name != "content-type"}


def described(small: Small) -> bytes:
    record = {"name": names.split(small.path)[1], "size": len(small.data), "md5": small.md5}
    kind = small.headers.get("content-type")
    return f"{compact({**record, 'type': kind} if kind else record)}\n".encode()


def is_refusal_of_batches(error: Problem) -> bool:
    return isinstance(error, Refused) and error.status in REFUSED
