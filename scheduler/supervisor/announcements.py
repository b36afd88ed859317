"""Announcements between processes: `records.database` carries them, and each listener reads the records itself.

jobs         there are jobs without an owner
job 17       its record was changed by a process that does not own it
news 17      its owner changed it: clients that wait for it look again
asked        something is asked about a running task
answered 5   request number 5 about one is answered
*            announcements may have been missed: look at everything
"""

from __future__ import annotations

JOBS = "jobs"
JOB = "job"
NEWS = "news"
ASKED = "asked"
ANSWERED = "answered"
EVERYTHING = "*"


def job(number: int) -> str:
    return f"{JOB} {number}"


def news(number: int) -> str:
    return f"{NEWS} {number}"


def answered(number: int) -> str:
    return f"{ANSWERED} {number}"


def parse(subject: str) -> tuple[str, int]:
    """The kind of an announcement, and the number of its job or request (0: none)."""
    kind, _, number = subject.partition(" ")
    return kind, int(number) if number.isdigit() else 0
