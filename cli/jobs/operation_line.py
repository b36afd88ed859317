"""The progress of an operation on one line.

    running  map 80/100  3 running  17 pending  1 failed  2 aborted

Stages that are over are left out; while tasks are still made, a plus sign says that there will be more.
"""

from __future__ import annotations

from typing import Any

COUNTED = ("running", "pending")
UNLUCKY = ("failed", "aborted")


def line(status: dict[str, Any]) -> str:
    """The line of a status."""
    progress = status["progress"]
    parts = [str(status["status"])]
    parts += [stage_part(stage) for stage in progress["stages"] if is_under_way(stage)]
    parts += [f"{progress[name]} {name}" for name in COUNTED]
    parts += [f"{progress[name]} {name}" for name in UNLUCKY if progress[name]]
    return "  ".join(parts)


def is_under_way(stage: dict[str, Any]) -> bool:
    return stage["total"] > stage["completed"] or (stage["total"] > 0 and not stage["planned"])


def stage_part(stage: dict[str, Any]) -> str:
    """`map 80/100`, or `map 80/100+` while more tasks are made."""
    return f"{stage['kind']} {stage['completed']}/{stage['total']}{'' if stage['planned'] else '+'}"
