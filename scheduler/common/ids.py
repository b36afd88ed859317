"""Random ids: UUIDs of version 4, as text.

A task has several, and each draw from the kernel costs as much as the rest of making one. So 256 are drawn
at once. A child process draws anew: two processes never give the same id.
"""

from __future__ import annotations

import os

SIZE = 16
DRAWN = 256
VARIANTS = "89ab"
_drawn: list[bytes] = []


def new_id() -> str:
    """A fresh UUID of version 4, in 36 characters; a blob's is also the etag of the object it becomes."""
    if not _drawn:
        random = os.urandom(SIZE * DRAWN)
        _drawn.extend(random[at : at + SIZE] for at in range(0, len(random), SIZE))
    raw = _drawn.pop()
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{VARIANTS[raw[8] & 3]}{text[17:20]}-{text[20:]}"


os.register_at_fork(after_in_child=_drawn.clear)
