"""Random ids: UUIDs of version 4, as text.

A task has several, and each draw from the kernel costs as much as the rest of making one. So 256 are drawn
at once. A child process draws anew: two processes never give the same id.

Blobs that a process makes one after another are `near` each other: their ids begin alike, 256 at a time. Then their
names lie in one directory, and their records in a few pages of an index. If each began as it liked, a commit of 200
outputs would write as many pages of the index of blobs (measured: 1.5 pages of 4 KiB a task, of 3 in all).

Example: `new_id()` 6a0f6e3b-…, 04d1c55a-…; `new_blob_id()` c41b07e9-…, c41b0752-….
"""

from __future__ import annotations

import os

SIZE = 16
DRAWN = 256
SHARED = 3  # bytes that near ids have in common; 98 random bits are left
VARIANTS = "89ab"
_far: list[bytes] = []
_near: list[bytes] = []


def new_id() -> str:
    """A fresh UUID of version 4, in 36 characters."""
    if not _far:
        _far.extend(drawn())
    return text_of(_far.pop())


def new_blob_id() -> str:
    """The same for a blob, near the one before; it is also the etag of the object that the blob becomes."""
    if not _near:
        shared = os.urandom(SHARED)
        _near.extend(shared + each[SHARED:] for each in drawn())
    return text_of(_near.pop())


def drawn() -> list[bytes]:
    random = os.urandom(SIZE * DRAWN)
    return [random[at : at + SIZE] for at in range(0, len(random), SIZE)]


def text_of(raw: bytes) -> str:
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{VARIANTS[raw[8] & 3]}{text[17:20]}-{text[20:]}"


def forget() -> None:
    _far.clear()
    _near.clear()


os.register_at_fork(after_in_child=forget)
