"""One bulk run: its threads, its counts, and what the user is told.

The producer submits acts, and waits while workers have more than enough of them, so memory holds a few names, never
all. An act returns what became of its name (`Done`) or raises a `Problem` or an `OSError`, which is a failure of this
name; one for many names tells of each of them itself. What would fail for every other name as well stops the run: no
further act is begun.

Ctrl-C stops it too. Transfers that are under way end at their next chunk, nothing half is left under a name of its
own, and the last line says how many are done.
"""

from __future__ import annotations

import errno
import queue
import re
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Self

import click
from click.globals import push_context

from cli import text
from cli.client.problem import Problem, Refused
from cli.frame import FAILED, note
from cli.meter import Meter
from scheduler.model import names

AHEAD = 4  # acts that wait, per worker
SURROGATE = re.compile("[\ud800-\udfff]")
FATAL_STATUS = (401, 507)  # no such key; no space
FATAL_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


@dataclass(frozen=True, slots=True)
class Done:
    """What became of one name: an action of `SAID`, its path of the service, and its file here if there is one."""

    action: str
    path: str
    file: str = ""
    size: int = 0


# None: what it was about has been told, or is still to be done.
Act = Callable[[], Done | None]

# What the summary says of so many names; the last of these are said only if there are any.
SAID: Mapping[str, str] = {
    "stored": "stored",
    "fetched": "fetched",
    "copied": "copied",
    "moved": "moved",
    "removed": "removed",
    "same": "there already",
    "planned": "to be done",
    "left out": "left out",
    "failed": "failed",
}


class StoppedError(Exception):
    """The run is over, and this transfer with it."""


class Run:
    """A bulk run of the command `program`. Use as a context manager; at its end all is done, or it was stopped.

    `told` is called with each name that did not fail.
    """

    def __init__(
        self, program: str, parallel: int, *, quiet: bool = False, as_json: bool = False, progress: bool = False,
        told: Callable[[Done], None] = lambda _: None,
    ) -> None:  # fmt: skip
        self.counts: Counter[str] = Counter()
        self.bytes = 0
        self._program = program
        self._quiet = quiet
        self._json = as_json
        self._told = told
        self._meter = Meter(show=True if progress else False if quiet else None)
        self._acts: queue.Queue[Callable[[], None] | None] = queue.Queue(parallel * AHEAD)
        self._telling = threading.RLock()
        self._fatal = False
        self._stopped = False
        self._broken: Exception | None = None
        self._context = click.get_current_context()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(parallel)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, _value: object, _trace: TracebackType | None) -> bool:
        if kind:
            self._stopped = True
        try:
            self._end_threads()
        except KeyboardInterrupt:
            self._stopped = True
            kind = KeyboardInterrupt
            self.wait()  # what is under way is told too
            raise
        finally:
            with self._telling:
                self._meter.wipe()
                self._summarize(interrupted=kind is KeyboardInterrupt)
        return kind is StoppedError  # the sentence that says why has been said

    def _end_threads(self) -> None:
        for _ in self._threads:
            self._acts.put(None)
        self.wait()  # not by joining them: Python 3.11 takes a thread for ended if Ctrl-C interrupts its join
        if self._broken:
            raise self._broken

    def submit(self, act: Act, path: str, file: str = "") -> None:
        """Have `act` done for this name. Raises `StoppedError` once the run is over."""
        self.submit_many(partial(self.do, act, path, file))

    def submit_many(self, act: Callable[[], None]) -> None:
        """Have `act` done, which is about many names, and tells of each by `do`."""
        self.check()
        self._acts.put(act)

    def wait(self) -> None:
        """Wait until all that was submitted is done."""
        self._acts.join()

    def check(self) -> None:
        if self._stopped:
            raise StoppedError

    def moved(self, count: int) -> None:
        """Bytes have moved: the meter shows it. Raises `StoppedError` once the run is over."""
        self.check()
        self.bytes += count  # of the meter only: an addition that is lost between threads harms nothing
        self._show()

    def _work(self) -> None:
        push_context(self._context)  # which click keeps by thread
        while act := self._acts.get():
            try:
                if not self._stopped:
                    act()
            except Exception as error:  # no reader of stdout, or a fault of ours: the main thread raises it
                self._broken, self._stopped = error, True
            finally:
                self._acts.task_done()
        self._acts.task_done()

    def do(self, act: Act, path: str, file: str) -> None:
        """Do an act in this thread, and tell what became of its name."""
        try:
            done = act()
        except StoppedError:
            return
        except (Problem, OSError) as error:
            self.fail(path, error, file)
        else:
            if done:
                self.report(done)

    def report(self, done: Done) -> None:
        with self._telling:
            self.counts[done.action] += 1
            self._told(done)
            if self._json:
                print(json_line(done))
            self._show()

    def fail(self, path: str, error: Problem | OSError, file: str = "") -> None:
        """Count a failure and say it."""
        sentence = said(error, path)
        with self._telling:
            if self._fatal:
                return
            if is_fatal(error):
                self._fatal = self._stopped = True
            self.counts["failed"] += 1
            if self._json:
                print(json_line(Done("failed", path, file), sentence))
            self._note(sentence)

    def leave_out(self, path: str, file: str, why: str) -> None:
        """Say that a file of this machine is left out, which is no failure."""
        with self._telling:
            self.report(Done("left out", path, file))
            self._note(f"{text.escape(file)} left out: {why}")

    def show_plan(self, verb: str, name: str) -> None:
        """Print what would be done with a name; in JSON it is an action like others."""
        if not self._json:
            with self._telling:
                print(f"{verb} {text.escape(name)}")

    def _note(self, sentence: str) -> None:
        self._meter.wipe()
        note(f"{self._program}: {sentence}")

    def _show(self) -> None:
        if self._meter.due():
            with self._telling:
                done = sum(self.counts.values())
                rate = f"{done / self._meter.seconds:.0f}/s"
                failed = f"  {self.counts['failed']} failed" if self.counts["failed"] else ""
                self._meter.show(f"{text.count(done, 'file')}  {text.human_size(self.bytes)}  {rate}{failed}")

    def _summarize(self, *, interrupted: bool) -> None:
        parts = [f"{self.counts[action]} {words}" for action, words in SAID.items() if self.counts[action]]
        told = ", ".join(parts) or "nothing to do"
        if interrupted or self._fatal:
            note(f"{self._program}: stopped: {told}; the same command goes on with the rest")
        elif not self._quiet:
            note(f"{self._program}: {told}")

    def end(self) -> None:
        """The exit status of the command."""
        if self.counts["failed"]:
            self._context.exit(FAILED)


def json_line(done: Done, error: str = "") -> str:
    """A record; bytes of a local name that are no UTF-8 are lone surrogates, as Python's `os.fsdecode` has them."""
    more = {**({"file": done.file} if done.file else {}), "size": done.size, **({"error": error} if error else {})}
    line = text.compact({"action": done.action, "path": done.path, **more})
    return SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", line)


def said(error: Problem | OSError, path: str) -> str:
    """A failure as one sentence that has the name in it."""
    if isinstance(error, OSError):
        where = text.escape(str(error.filename)) if error.filename else names.as_line(path)
        return f"{where}: {error.strerror or error}"
    line = names.as_line(path)
    return str(error) if text.printable(line) in text.printable(str(error)) else f"{line}: {error}"


def is_fatal(error: Problem | OSError) -> bool:
    if isinstance(error, OSError):
        return error.errno in FATAL_ERRORS
    return error.name == "ConnectError" or (isinstance(error, Refused) and error.status in FATAL_STATUS)
