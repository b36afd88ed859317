"""What processes announce to each other: `records.database` carries it, and whoever hears it looks for himself.

jobs         there are jobs that nobody owns
job 17       its record was changed by somebody who does not own it
news 17      its owner moved it: whoever waits for it looks
task-logs    a page of the log of a running task is wanted
task-log 5   request number 5 for such a page is answered
*            anything may have happened
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
    """What is announced, and of which job or request (0: of none)."""
    kind, _, number = subject.partition(" ")
    return kind, int(number) if number.isdigit() else 0
