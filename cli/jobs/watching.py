"""Wait for a job as a person would: see it move, hear of the first error at once.

On a terminal a line shows tasks and rates. The first error is told when it happens, with the
end of what the task said on stderr, because that is nearly always the whole story. Ctrl-C stops
the watching, never the job.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from cli.client.problem import Problem
from cli.frame import INTERRUPTED, note
from cli.meter import Meter
from cli.text import count

if TYPE_CHECKING:
    from cli.client.jobs import Jobs, Status

TAIL_LINES = 20
TAIL_BYTES = 16 * 1024


class Watcher:
    """Watches one job. `told` is whether its first error has been shown."""

    def __init__(self, mine: Jobs, job: str) -> None:
        self.mine = mine
        self.job = job
        self.told = False
        self._waiting: set[str] = set()  # sentences that were shown
        self._meter = Meter()
        self._done_at_start: int | None = None

    def run(self) -> Status:
        """Wait until the job is done; its last status. Exits with 130 on Ctrl-C."""
        try:
            with self._meter:
                return self.mine.wait(self.job, self._see)
        except KeyboardInterrupt:
            note(f"\nstopped watching; job {self.job} goes on")
            note(f"to watch it again: mjob watch {self.job}\nto end it:         mjob cancel {self.job}")
            sys.exit(INTERRUPTED)

    def _see(self, status: Status) -> None:
        stats = status["stats"]
        if stats.get("errors") and not self.told:
            self._meter.wipe()
            self.told = tell_first_error(self.mine, self.job)
        self._tell_waiting(status)
        if self._meter.due():
            self._meter.show(self._line(status))

    def _tell_waiting(self, status: Status) -> None:
        """Say once why a phase waits."""
        for each in status.get("waiting") or ():
            if (sentence := f"phase {each['phase']} waits: {each['reason']}") not in self._waiting:
                self._waiting.add(sentence)
                self._meter.wipe()
                note(sentence)

    def _line(self, status: Status) -> str:
        """`running  120/400 tasks  85/s  2 errors  3 outputs`"""
        stats = status["stats"]
        done, tasks = int(stats.get("tasksDone", 0)), int(stats.get("tasks", 0))
        if self._done_at_start is None:
            self._done_at_start = done
        rate = (done - self._done_at_start) / self._meter.seconds
        more = "" if status["inputDone"] else ", more may come"
        errors = f"  {count(int(stats['errors']), 'error')}" if stats.get("errors") else ""
        outputs = f"  {count(int(stats['outputs']), 'output')}" if stats.get("outputs") else ""
        return f"{status['state']}  {done}/{tasks} tasks{more}  {rate:.0f}/s{errors}{outputs}"


def tell_first_error(mine: Jobs, job: str) -> bool:
    """Show a job's first error: code, message, task, and the end of its stderr. False if there is none yet."""
    record = mine.first_error(job)
    if record is None:
        return False
    note(f"{record.get('code')}: {record.get('message')}")
    if record.get("what"):
        note(f"  in {record['what']}")
    if record.get("stderr"):
        tell_stderr(mine, str(record["stderr"]))
    return True


def tell_stderr(mine: Jobs, path: str) -> None:
    lines = stderr_tail(mine, path)
    if lines:
        note(f"  its stderr ends with (all of it: mget {path})")
        for line in lines:
            note(f"    {line}")


def stderr_tail(mine: Jobs, path: str) -> list[str]:
    """The last lines of a saved stderr; none if it is empty or gone."""
    try:
        reply = mine.session.call("GET", path, headers={"range": f"bytes=-{TAIL_BYTES}"})
    except Problem:
        return []
    return reply.content[-TAIL_BYTES:].decode("utf-8", "backslashreplace").splitlines()[-TAIL_LINES:]


def error_message(job: str, status: dict[str, Any]) -> str:
    """The sentence for a job that ended with errors."""
    return f"job {job} had {count(int(status['stats']['errors']), 'error')}"
