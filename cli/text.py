"""How sizes, dates and names look in listings."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from scheduler.common.display import compact, in_json, is_harmless
from scheduler.model import dates

HALF_YEAR = 182 * 24 * 3600 * 1000  # ms: older dates show the year instead of the time of day
UNITS = "KMGT"


def human_size(size: int) -> str:
    """`1536` is `1.5K`: at most two decimals, no trailing zeros; below 1024 the plain number."""
    value, unit = float(size), ""
    for larger in UNITS:
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.2f}".rstrip("0").rstrip(".") + unit


def local(ms: int) -> datetime:
    """A moment on this machine's clock."""
    return datetime.fromtimestamp(ms / 1000, UTC).astimezone()


def short_date(iso: str, now: int, *, pad: bool = True) -> str:
    """`Sep 11 17:05`, or `Sep 11  2012` when half a year old. `now` is in ms; `pad`: two-digit days, two blanks."""
    at_ms = dates.parse_iso(iso)
    if at_ms is None:
        return iso
    at = local(at_ms)
    month = dates.MONTHS[at.month - 1]
    if not pad:
        return f"{month} {at.day} {at.year if now - at_ms > HALF_YEAR else f'{at.hour:02}:{at.minute:02}'}"
    if now - at_ms > HALF_YEAR:
        return f"{month} {at.day:02}  {at.year}"
    return f"{month} {at.day:02} {at.hour:02}:{at.minute:02}"


def escape(name: str) -> str:
    """A name on one line: what a terminal obeys and backslashes as in JSON, double quotes as they are."""
    return in_json(json.dumps(name, ensure_ascii=False))[1:-1].replace('\\"', '"')


def printable(message: str) -> str:
    """A message without anything that a terminal would obey: other people choose names, and tasks what they print."""
    if message.isprintable():
        return message
    return "".join(c if is_harmless(c) or c in "\n\t" else c.encode("unicode_escape").decode() for c in message)


def indented(record: object, indent: int = 2) -> str:
    """One JSON value on many lines."""
    return "\n".join(map(in_json, json.dumps(record, ensure_ascii=False, indent=indent).split("\n")))


def shortened(words: str, width: int) -> str:
    """A text on one line, its end cut off if it is longer than `width`."""
    line = " ".join(words.split())
    return line if len(line) <= width else line[: width - 3] + "..."


def count(number: int, noun: str) -> str:
    """`1 input`, `2 inputs`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


__all__ = [
    "compact",
    "count",
    "escape",
    "human_size",
    "in_json",
    "indented",
    "local",
    "printable",
    "short_date",
    "shortened",
]
