"""Entries: the rows of the namespace, which are objects or directories."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from scheduler.records.database import Row

OBJECT = "o"
DIRECTORY = "d"
NO_HEADERS: Mapping[str, str] = {}
DEFAULT_TYPE = "application/octet-stream"
DEFAULT_COPIES = 2


class Entry(NamedTuple):
    """A row of the namespace. Times are ms since the epoch; `md5` is base64; header names are lower case.

    For objects `etag` is the id of the blob (which has no file if `size` is 0), `children` is 0.
    For directories `etag`, `size`, `md5`, `type` and `copies` are None.
    """

    dir: str
    name: str
    kind: str
    etag: str | None
    size: int | None
    md5: str | None
    type: str | None
    copies: int | None
    headers: Mapping[str, str]
    shared: int
    children: int
    mtime: int

    @property
    def path(self) -> str:
        return f"/{self.name}" if self.dir == "/" else f"{self.dir}/{self.name}"

    @property
    def is_directory(self) -> bool:
        return self.kind == DIRECTORY


class NewObject(NamedTuple):
    """An object about to be named. Its blob is published and durable already, unless `size` is 0."""

    path: str
    etag: str
    size: int
    md5: str
    type: str = DEFAULT_TYPE
    copies: int = DEFAULT_COPIES
    headers: Mapping[str, str] = NO_HEADERS


def from_row(row: Row) -> Entry:
    """The entry of a row that has all columns of the table."""
    headers = row["headers"]
    return Entry(
        row["dir"],
        row["name"],
        row["kind"],
        row["etag"],
        row["size"],
        row["md5"],
        row["type"],
        row["copies"],
        NO_HEADERS if headers == "{}" else json.loads(headers),
        row["shared"],
        row["children"],
        row["mtime"],
    )


def encode_headers(headers: Mapping[str, str]) -> str:
    """Headers as the database stores them: equal sets have the same text."""
    return json.dumps(headers, sort_keys=True, ensure_ascii=False) if headers else "{}"


def to_row(entry: Entry) -> dict[str, Any]:
    """The parameters of `put_entry`."""
    return {
        "dir": entry.dir,
        "name": entry.name,
        "kind": entry.kind,
        "etag": entry.etag,
        "size": entry.size,
        "md5": entry.md5,
        "type": entry.type,
        "copies": entry.copies,
        "headers": encode_headers(entry.headers),
        "shared": entry.shared,
        "mtime": entry.mtime,
    }


def object_row(new: NewObject, directory: str, name: str, now: int, shared: int = 0) -> dict[str, Any]:
    """The parameters of `put_entry` for an object, as `to_row` has them. A transaction names hundreds."""
    return {
        "dir": directory,
        "name": name,
        "kind": OBJECT,
        "etag": new.etag,
        "size": new.size,
        "md5": new.md5,
        "type": new.type,
        "copies": new.copies,
        "headers": encode_headers(new.headers),
        "shared": shared,
        "mtime": now,
    }
