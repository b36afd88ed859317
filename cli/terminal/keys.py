"""Escapes among what is typed: `~.` and the like, as in ssh.

The escape character counts only directly after a line's end. Doubled, it is sent once; what follows it otherwise is a
command, or nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

LINE_ENDS = b"\r\n"


class Escape(Enum):
    """The commands of the user to this program."""

    END = "."
    INFORMATION = "i"
    HELP = "?"


COMMANDS = {ord(each.value): each for each in Escape}


class Keyboard:
    """Takes what is typed apart. `escape` is one byte; None: nothing is an escape."""

    def __init__(self, escape: bytes | None) -> None:
        self._escape = escape[0] if escape else None
        self._at_start = False
        self._escaped = False

    def feed(self, typed: bytes) -> Iterator[bytes | Escape]:
        """What to send, and what to do, in the order in which it was typed."""
        if self._escape is None:
            yield typed
            return
        kept = bytearray()
        for byte in typed:
            if self._escaped:
                self._escaped = False
                if byte == self._escape:
                    kept.append(byte)
                elif (command := COMMANDS.get(byte)) is not None:
                    if kept:
                        yield bytes(kept)
                        kept.clear()
                    yield command
            elif self._at_start and byte == self._escape:
                self._escaped = True
            else:
                self._at_start = byte in LINE_ENDS
                kept.append(byte)
        if kept:
            yield bytes(kept)
