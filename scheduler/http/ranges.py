"""The part of an object that a request wants: `Range: bytes=a-b | a- | -n`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from scheduler.model.errors import multiple_ranges, range_not_satisfiable

RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an object, `length` bytes from `offset`: never empty, always inside it."""

    offset: int
    length: int

    def content_range(self, size: int) -> str:
        return f"bytes {self.offset}-{self.offset + self.length - 1}/{size}"


def parse_range(value: str, size: int) -> Part:
    """The part of an object of `size` bytes that a `Range` header asks for; its end is clamped.

    Raises WireError: several ranges (501), or none that can be satisfied (416).
    """
    text = "".join(value.split())
    if "," in text:
        raise multiple_ranges()
    match = RANGE.match(text)
    if match is None or not (match[1] or match[2]):
        raise range_not_satisfiable(value, size)
    if match[1]:
        start = int(match[1])
        end = min(int(match[2]), size - 1) if match[2] else size - 1
    else:
        start, end = max(0, size - int(match[2])), size - 1
    if start > end:
        raise range_not_satisfiable(value, size)
    return Part(start, end - start + 1)
