"""The audit log: who changed what, and who was denied what, in a file of its own, a JSON object a line.

Each event has its time, a name, and who caused it: an account with its key or job, an address and the id of the
request; or the user of this machine who ran a command. It has no query of a request, no token, no key but its
fingerprint, and nothing of a body. Names and texts of clients are bounded.

Writes are complete. What is denied is sampled, because any stranger can have requests denied: of one caller, or of one
address, and one reason `SAMPLE` a minute are logged, and the first of a later minute says how many were left out.

Any number of processes may append to a file: each line is one write. A process that finds the file larger than
`MAX_BYTES` renames it to `.1`, the one before to `.2` and so on, and the others notice within `LOOK_SECONDS`. The
access log is written in the same way.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import stat
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from scheduler.common.display import compact, in_text

LINES = "remora.log"  # the logger of what goes wrong with log files
log = logging.getLogger(LINES)

FILE = "audit.log"
MAX_BYTES = 64 << 20
LOOK_SECONDS = 0.1  # between two looks at the file's name: a look takes longer than to write the line
KEPT = 9
MAX_TEXT = 2000
SAMPLE = 10
MINUTE = 60.0
MOST_SAMPLED = 10_000

Fields = Mapping[str, object]


class LineFile:
    """A file to which lines are appended, and which is rotated. Raises OSError if it cannot be opened."""

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._fd = self._open()
        self._size = 0  # of the file at the last look, with what was appended here since
        self._look_at = 0.0  # when to look again (monotonic seconds)
        self._failed = False

    def append(self, line: str) -> None:
        """Append a line. A disk that refuses it is told in the service's log, once until it takes lines again."""
        data = line.encode("utf-8", "backslashreplace") + b"\n"
        with self._lock:
            try:
                if self._size + len(data) > self._max_bytes or time.monotonic() >= self._look_at:
                    self._turn(len(data))
                self._size += os.write(self._fd, data)
                self._failed = False
            except OSError as error:
                if not self._failed:
                    log.warning("a log file takes no lines", extra={"file": str(self.path), "why": error.strerror})
                self._failed = True

    def close(self) -> None:
        with self._lock:
            os.close(self._fd)

    def _open(self) -> int:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        fd = os.open(self.path, flags, 0o600)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise OSError(errno.EINVAL, "it is no file", str(self.path))
        return fd

    def _turn(self, more: int) -> None:
        """Go on in a new file if this one is full, or was renamed by another process."""
        mine = os.fstat(self._fd)
        if not self._is_current(mine):
            self._open_again()
        elif mine.st_size and mine.st_size + more > self._max_bytes:
            fcntl.flock(self._fd, fcntl.LOCK_EX)  # released with the descriptor
            if self._is_current(mine):
                for number in range(KEPT, 0, -1):
                    older = self.path.with_name(f"{self.path.name}.{number}")
                    newer = self.path if number == 1 else self.path.with_name(f"{self.path.name}.{number - 1}")
                    if newer.exists():
                        os.replace(newer, older)
            self._open_again()
        self._size = os.fstat(self._fd).st_size
        self._look_at = time.monotonic() + LOOK_SECONDS

    def _open_again(self) -> None:
        """Go on in the file that has the name now. Until that is open, the old one stays so: its number is ours."""
        fd = self._open()
        os.close(self._fd)
        self._fd = fd

    def _is_current(self, mine: os.stat_result) -> bool:
        try:
            now = os.stat(self.path, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return (now.st_dev, now.st_ino) == (mine.st_dev, mine.st_ino)


def line(event: str, fields: Fields, now: float | None = None) -> str:
    """An event as a line of JSON. Fields without a value are left out."""
    stamp = datetime.fromtimestamp(time.time() if now is None else now, UTC).isoformat(timespec="milliseconds")
    known = {name: bounded(value) for name, value in fields.items() if value not in (None, "")}
    whole = {"time": stamp.replace("+00:00", "Z"), "event": event, **known}
    return compact(whole)


def text_line(event: str, fields: Fields, now: float | None = None) -> str:
    """The same as a line for people."""
    stamp = datetime.fromtimestamp(time.time() if now is None else now).astimezone().isoformat(timespec="seconds")
    known = " ".join(f"{name}={bounded(value)}" for name, value in fields.items() if value not in (None, ""))
    return in_text(f"{stamp} {event} {known}").replace("\n", "\\n")


def bounded(value: object) -> object:
    return f"{value[:MAX_TEXT]}…" if isinstance(value, str) and len(value) > MAX_TEXT else value


class Sampler:
    """Which of many events of a kind are logged: `SAMPLE` a minute of each."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kinds: OrderedDict[object, tuple[float, int]] = OrderedDict()

    def take(self, kind: object) -> int | None:
        """None if this one is left out; else how many of its kind were left out in the minute before."""
        now = self._clock()
        until, count = self._kinds.get(kind, (0.0, 0))
        left_out = 0
        if now >= until:
            left_out, until, count = max(0, count - SAMPLE), now + MINUTE, 0
        self._kinds[kind] = until, count + 1
        self._kinds.move_to_end(kind)
        if len(self._kinds) > MOST_SAMPLED:
            self._kinds.popitem(last=False)
        return left_out if count < SAMPLE else None


class Logs:
    """The audit and the access log of a process; without a file for one nothing is written there."""

    def __init__(self, audit: Path | None = None, access: Path | None = None, access_as_text: bool = False) -> None:
        self._audit = None if audit is None else LineFile(audit)
        self._access = None if access is None else LineFile(access)
        self._access_line = text_line if access_as_text else line
        self._denied = Sampler()

    def audited(self, event: str, fields: Fields) -> None:
        """Log an event that must not be missing."""
        if self._audit is not None:
            self._audit.append(line(event, fields))

    def denied(self, fields: Fields, who: object, why: str) -> None:
        """Log that a request was denied, unless too many of this caller and reason were."""
        if self._audit is not None and (left_out := self._denied.take((who, why))) is not None:
            self._audit.append(line("denied", {**fields, "left_out": left_out or None}))

    def accessed(self, fields: Fields) -> None:
        """Log a request in the access log."""
        if self._access is not None:
            self._access.append(self._access_line("request", fields))

    def close(self) -> None:
        for file in (self._audit, self._access):
            if file is not None:
                file.close()


NO_LOGS = Logs()


def append(path: Path, event: str, fields: Fields) -> None:
    """Append one event to a log file; an OSError is raised."""
    file = LineFile(path)
    try:
        file.append(line(event, fields))
    finally:
        file.close()
