"""Error records: one JSON object per error, stored with the keys of both published forms.

The live list shows `phase, what, code, message, stderr, core, input, p0input`; the archive
shows `taskId, phaseNum, server, machine, input, p0input, what, code, message, stderr, core`.
Absent keys are omitted, and the phase is a string in both.
"""

from __future__ import annotations

import json
from typing import Any

from scheduler.common.display import compact

LIVE_KEYS = ("phase", "what", "code", "message", "stderr", "core", "input", "p0input")
ARCHIVE_KEYS = (
    *("taskId", "phaseNum", "server", "machine", "input", "p0input"),
    *("what", "code", "message", "stderr", "core"),
)


def record(phase: int, code: str, message: str, task_input: str | None, origin: str | None, **extra: str | None) -> str:
    """The stored form of an error. `extra` may hold `stderr`, `core`, `taskId`, `server`, `machine`."""
    full = {
        "phase": str(phase),
        "phaseNum": str(phase),
        "what": what(phase, task_input, origin),
        "code": code,
        "message": message,
        "input": task_input,
        "p0input": origin,
        **extra,
    }
    return json.dumps({key: value for key, value in full.items() if value is not None})


def what(phase: int, task_input: str | None, origin: str | None) -> str:
    """The `what` of an error: `phase 0: input "/u/stor/x"`, later with the job's input; or `phase 1: reduce`."""
    if task_input is None:
        return f"phase {phase}: reduce"
    derived = f' (from job input "{origin}")' if phase > 0 and origin else ""
    return f'phase {phase}: input "{task_input}"{derived}'


def live_line(stored: str) -> str:
    return _line(stored, LIVE_KEYS)


def archive_line(stored: str) -> str:
    return _line(stored, ARCHIVE_KEYS)


def _line(stored: str, keys: tuple[str, ...]) -> str:
    full: dict[str, Any] = json.loads(stored)
    return compact({key: full[key] for key in keys if key in full})
