"""Protocol buffers, as far as containerd's API needs them.

A message on the wire is a row of fields, each a number, a kind, and a value; names are not sent. So
a message type is a table from our name to its number and kind, and two functions turn dictionaries
into bytes and back by it. A generated stub would do no more, and this needs neither a compiler at
build time nor a library at run time. Two consequences follow:

- A table lists only the fields we use. Others are skipped when read, so that a newer
  containerd, which only ever adds fields, is understood.
- A field that has its zero value is not on the wire; a decoded dictionary has it all the same, with
  that value.

Kinds: "int" (also bool), "str", "bytes", a table (a message), `Repeated` and `StringMap` of
any of these.

Example: with `PID = {"pid": (2, "int")}`, `encode(PID, {"pid": 300})` is `b"\\x10\\xac\\x02"`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
WORD = 1 << 64

Table = Mapping[str, tuple[int, "Kind"]]
Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Repeated:
    """A repeated field of elements of one kind."""

    of: Kind


@dataclass(frozen=True, slots=True)
class StringMap:
    """`map<string, …>`: on the wire a repeated message of a key (1) and a value (2)."""

    of: Kind

    @property
    def entry(self) -> Table:
        return {"key": (1, "str"), "value": (2, self.of)}


Kind = str | Table | Repeated | StringMap


def encode(table: Table, message: Mapping[str, Any]) -> bytes:
    """Encode a message. Raises KeyError for a field that the table does not have."""
    return b"".join(_field(*table[name], value) for name, value in message.items())


def _field(number: int, kind: Kind, value: Any) -> bytes:
    if isinstance(kind, Repeated):
        return b"".join(_field(number, kind.of, each) for each in value)
    if isinstance(kind, StringMap):
        return b"".join(_field(number, kind.entry, {"key": key, "value": each}) for key, each in value.items())
    if kind == "int":
        return varint(number << 3 | VARINT) + varint(int(value))
    data = value if kind == "bytes" else value.encode() if kind == "str" else encode(_table(kind), value)
    return varint(number << 3 | BYTES) + varint(len(data)) + data


def varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; a negative number is its 64-bit complement."""
    value %= WORD
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def decode(table: Table, data: bytes) -> Message:
    """Decode a message. Raises ValueError for bytes that are no message of this table."""
    known = {number: (name, kind) for name, (number, kind) in table.items()}
    message: Message = {name: _zero(kind) for name, (_, kind) in table.items()}
    for number, wire, value in _fields(memoryview(data)):
        if number in known:
            name, kind = known[number]
            _store(message, name, kind, wire, value)
    return message


def _store(message: Message, name: str, kind: Kind, wire: int, value: Any) -> None:
    if isinstance(kind, StringMap):
        entry = _value(kind.entry, wire, value)
        message[name][entry["key"]] = entry["value"]
    elif not isinstance(kind, Repeated):
        message[name] = _value(kind, wire, value)
    elif kind.of == "int" and wire == BYTES:  # packed
        message[name].extend(_packed(value))
    else:
        message[name].append(_value(kind.of, wire, value))


def _zero(kind: Kind) -> Any:
    if isinstance(kind, Repeated):
        return []
    if isinstance(kind, StringMap):
        return {}
    return {"int": 0, "str": "", "bytes": b""}[kind] if isinstance(kind, str) else None


def _value(kind: Kind, wire: int, value: Any) -> Any:
    if (wire == BYTES) == (kind == "int"):
        raise ValueError(f"a field of wire type {wire} where {kind} was expected")
    if kind == "int":
        return value
    data = bytes(value)
    return data if kind == "bytes" else data.decode() if kind == "str" else decode(_table(kind), data)


def _table(kind: Kind) -> Table:
    assert isinstance(kind, Mapping), kind
    return kind


def _fields(data: memoryview) -> Iterator[tuple[int, int, Any]]:
    """`(number, wire type, value)` of each field: a number, or the bytes."""
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        wire = key & 7
        if wire == VARINT:
            value, at = _read_varint(data, at)
            yield key >> 3, wire, value
            continue
        if wire == BYTES:
            size, at = _read_varint(data, at)
        elif wire in (FIXED64, FIXED32):
            size = 8 if wire == FIXED64 else 4
        else:
            raise ValueError(f"wire type {wire} is of no use here")
        if at + size > len(data):
            raise ValueError("a message ends within a field")
        if wire == BYTES:
            yield key >> 3, wire, data[at : at + size]
        at += size


def _packed(data: memoryview) -> Iterator[int]:
    at = 0
    while at < len(data):
        value, at = _read_varint(data, at)
        yield value


def _read_varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 64:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value % WORD, at
    raise ValueError("a message ends within a number")
