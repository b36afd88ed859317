"""Times as clients write them. Inside the service a time is milliseconds since the epoch (UTC)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
RFC1123 = re.compile(r"(?:[A-Z]\w\w, )?(\d\d?) ([A-Z]\w\w) (\d{4}) (\d\d):(\d\d):(\d\d) (?:GMT|UTC|\+0000)\Z", re.ASCII)
MAX_LENGTH = 64  # of a text that can be a date
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def from_ms(ms: int) -> datetime:
    return EPOCH + timedelta(milliseconds=ms)


def to_ms(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(milliseconds=1)


def iso(ms: int) -> str:
    """A time in ISO 8601: `2013-05-22T17:39:43.714Z`."""
    return from_ms(ms).strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03}Z"


def rfc1123(ms: int) -> str:
    """A time in RFC 1123: `Wed, 22 May 2013 17:39:43 GMT`, in English whatever the locale."""
    return _rfc1123(ms // 1000)


@lru_cache(maxsize=64)
def _rfc1123(seconds: int) -> str:
    """The same of a second: most replies of a busy server are of the same few."""
    at = from_ms(seconds * 1000)
    day, month = DAYS[at.weekday()], MONTHS[at.month - 1]
    return f"{day}, {at.day:02} {month} {at.year:04} {at.hour:02}:{at.minute:02}:{at.second:02} GMT"


def parse_rfc1123(text: str) -> int | None:
    """Milliseconds since the epoch, or None if the text is no RFC 1123 date."""
    return _parse_rfc1123(text) if len(text) <= MAX_LENGTH else None


@lru_cache(maxsize=256)
def _parse_rfc1123(text: str) -> int | None:
    match = RFC1123.match(text.strip())
    if match is None or match[2] not in MONTHS:
        return None
    day, month, year, hour, minute, second = match.groups()
    number = MONTHS.index(month) + 1
    try:
        return to_ms(datetime(int(year), number, int(day), int(hour), int(minute), int(second), tzinfo=UTC))
    except ValueError:
        return None


def parse_iso(text: str) -> int | None:
    """Milliseconds since the epoch, or None if the text is no ISO 8601 date; without a zone it is UTC."""
    if len(text) > MAX_LENGTH:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return to_ms(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
