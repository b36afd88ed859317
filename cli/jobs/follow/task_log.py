"""What tasks print, shown as it comes: the logs of running tasks, and what is kept of those that have ended.

A task has two logs, stdout and stderr. While it runs they are read page by page from where the last page ended. An
attempt that is lost, or fails and is tried again, takes its logs with it: the next attempt begins anew, under a new
heading. Once a task has ended, the rest is read from what it left: its stdout is an object if the job keeps it (of the
last phase, and of tasks that failed), its stderr only if it failed.

Example: attempt 1 had printed 100 bytes, of which all were shown, and fails; attempt 2 prints 300 and ends well. Shown
are the 100, a heading, and 300: those that were read while it ran, and the others from the object.
"""

from __future__ import annotations

import codecs
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cli.client.problem import Refused
from cli.jobs.tasks import input_of
from cli.text import escape
from scheduler.model import naming

if TYPE_CHECKING:
    from cli.client.jobs import Jobs

Task = dict[str, Any]
STREAMS = ("stdout", "stderr")
NAMES = {"stdout": naming.stdout_name, "stderr": naming.stderr_name}
OVER = ("done", "failed", "cancelled")
NOT_RUNNING, NOT_FOUND, NOTHING_THERE = 409, 404, 416


class Screen:
    """Standard output, where a heading says whose log follows whenever that changes."""

    def __init__(self) -> None:
        self._heading = ""
        self._terminal = sys.stdout.isatty()
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self._within = False

    def head(self, heading: str) -> None:
        """Begin another log, on a line of its own."""
        if heading == self._heading:
            return
        self.end()
        self._heading = heading
        print(f"==> {escape(heading)} <==", flush=True)

    def write(self, data: bytes) -> None:
        """Show a piece as it is; on a terminal without what a terminal would obey."""
        if self._terminal:
            sys.stdout.write(self._decoder.decode(data))
        else:
            sys.stdout.buffer.write(data)
        sys.stdout.flush()
        self._within = not data.endswith(b"\n")

    def end(self) -> None:
        """End the last line of the log that is shown."""
        if self._within:
            self.write(self._decoder.decode(b"", final=True).encode() + b"\n")
        self._heading, self._within = "", False


class TaskLog:
    """The logs of one task, as far as they were shown: the attempt, and of each stream how many bytes."""

    def __init__(self, mine: Jobs, job: str, task: Task, streams: Sequence[str], screen: Screen) -> None:
        self.mine, self.job, self.task = mine, job, task
        self._streams = streams
        self._screen = screen
        self._attempt = 0
        self._offsets = dict.fromkeys(streams, 0)

    @property
    def over(self) -> bool:
        return self.task["state"] in OVER

    def show(self) -> bool:
        """Show what is new; whether anything was. Raises `Refused`."""
        try:
            shown = [self._show_running(stream) for stream in self._streams]
            return any(shown)
        except Refused as refused:
            if refused.status != NOT_RUNNING:
                raise
        self.task = next(self.mine.tasks(self.job, number=str(self.task["number"])))
        return self.show_rest() if self.over else False

    def _show_running(self, stream: str) -> bool:
        shown = False
        while True:
            page = self.mine.log(self.job, self.task["number"], stream, self._attempt, self._offsets[stream])
            self._now(page.attempt)
            self._offsets[stream] = page.following
            if not page.data:
                return shown
            self._show(stream, page.data)
            shown = True

    def _now(self, attempt: int) -> None:
        """Another attempt's log begins at its first byte."""
        if attempt != self._attempt:
            self._attempt, self._offsets = attempt, dict.fromkeys(self._streams, 0)

    def _show(self, stream: str, data: bytes) -> None:
        number = str(self.task["taskId"])[:8]
        self._screen.head(f"task {number} ({input_of(self.task)}), attempt {self._attempt}: {stream}")
        self._screen.write(data)

    def show_rest(self) -> bool:
        """Show what a task that has ended has left, but for what was shown."""
        self._now(self.task["attempts"])
        shown = [self._show_kept(stream) for stream in self._streams]
        return any(shown)

    def _show_kept(self, stream: str) -> bool:
        shown = False
        for piece in kept(self.mine, object_name(self.mine, self.job, self.task, stream), self._offsets[stream]):
            self._show(stream, piece)
            self._offsets[stream] += len(piece)
            shown = True
        return shown


def object_name(mine: Jobs, job: str, task: Mapping[str, Any], stream: str) -> str:
    """The object that has the log of a task once that has ended, if any has."""
    base = naming.base_of(mine.account, job, task.get("input"), task.get("p0input"))
    return NAMES[stream](mine.account, job, base, int(task["phaseNum"]), str(task["taskId"]))


def kept(mine: Jobs, path: str, offset: int) -> Iterator[bytes]:
    """The bytes of an object from one on; none if there is no such object, or no more of it. Raises `Problem`."""
    headers = {"range": f"bytes={offset}-"} if offset else {}
    try:
        with mine.session.stream("GET", path, headers=headers) as reply:
            yield from reply.iter_raw()
    except Refused as refused:
        if refused.status not in (NOT_FOUND, NOTHING_THERE):
            raise
