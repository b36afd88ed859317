"""WebSocket frames of a client (RFC 6455): what is sent is masked, what comes is not."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

LAST, MASKED = 0x80, 0x80
LENGTH_16, LENGTH_64 = 126, 127
MAX_MESSAGE = 1 << 20


class Kind(IntEnum):
    """The kinds of frames. MORE continues the message before."""

    MORE = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


class Message(NamedTuple):
    """A whole message."""

    kind: Kind
    data: bytes


def seal(kind: Kind, data: bytes) -> bytes:
    """The frame of a whole message."""
    size = len(data)
    if size < LENGTH_16:
        length = bytes([MASKED | size])
    elif size < 1 << 16:
        length = struct.pack("!BH", MASKED | LENGTH_16, size)
    else:
        length = struct.pack("!BQ", MASKED | LENGTH_64, size)
    mask = os.urandom(4)
    masks = int.from_bytes((mask * (size // 4 + 1))[:size], "big")
    masked = (int.from_bytes(data, "big") ^ masks).to_bytes(size, "big")
    return bytes([LAST | kind]) + length + mask + masked


class Incoming:
    """Puts messages together from what comes. Raises ValueError for what is no WebSocket."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._parts: list[bytes] = []
        self._kind = Kind.MORE

    def feed(self, data: bytes) -> Iterator[Message]:
        """The messages that are complete now."""
        self._data += data
        while (frame := self._take()) is not None:
            kind, last, payload = frame
            if kind >= Kind.CLOSE:
                yield Message(kind, payload)
                continue
            self._kind = kind or self._kind
            self._parts.append(payload)
            if last:
                whole, self._parts = b"".join(self._parts), []
                yield Message(self._kind, whole)

    def _take(self) -> tuple[Kind, bool, bytes] | None:
        """The next frame, if all of it has come."""
        if len(self._data) < 2:
            return None
        first, size = self._data[0], self._data[1]
        begin = {LENGTH_16: 4, LENGTH_64: 10}.get(size, 2)
        if size & MASKED or first & 0x70:
            raise ValueError("what came is no frame of a WebSocket server")
        if len(self._data) < begin:
            return None
        if begin > 2:
            size = int.from_bytes(self._data[2:begin], "big")
        if size > MAX_MESSAGE:
            raise ValueError(f"a message of {size} bytes came")
        if len(self._data) < begin + size:
            return None
        payload = bytes(self._data[begin : begin + size])
        del self._data[: begin + size]
        return Kind(first & 0x0F), bool(first & LAST), payload


def close_of(data: bytes) -> tuple[int, str]:
    """The code and the reason in a CLOSE."""
    code = int.from_bytes(data[:2], "big") if len(data) >= 2 else 1005
    return code, data[2:].decode("utf-8", "replace")


def close_with(reason: str) -> bytes:
    """What a CLOSE says: a normal end, and why."""
    return struct.pack("!H", 1000) + reason.encode()
