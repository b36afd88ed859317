"""Log lines: one JSON object a line on stderr, with the job and task that it is about.

Code logs through the standard library and passes what it is about as `extra`:
`log.info("job created", extra={"job": uuid})`. Every such field becomes a key.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

from scheduler.model.display import in_json

# What a record has by itself; every other attribute came through `extra`.
STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


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


def setup(level: int = logging.INFO) -> None:
    """Send every log of this process to stderr as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
