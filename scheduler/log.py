"""Log lines: one JSON object a line on stderr, with the job and task that it is about; on a terminal, as text.

Code logs through the standard library and passes what it is about as `extra`:
`log.info("job created", extra={"job": uuid})`. Every such field becomes a key.

What clients and tasks do is logged, so a client must not be able to fill the disk with it. Messages of one *kind* (same
logger, level and text, same exception from the same line) are bounded per minute: the last one within the bound says
that others follow which are left out (`"more": "left out for 58 s"`), and the first one of a later minute says how many
were (`"left_out": 46839`). Only the audit log (`remora.audit`) is complete.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from scheduler.audit import LINES, LineFile
from scheduler.common.display import in_json, in_text

# What a record has by itself; every other attribute came through `extra`.
STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

AUDIT = "remora.audit"
FILE_VARIABLE = "REMORA_LOG_FILE"  # a file that has every log as JSON lines, besides stderr
FORMAT_VARIABLE = "REMORA_LOG_FORMAT"  # auto, text, json
MINUTE = 60.0
# Messages of one kind in a minute. asyncio's are about its surroundings (it repeats one for each failing accept).
MOST_INFO = 600
MOST_WARNINGS = 30
MOST_OF = {"asyncio": 1, "scheduler.http.listener": 1}
MAX_KINDS = 1000  # remembered; the texts of libraries may have variable parts


class Sparing(logging.Filter):
    """Leaves out messages beyond the bound of their kind."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._kinds: dict[object, _Kind] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name == AUDIT:
            return True
        now = self._clock()
        kind = self._kinds.get(key := kind_of(record))
        if kind is None or now >= kind.until:
            if len(self._kinds) >= MAX_KINDS:
                self._kinds.clear()
            left_out = kind.count - kind.most if kind is not None else 0
            kind = self._kinds[key] = _Kind(now + MINUTE, bound_of(record))
            if left_out > 0:
                record.left_out = left_out
        kind.count += 1
        if kind.count == kind.most:
            record.more = f"left out for {max(1, round(kind.until - now))} s"
        return kind.count <= kind.most


class _Kind:
    """How many messages of a kind there were, of the minute that ends at `until`."""

    __slots__ = ("count", "most", "until")

    def __init__(self, until: float, most: int) -> None:
        self.until = until
        self.most = most
        self.count = 0


def kind_of(record: logging.LogRecord) -> object:
    """What messages have in common that say the same of different things."""
    text = str(record.msg).partition("\n")[0][:100]
    error = record.exc_info[1] if record.exc_info else None
    if error is None:
        return record.name, record.levelno, text
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return record.name, record.levelno, text, type(error), trace and (trace.tb_frame.f_code, trace.tb_lineno)


def bound_of(record: logging.LogRecord) -> int:
    return MOST_OF.get(record.name, MOST_WARNINGS if record.levelno >= logging.WARNING else MOST_INFO)


class JsonLines(logging.Formatter):
    """A record as one line of JSON: time (UTC, ms), level, logger, msg, then the extra fields."""

    def format(self, record: logging.LogRecord) -> str:
        stamp = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, object] = {
            "time": stamp.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "msg": record.getMessage(),
        }
        line |= {key: value for key, value in vars(record).items() if key not in STANDARD}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return in_json(json.dumps(line, ensure_ascii=False, default=str))


class TextLines(logging.Formatter):
    """A record as a line for people: `21:04:11 warning: agent lost (agent=1 node=n7)`."""

    def format(self, record: logging.LogRecord) -> str:
        stamp = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        fields = " ".join(f"{key}={value}" for key, value in vars(record).items() if key not in STANDARD)
        lines = [f"{stamp} {level}{record.getMessage()}{f' ({fields})' if fields else ''}"]
        if record.exc_info:
            lines += self.formatException(record.exc_info).split("\n")
        return "\n  ".join(map(in_text, lines))


def formatter() -> logging.Formatter:
    """What REMORA_LOG_FORMAT says; by default (auto) text on a terminal, and JSON elsewhere."""
    wanted = os.environ.get(FORMAT_VARIABLE, "auto")
    text = wanted == "text" or (wanted != "json" and sys.stderr.isatty())
    return TextLines() if text else JsonLines()


class ToFile(logging.Handler):
    """Appends records to a file that processes share, and that is rotated. Raises OSError if it cannot be opened."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = LineFile(path)
        self.setFormatter(JsonLines())
        self.addFilter(Sparing())

    def emit(self, record: logging.LogRecord) -> None:
        if record.name != LINES:  # what the file itself says of its disk
            self._file.append(self.format(record))

    def close(self) -> None:
        self._file.close()
        super().close()


def also_to(path: Path) -> None:
    """Send every log of this process, and of those that it starts, to a file, too. Raises OSError."""
    logging.root.addHandler(ToFile(path))
    os.environ[FILE_VARIABLE] = str(path)


def setup(level: int = logging.INFO) -> None:
    """Send every log of this process to stderr, and to the file that its parent logs to."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter())
    handler.addFilter(Sparing())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    if path := os.environ.get(FILE_VARIABLE):
        try:
            also_to(Path(path))
        except OSError as error:
            logging.getLogger(LINES).warning("cannot log to a file", extra={"file": path, "why": error.strerror})
