"""Moments as users write them and ages as tables show them.

A moment is an age (`90s`, `15m`, `2h`, `7d`, `2w`: so long ago) or a date in ISO 8601 (`2026-11-28`,
`2026-11-28T17:33`), which without a zone is of this machine's clock.
"""

from __future__ import annotations

import time
from datetime import datetime

import click

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
MAX_DIGITS = 9


def moment(text: str, now: int) -> int:
    """The moment that `text` names, in ms; `now` too. Raises ValueError."""
    if (seconds := span(text)) is not None:
        return now - seconds * 1000
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def span(text: str) -> int | None:
    """The seconds of `7d`; None for what is no age."""
    digits, unit = text[:-1], text[-1:]
    if unit not in UNITS or not (digits.isascii() and digits.isdigit()) or len(digits) > MAX_DIGITS:
        return None
    return int(digits) * UNITS[unit]


def short(seconds: float) -> str:
    """The largest unit that fits, rounded down: `4s`, `3m`, `2h`, `7d`."""
    unit = next((unit for unit in ("d", "h", "m") if seconds >= UNITS[unit]), "s")
    return f"{max(0, int(seconds // UNITS[unit]))}{unit}"


class Duration(click.ParamType[int]):
    """A length of time on the command line: `90`, `90s`, `15m`, `2h`. The function gets seconds, at most `most`."""

    name = "time"

    def __init__(self, most: int) -> None:
        self.most = most

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        seconds = value if isinstance(value, int) else span(f"{value}s" if value.isdecimal() else value)
        if seconds is None:
            self.fail(f'"{value}" is no time (90, 90s, 15m, 2h, 7d)', param, ctx)
        if not 1 <= seconds <= self.most:
            self.fail(f'"{value}" is not from 1 s to {self.most} s', param, ctx)
        return seconds


class Moment(click.ParamType[int]):
    """A moment on the command line; the function gets ms."""

    name = "when"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            return moment(value, int(time.time() * 1000))
        except (ValueError, OverflowError):
            self.fail(f'"{value}" is neither an age (90s, 15m, 2h, 7d) nor a date (2026-11-28)', param, ctx)
