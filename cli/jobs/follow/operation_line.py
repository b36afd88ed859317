"""The progress of an operation on one line.

    running  map 80/100  80 completed  3 running  17 pending  1 failed  2 aborted

Stages that are over are left out; while tasks are still made, a plus sign says that there will be more.
"""

from __future__ import annotations

from typing import Any

COUNTED = ("completed", "running", "pending")
SOMETIMES = ("waiting", "failed", "aborted", "aborting", "lost")  # that are shown unless there are none


def line(status: dict[str, Any]) -> str:
    """The line of a status."""
    progress = status["progress"]
    parts = [str(status["status"]) + (" (suspended)" if status.get("suspended") else "")]
    parts += [stage_part(stage) for stage in progress["stages"] if is_under_way(stage)]
    parts += [f"{progress[name]} {name}" for name in COUNTED]
    parts += [f"{progress[name]} {name}" for name in SOMETIMES if progress.get(name)]
    return "  ".join(parts)


def is_under_way(stage: dict[str, Any]) -> bool:
    return stage["total"] > stage["completed"] or (stage["total"] > 0 and not stage["planned"])


def stage_part(stage: dict[str, Any]) -> str:
    """`map 80/100`, or `map 80/100+` while more tasks are made."""
    return f"{stage['kind']} {stage['completed']}/{stage['total']}{'' if stage['planned'] else '+'}"
