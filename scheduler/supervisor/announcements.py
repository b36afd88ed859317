"""Announcements between processes: `records.database` carries them, and each listener reads the records itself.

jobs         there are jobs without an owner
job 17       its record was changed by a process that does not own it
news 17      its owner changed it: clients that wait for it look again
task-logs    a page of the log of a running task is wanted
task-log 5   request number 5 for such a page is answered
*            announcements may have been missed: look at everything
"""

from __future__ import annotations

JOBS = "jobs"
JOB = "job"
NEWS = "news"
TASK_LOGS = "task-logs"
TASK_LOG = "task-log"
EVERYTHING = "*"


def job(number: int) -> str:
    return f"{JOB} {number}"


def news(number: int) -> str:
    return f"{NEWS} {number}"


def task_log(number: int) -> str:
    return f"{TASK_LOG} {number}"


def parse(subject: str) -> tuple[str, int]:
    """The kind of an announcement, and the number of its job or request (0: none)."""
    kind, _, number = subject.partition(" ")
    return kind, int(number) if number.isdigit() else 0
