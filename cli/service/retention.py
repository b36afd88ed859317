"""For how long jobs are kept, as options say it and lists show it."""

from __future__ import annotations

import click

from cli.when import UNITS, span

FOREVER = "forever"


class Keeping(click.ParamType[int]):
    """`7d`, `12h`, or `forever`; if `default` is allowed, also `default`. The function gets seconds, 0 for ever."""

    name = "time"
    DEFAULT = -1

    def __init__(self, *, default: bool = False) -> None:
        self._words = {FOREVER: 0, **({"default": self.DEFAULT} if default else {})}

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        seconds = self._words[value] if value in self._words else span(value)
        if seconds is None or (seconds == 0 and value != FOREVER):
            self.fail(f'"{value}" is no time to keep jobs: 7d, 12h, {" or ".join(self._words)}', param, ctx)
        return seconds


def shown(seconds: int | None) -> str:
    """`7d`, `forever`; nothing for the service's default."""
    if seconds is None:
        return ""
    unit = next((unit for unit in ("w", "d", "h", "m") if seconds and seconds % UNITS[unit] == 0), "s")
    return f"{seconds // UNITS[unit]}{unit}" if seconds else FOREVER


def keep_jobs_option() -> click.Option:
    return click.Option(
        ["--keep-jobs"], type=Keeping(), metavar="TIME", envvar="REMORA_KEEP_JOBS", default=FOREVER, show_default=True,
        help="How long accounts keep jobs that are done: 7d, 12h. See remora user set. [$REMORA_KEEP_JOBS]",
    )  # fmt: skip
