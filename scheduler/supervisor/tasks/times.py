"""Times of a task: when it became ready, was leased, started, ended, and counted.

An agent says when an attempt started and ended by its own clock, and what that clock was when it sent the report. So
the supervisor counts back from the moment of the report, and no two clocks have to agree. An agent may say anything:
the times are brought into their order.

Example: a report that was sent at 9,000,000 µs says that its attempt ran from 1,000,000 to 8,000,000; it is committed
at T (ms). So the attempt started at T - 8000 and ended at T - 1000.
"""

from __future__ import annotations

import json

from scheduler.model.wire import AttemptReport
from scheduler.records.database import Row

_encode = json.JSONEncoder(separators=(",", ":")).encode


def ran(row: Row, report: AttemptReport | None, node: str | None, now: int, clock_us: int) -> str | None:
    """The JSON of `tasks.ran`, in ms since the epoch; None without a report, or if it has no times."""
    if report is None or report.started_us is None or report.ended_us is None or not clock_us:
        return None
    leased = min(row["leased"] if row["leased"] is not None else now, now)
    started = min(max(leased, now - (clock_us - report.started_us) // 1000), now)
    ended = min(max(started, now - (clock_us - report.ended_us) // 1000), now)
    ready = min(row["ready"] if row["ready"] is not None else leased, leased)
    times = {"ready": ready, "leased": leased, "started": started, "ended": ended, "done": now}
    return _encode({"node": node, "instance": report.instance, **times})
