"""Listing a directory, a page at a time."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from aiohttp import web

from scheduler.common.display import compact
from scheduler.gateway.context import Call
from scheduler.gateway.storage import headers as entry_headers
from scheduler.model import errors
from scheduler.model.dates import iso, parse_iso
from scheduler.objects import namespace
from scheduler.objects.entries import DIRECTORY, OBJECT, Entry
from scheduler.objects.namespace import Page

LISTING_TYPE = "application/x-json-stream; type=directory"
DEFAULT_LIMIT = 256
MAX_LIMIT = 1024
LARGE = 10_000  # entries; sorting so many takes about 20 ms
WRITE_BYTES = 64 * 1024


async def list_directory(call: Call, directory: Entry) -> web.StreamResponse:
    """GET or HEAD of a directory: one JSON line per entry."""
    page = parse_page(call.query)
    headers = entry_headers.of_entry(directory, call.method, call.request.headers.get("Origin"))
    headers["Result-Set-Size"] = str(directory.children)
    lines = [] if call.method == "HEAD" else await read_page(call, directory, page)
    return await send_lines(call, headers, lines)


async def read_page(call: Call, directory: Entry, page: Page) -> list[bytes]:
    """The entries of a page.

    A page by time reads the whole directory; large ones one at a time, so that a reader stays free.
    """
    work = partial(page_lines, path=call.path, page=page)
    if page.sort == "mtime" and (directory.children or 0) > LARGE:
        async with call.context.sorting:
            return await call.context.db.read(work)
    return await call.context.db.read(work)


async def list_login(call: Call) -> web.StreamResponse:
    """GET or HEAD of `/:login`: its top-level names. Here, and only here, the marker is exclusive."""
    if call.method not in ("GET", "HEAD"):
        raise errors.operation_not_allowed_on_root(call.method, call.path)
    marker = call.query.get("marker", "")
    tops = await call.context.db.read(lambda c: namespace.list_page(c, call.path, Page()))
    lines = [line(entry) for entry in tops if entry.name > marker]
    return await send_lines(call, {"Result-Set-Size": str(len(tops))}, lines)


def page_lines(c: Any, path: str, page: Page) -> list[bytes]:
    return [line(entry) for entry in namespace.list_page(c, path, page)]


def line(entry: Entry) -> bytes:
    """One entry as a line of the listing; the order of the keys is part of the format."""
    shown: dict[str, Any] = {"name": entry.name}
    if entry.is_directory:
        shown["type"] = "directory"
    else:
        shown.update(etag=entry.etag, size=entry.size, type="object", contentType=entry.type)
        if "content-disposition" in entry.headers:
            shown["contentDisposition"] = entry.headers["content-disposition"]
        shown["contentMD5"] = entry.md5
    shown["mtime"] = iso(entry.mtime)
    if not entry.is_directory:
        shown["durability"] = entry.copies
    return compact(shown).encode() + b"\n"


async def send_lines(call: Call, headers: Mapping[str, str], lines: list[bytes]) -> web.StreamResponse:
    """Send lines, without a body for HEAD, in pieces of bounded size."""
    reply = web.StreamResponse(headers=headers)
    reply.headers["Content-Type"] = LISTING_TYPE
    await reply.prepare(call.request)
    if call.method != "HEAD":
        body = memoryview(b"".join(lines))
        for at in range(0, len(body), WRITE_BYTES):
            await reply.write(body[at : at + WRITE_BYTES])
    await reply.write_eof()
    return reply


def parse_page(query: Mapping[str, str]) -> Page:
    """The page of entries that a query asks for. Raises WireError."""
    restricted = [name for name in ("skip_owner_check",) if name in query]
    sort = query.get("sort", "name")
    if sort == "none":
        restricted.append("sort")
    if restricted:
        raise errors.query_parameter_forbidden(restricted)
    if sort not in ("name", "mtime"):
        raise errors.invalid_parameter(sort, "sort")
    by_time = sort == "mtime"
    return Page(
        limit=parse_limit(query.get("limit")),
        marker=parse_marker(query.get("marker"), by_time),
        sort=sort,
        # Times come newest first, names in ascending order; `reverse` reverses either.
        descending=by_time != (query.get("sort_order") == "reverse"),
        kind=parse_kind(query),
    )


def parse_limit(value: str | None) -> int:
    if value is None:
        return DEFAULT_LIMIT
    if not (value.isascii() and value.isdigit() and len(value) <= 4 and 1 <= int(value) <= MAX_LIMIT):
        raise errors.invalid_argument(f"limit={value} is invalid: must be between [1, {MAX_LIMIT}]")
    return int(value)


def parse_marker(value: str | None, by_time: bool) -> str | int | None:
    """The marker of a page: a name, or by time a number of milliseconds. Raises WireError."""
    if value is None or not by_time:
        return value
    at = parse_iso(value)
    if at is None:
        raise errors.invalid_parameter(value, "marker")
    return at


def parse_kind(query: Mapping[str, str]) -> str | None:
    directories = "dir" in query or "directory" in query
    objects = "obj" in query or "object" in query
    if directories == objects:
        return None
    return DIRECTORY if directories else OBJECT
