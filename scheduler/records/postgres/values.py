"""Values: the forms of parameters and results on their way to a PostgreSQL server and back.

Both are text, since the tables have only TEXT and BIGINT; None is NULL. A text that PostgreSQL could not store, because
of a NUL, is escaped (`dialect.escape`).

Every task's row comes and goes here several times. So what is done for each value is left to C: psycopg decodes a
result, `dict` looks a column up, and an array of many rows is joined as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import NoneType
from typing import Any

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Loader, Transformer
from psycopg.pq.abc import PGresult
from psycopg.types.numeric import IntLoader

from scheduler.records.postgres.dialect import ESCAPE, escape, escape_json, unescape

Parameter = bytes | None
NUL = "\0"
BETWEEN = '","'  # elements of an array
NOTHING = f'"{ESCAPE}"'
# Types by OID: int8, int2, int4, as a statement's parameters have them; all others are text.
TYPES: Mapping[int, str] = {20: "BIGINT", 21: "BIGINT", 23: "BIGINT"}
# Those of results that are decoded to an integer: bool and numeric (a sum of int8) as well.
_INTEGERS = frozenset({16, 1700, *TYPES})


class Row(dict[str | int, Any]):
    """A row of a result: see database.Row."""

    __slots__ = ()

    def __missing__(self, position: int, /) -> Any:
        return tuple(self)[position]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.values())

    def keys(self) -> list[str]:  # type: ignore[override]
        return list(map(str, super().keys()))


class Decoder:
    """The decoder of one connection's results."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        connection.adapters.register_loader("bool", _BoolLoader)
        connection.adapters.register_loader("numeric", IntLoader)
        self._transformer = Transformer(connection)

    def rows(self, result: PGresult) -> list[Row]:
        """The rows of a result."""
        columns = range(result.nfields)
        names = [(result.fname(column) or b"").decode() for column in columns]
        self._transformer.set_pgresult(result)
        found: Sequence[tuple[Any, ...]] = self._transformer.load_rows(0, result.ntuples, tuple)
        self._transformer.set_pgresult(None)  # it would keep the result until the next one
        texts = [column for column in columns if result.ftype(column) not in _INTEGERS]
        if any(ESCAPE in "".join([row[column] or "" for row in found]) for column in texts):
            found = [tuple(unescape(value) if isinstance(value, str) else value for value in row) for row in found]
        return [Row(zip(names, row)) for row in found]  # noqa: B905 - a check would take a quarter of the time


class _BoolLoader(Loader):
    """A loader of truth values as the integers that they are on SQLite."""

    def load(self, data: Buffer) -> int:
        return int(bytes(data) == b"t")


def encode(value: object, is_json: bool = False) -> Parameter:
    """A parameter in its wire form. Raises UnicodeEncodeError for half a surrogate pair, as SQLite does."""
    if value is None:
        return None
    if isinstance(value, str):
        return (escape_json(value) if is_json else escape(value)).encode()
    if isinstance(value, int):
        return b"%d" % value
    raise TypeError(f"no column holds a {type(value).__name__}")


def encode_array(values: Sequence[object]) -> bytes:
    """An array of values in the wire form, for one parameter. Raises UnicodeEncodeError as `encode` does."""
    kinds = set(map(type, values))
    if kinds <= {int, NoneType}:
        return f"{{{','.join(['NULL' if value is None else str(value) for value in values])}}}".encode()
    if all(issubclass(kind, str | NoneType) for kind in kinds):
        nothing = values.count(None)
        # neither mark is in a text, else there are more of them
        texts = NUL.join([ESCAPE if value is None else value for value in values] if nothing else values)  # type: ignore
        if texts.count(ESCAPE) == nothing and texts.count(NUL) == len(values) - 1:
            elements = f'"{_quoted(texts).replace(NUL, BETWEEN)}"'
            return f"{{{elements.replace(NOTHING, 'NULL') if nothing else elements}}}".encode()
    return f"{{{','.join(map(_element, values))}}}".encode()


def _quoted(text: str) -> str:
    """What is between the quotes of an element."""
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _element(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, str):
        return f'"{_quoted(escape(value))}"'
    if isinstance(value, int):
        return str(int(value))
    raise TypeError(f"no column holds a {type(value).__name__}")
