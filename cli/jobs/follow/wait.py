"""Wait for a job as a person would: see it move, hear of the first error at once.

On a terminal a line shows tasks and rates. The first error is told when it happens, with the
end of what the task said on stderr, because that is nearly always the whole story. Ctrl-C stops
the watching, never the job; a restart of the service stops neither.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from cli.client.problem import Problem, Refused
from cli.client.transport.patience import Patience
from cli.frame import note
from cli.jobs.follow import operation_line
from cli.jobs.follow.eta import Pace, shown
from cli.jobs.follow.interruption import WATCHING, telling_of
from cli.meter import Meter
from cli.text import count

if TYPE_CHECKING:
    from cli.client.jobs import Jobs, Status

PHASES_SECONDS = 1.0
TAIL_LINES = 20
SILENT = "command exited with code 1"  # if nothing is on stderr, it was probably no failure
NO_INTERPRETER = re.compile("cannot execute: required file not found$|bad interpreter: ")
TAIL_BYTES = 16 * 1024


class Watcher:
    """Watches one job, and cancels it after `halt` errors. `told` is whether its first error has been shown."""

    def __init__(self, mine: Jobs, job: str, halt: int | None = None, show: bool | None = None) -> None:
        self.mine = mine
        self.job = job
        self.halt = halt
        self.told = False
        self._waiting: set[str] = set()  # sentences that were shown
        self._meter = Meter(show=show)
        self._done_at_start: int | None = None
        self._pace = Pace()
        self._by_phase: list[dict[str, Any]] = []
        self._asked_phases = 0.0

    def run(self) -> Status:
        """Wait until the job is done; its last status. Whatever ends the wait says how to go on (see `leaving`)."""
        self.mine.session.patience = Patience(self._say)
        with telling_of(self.job, WATCHING), self._meter:
            return self.mine.wait(self.job, self._see)

    def _say(self, sentence: str) -> None:
        self._meter.wipe()
        note(sentence)

    def _see(self, status: Status) -> None:
        stats = status["stats"]
        if stats.get("errors") and not self.told:
            self._meter.wipe()
            self.told = tell_first_error(self.mine, self.job)
        self._tell_waiting(status)
        if self.halt and int(stats.get("errors", 0)) >= self.halt and status["state"] != "done":
            self._cancel(int(stats["errors"]))
        if self._meter.due():
            self._meter.show(self._line(status))

    def _tell_waiting(self, status: Status) -> None:
        """Say once why a phase waits."""
        for each in status.get("waiting") or ():
            if (sentence := f"phase {each['phase']} waits: {each['reason']}") not in self._waiting:
                self._waiting.add(sentence)
                self._say(sentence)

    def _cancel(self, errors: int) -> None:
        """End the job, once. It may have ended by itself meanwhile."""
        self.halt = None
        self._say(f"{count(errors, 'error')}: cancelling the job")
        with suppress(Refused):
            self.mine.cancel(self.job)

    def _line(self, status: Status) -> str:
        """`running  120/400 tasks (map 100, reduce 20)  85/s  ETA 3s-5s  2 errors  3 outputs`"""
        if status.get("progress"):
            return operation_line.line(status)
        stats = status["stats"]
        done, tasks = int(stats.get("tasksDone", 0)), int(stats.get("tasks", 0))
        if self._done_at_start is None:
            self._done_at_start = done
        rate = (done - self._done_at_start) / self._meter.seconds
        self._pace.saw(self._meter.seconds, done)
        bounds = self._pace.bounds(tasks - done) if status["inputDone"] and tasks > done else None
        eta = f"  {shown(bounds, phases=len(status['phases']))}" if bounds else ""
        more = self._phases(status) + ("" if status["inputDone"] else ", more may come")
        errors = f"  {count(int(stats['errors']), 'error')}" if stats.get("errors") else ""
        outputs = f"  {count(int(stats['outputs']), 'output')}" if stats.get("outputs") else ""
        return f"{status['state']}  {done}/{tasks} tasks{more}  {rate:.0f}/s{eta}{errors}{outputs}"

    def _phases(self, status: Status) -> str:
        """` (map 100, reduce 20)`: how many tasks of each phase have ended, asked for once a second."""
        if len(status["phases"]) < 2:
            return ""
        if self._meter.seconds - self._asked_phases > PHASES_SECONDS:
            self._asked_phases = self._meter.seconds
            self._by_phase = self.mine.usage(self.job)["phases"]
        ended = ", ".join(f"{phase['type']} {phase['tasks']}" for phase in self._by_phase)
        return f" ({ended})" if ended else ""


def tell_first_error(mine: Jobs, job: str) -> bool:
    """Show a job's first error: code, message, task, and the end of its stderr. False if there is none yet."""
    record = mine.first_error(job)
    if record is None:
        return False
    note(f"{record.get('code')}: {record.get('message')}")
    if record.get("what"):
        note(f"  in {record['what']}")
    path = str(record.get("stderr") or "")
    lines = stderr_tail(mine, path) if path else []
    if lines:
        note(f"  its stderr ends with (all of it: mget {path})")
    for line in lines:
        note(f"    {line}")
    if any(NO_INTERPRETER.search(line) for line in lines):
        note("  what a script names after #! is not there (a script from Windows has a \\r at the end of that line)")
    if not lines and str(record.get("message")).endswith(SILENT):
        note("  its stderr is empty: grep and diff exit with 1 when they find nothing (add `|| true` to go on)")
    return True


def stderr_tail(mine: Jobs, path: str) -> list[str]:
    """The last lines of a saved stderr; none if it is empty or gone."""
    try:
        reply = mine.session.call("GET", path, headers={"range": f"bytes=-{TAIL_BYTES}"})
    except Problem:
        return []
    return reply.content[-TAIL_BYTES:].decode("utf-8", "backslashreplace").splitlines()[-TAIL_LINES:]
