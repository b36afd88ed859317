"""Conditional requests: a request that is executed only if the object is the one that its client expects.

Four headers, evaluated in this order: `If-Match`, `If-None-Match`, `If-Modified-Since`, `If-Unmodified-Since`. They
hold for objects, never for directories. A missing object has the empty etag, so `If-Match: ""` creates only;
`If-None-Match: *` means the same, and is what other stores use. A condition of a writing request is evaluated twice:
before its body is read, to refuse early, and in the transaction that writes. If only the second evaluation fails,
another request was faster, which is a different error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from scheduler.model.dates import iso, parse_rfc1123
from scheduler.model.errors import WireError, concurrent_request, precondition_failed
from scheduler.objects.entries import Entry

NAMES = ("If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since")


@dataclass(frozen=True, slots=True)
class Conditions:
    """The values of the four headers, None where absent. A value that is no date counts as absent."""

    if_match: str | None = None
    if_none_match: str | None = None
    if_modified_since: str | None = None
    if_unmodified_since: str | None = None

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> Conditions:
        return cls(*map(headers.get, NAMES))

    def check_read(self, entry: Entry) -> bool:
        """Whether the object is to be sent; False if the reader has it already. Raises WireError."""
        etag = entry.etag or ""
        if self.if_match is not None and not matches(self.if_match, etag):
            raise precondition_failed(f"if-match '{self.if_match}' didn't match etag '{etag}'")
        if self.if_none_match is not None:
            if matches(self.if_none_match, etag):
                return False
        elif modified_since(entry, self.if_modified_since) is False:
            return False
        self._check_unmodified(entry)
        return True

    def check_write(self, entry: Entry | None) -> None:
        """Raises WireError unless the object, or None where there is none, may be replaced."""
        if entry is not None and entry.is_directory:
            return
        etag = entry.etag or "" if entry else ""
        if self.if_match is not None and not matches(self.if_match, etag):
            raise precondition_failed(f"if-match '{self.if_match}' didn't match etag '{etag}'")
        if self.if_none_match is not None and matches(self.if_none_match, etag, missing=entry is None):
            raise precondition_failed(f"if-none-match '{self.if_none_match}' matched etag '{etag}'")
        if entry is None:
            return
        if modified_since(entry, self.if_modified_since) is False:
            raise self._modified(entry, "if-modified-since", self.if_modified_since)
        self._check_unmodified(entry)

    def recheck_write(self, entry: Entry | None) -> None:
        """Repeats a check that succeeded before. Raises WireError: a failure now means that another request wrote."""
        try:
            self.check_write(entry)
        except WireError:
            raise concurrent_request(entry.path if entry else "the object") from None

    def _check_unmodified(self, entry: Entry) -> None:
        if modified_since(entry, self.if_unmodified_since) is True:
            raise self._modified(entry, "if-unmodified-since", self.if_unmodified_since)

    @staticmethod
    def _modified(entry: Entry, header: str, value: str | None) -> WireError:
        return precondition_failed(f"object was modified at '{iso(entry.mtime)}'; {header} '{value}'")


def matches(listed: str, etag: str, missing: bool = False) -> bool:
    """Whether a comma-separated list of etags names this one. `*` names every etag, but no `missing` object."""
    for item in listed.split(","):
        wanted = item.strip().removeprefix("W/")
        if wanted == "*":
            if not missing:
                return True
        elif wanted.strip('"') == etag:
            return True
    return False


def modified_since(entry: Entry, date: str | None) -> bool | None:
    """Whether the entry changed after `date` (whole seconds); None if `date` is no date."""
    since = parse_rfc1123(date) if date else None
    return None if since is None else entry.mtime // 1000 > since // 1000
