"""The vocabulary of names: look, list, link, make, remove.

Everything takes normal paths (`paths.expand`). A directory is told from an object by the
`type=directory` of its content type, as the service's own listing says it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from cli.client import paths
from cli.client.problem import Refused, no_such_path
from cli.client.session import Session, json_of
from scheduler.model import names

PAGE = 1024  # the largest page of a listing that the service gives
DIRECTORY_TYPE = "application/json; type=directory"
LINK_TYPE = "application/json; type=link"
Entry = dict[str, Any]  # one line of a listing: name, type, mtime; objects also etag, size, contentType, contentMD5


class Info(NamedTuple):
    """What HEAD tells: status line and headers (lower-case names)."""

    path: str
    status: int
    reason: str
    headers: Mapping[str, str]

    @property
    def is_directory(self) -> bool:
        return "type=directory" in self.headers.get("content-type", "").replace(" ", "")


def info(session: Session, path: str) -> Info:
    """What is at `path`. Raises `Refused`; ResourceNotFoundError if nothing is there."""
    try:
        reply = session.call("HEAD", path)
    except Refused as error:
        raise no_such_path(path) if error.status == 404 else told(session, path, error) from None
    return Info(path, reply.status_code, reply.reason_phrase, dict(reply.headers))


def told(session: Session, path: str, error: Refused) -> Refused:
    """The error of a HEAD with the sentence that it could not carry: a GET has a body for it."""
    try:
        with session.stream("GET", path):
            return error
    except Refused as explained:
        return explained


def info_or_none(session: Session, path: str) -> Info | None:
    """As `info`; None if nothing is at `path`."""
    try:
        return info(session, path)
    except Refused as error:
        if error.status == 404:
            return None
        raise


def entries(
    session: Session, path: str, *, marker: str = "", reverse: bool = False, kind: str | None = None
) -> Iterator[Entry]:
    """The entries of a directory by name, from `marker` on (inclusive), page by page.

    `kind` is `d`, `o` or None for both. Raises `Refused`.
    """
    query = {"limit": str(PAGE)}
    if reverse:
        query["sort_order"] = "reverse"
    if kind:
        query["dir" if kind == "d" else "obj"] = "true"
    last = None  # the marker is inclusive: a page begins with the entry that ended the one before
    while True:
        if marker:
            query["marker"] = marker
        count = 0
        for entry in page(session, path, query):
            count += 1
            if entry["name"] != last:
                yield entry
            marker = entry["name"]
        if count < PAGE:
            return
        last = marker


def page(session: Session, path: str, query: Mapping[str, str]) -> Iterator[Entry]:
    """One page of a listing, read whole so that no connection waits for the consumer."""
    reply = session.call("GET", path, query=query, headers={"accept": "application/x-json-stream"})
    return (json_of(reply, line) for line in reply.content.splitlines() if line)


def make_directory(session: Session, path: str, headers: Mapping[str, str] | None = None) -> None:
    """Make one directory; its parent must exist. Making it again changes nothing. Raises `Refused`."""
    session.call("PUT", path, headers={**(headers or {}), "content-type": DIRECTORY_TYPE}, body=b"")


def make_parents(session: Session, path: str) -> None:
    """Make the directories above `path` that are missing."""
    missing: list[str] = []
    for above in reversed(paths.parents(path)):
        if info_or_none(session, above):
            break
        missing.append(above)
    for above in reversed(missing):
        make_directory(session, above)


def link(session: Session, source: str, path: str, headers: Mapping[str, str] | None = None) -> None:
    """Give the object at `source` a second name. Raises `Refused`."""
    more = {**(headers or {}), "content-type": LINK_TYPE, "location": names.encode(source)}
    session.call("PUT", path, headers=more, body=b"")


def set_metadata(session: Session, path: str, headers: Mapping[str, str]) -> None:
    """Replace the metadata of the object or directory at `path` by `headers`. Raises `Refused`.

    No length is sent: that would be metadata too.
    """
    session.call("PUT", path, query={"metadata": "true"}, headers=headers)


def remove(session: Session, path: str) -> None:
    """Remove one object or empty directory. Raises `Refused`."""
    session.call("DELETE", path)


def remove_tree(session: Session, path: str, parallel: int) -> None:
    """Remove a directory and all below it: objects of a page at once, directories depth first.

    The first page is asked for again and again, since what was on it is gone then. Raises the first `Refused`.
    """
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max(1, parallel)) as pool:
        stack = [path]
        while stack:
            found = list(page(session, stack[-1], {"limit": str(PAGE)}))
            directories = [join(stack[-1], entry) for entry in found if entry["type"] == "directory"]
            objects = (join(stack[-1], entry) for entry in found if entry["type"] != "directory")
            finish(pool.map(lambda name: remove(session, name), objects))
            if directories:
                stack.append(directories[0])
            elif not found:
                remove(session, stack.pop())


def join(directory: str, entry: Entry) -> str:
    return f"{directory.rstrip('/')}/{entry['name']}"


def finish(results: Iterable[None]) -> None:
    """Wait for all; the first that failed raises."""
    for _ in results:
        pass
