"""Fences (fencing tokens), which keep a process that was taken over from writing what is another's now.

The module `database` says how transactions ask them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scheduler.records.database import Connection


class Fenced(Exception):  # noqa: N818 - the others took over: it is news, not an error
    """Another process has taken over what this process wanted to write for. Raised by fences."""


@dataclass(frozen=True, slots=True, eq=False)
class Fence:
    """A query whose answer has a row until another process takes over; `fallen` is the message that it has."""

    query: str
    parameters: Callable[[], Mapping[str, Any]]
    fallen: str

    def ask(self, c: Connection) -> None:
        c.ahead(self.query, **self.parameters())

    def check(self, c: Connection) -> None:
        """Raises Fenced."""
        if c.one(self.query, **self.parameters()) is None:
            raise Fenced(self.fallen)
