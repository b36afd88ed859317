"""remora logs: what the service of this machine has logged."""

from __future__ import annotations

import json
import os
import sys
import time
from collections import deque
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import IO

import click

from cli import text
from cli.client.problem import Problem
from cli.client.settings import state_directory
from cli.frame import Plain
from cli.service.account_options import with_state_dir

PAUSE = 0.2
FILES = {"service": "service.log", "audit": "audit.log"}
LEVELS = ("debug", "info", "warning", "error", "critical")
HEAD = ("time", "level", "logger", "msg", "event", "traceback")


@click.command("logs", cls=Plain)
@click.option("-n", "--lines", "number", type=click.IntRange(min=0), default=50, show_default=True, metavar="N",
              help="The N newest; 0 for none.")  # fmt: skip
@click.option("-f", "--follow", is_flag=True, help="Go on with what is logged from now on, until Ctrl-C.")
@click.option("--audit", "which", flag_value="audit", help="The audit log: who changed what, or was denied what.")
@click.option("--level", type=click.Choice(LEVELS), default="debug", help="Only from this level on.")
@click.option("--json", "as_json", is_flag=True, help="Lines as they are in the file.")
def command(number: int, follow: bool, which: str | None, level: str, as_json: bool, state_dir: Path | None) -> None:
    """Print what the service of a state directory has logged, the newest at the end. It may run or not.

    \b
    Examples:
      remora logs -f
      remora logs --level warning -n 500
      remora logs --audit --json -n 100 | jq 'select(.event == "denied")'
    """
    path = (state_dir or state_directory(os.environ)) / FILES[which or "service"]
    try:
        file: IO[str] = path.open(errors="replace")
    except FileNotFoundError:
        raise Problem(f"there is no {path}: no service has run there, or it logs elsewhere") from None
    with file:
        for line in deque(wanted(file, level), maxlen=number):
            show(line, as_json=as_json)
        while follow:
            for line in wanted(file, level):
                show(line, as_json=as_json)
            sys.stdout.flush()
            time.sleep(PAUSE)
            file = renewed(file, path)


def renewed(file: IO[str], path: Path) -> IO[str]:
    """The file, or the one that has its name after a rotation, once all of the old one was read."""
    try:
        now = path.stat()
    except FileNotFoundError:
        return file
    mine = os.fstat(file.fileno())
    if (now.st_dev, now.st_ino) == (mine.st_dev, mine.st_ino) or file.tell() < mine.st_size:
        return file
    file.close()
    return path.open(errors="replace")


def wanted(file: IO[str], level: str) -> Iterator[str]:
    """The complete lines that are of this level at least; an incomplete one is read again later."""
    least = LEVELS.index(level)
    while True:
        at = file.tell()
        line = file.readline()
        if not line.endswith("\n"):
            file.seek(at)
            return
        if least == 0 or level_of(line) >= least:
            yield line.rstrip("\n")


def level_of(line: str) -> int:
    try:
        return LEVELS.index(json.loads(line).get("level", "info"))
    except (ValueError, AttributeError):
        return len(LEVELS)


def show(line: str, *, as_json: bool) -> None:
    print(line if as_json else readable(line))


def readable(line: str) -> str:
    """`Nov 29 12:01:02 warning: agent lost (node=n7)`; what is no such line as it is."""
    try:
        record = json.loads(line)
        at = datetime.fromisoformat(record["time"]).astimezone()
        rest = " ".join(f"{name}={value}" for name, value in record.items() if name not in HEAD)
    except (ValueError, KeyError, TypeError, AttributeError):
        return text.escape(line)
    level = f"{record['level']}: " if record.get("level", "info") != "info" else ""
    head = f"{at:%b %d %H:%M:%S} {level}{record.get('msg') or record.get('event', '')}"
    trace = f"\n  {record['traceback']}" if record.get("traceback") else ""
    return f"{text.escape(head)}{f' ({text.escape(rest)})' if rest else ''}" + trace


with_state_dir(command)
