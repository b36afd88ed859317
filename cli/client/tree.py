"""Walk a tree of directories, many listings at once.

Threads take directories from one shared stack and put the directories that they find back.
A stack, not a queue: going deep first keeps it short, since a wide tree's leaves are finished
before the next branch is opened. The walk is over when the stack is empty and no thread lists.
Results pass through a bounded queue, so a slow reader slows the walk instead of filling memory.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cli.client import objects
from cli.client.objects import Entry
from cli.client.problem import Problem
from cli.client.session import Session

RESULTS = 4096


@dataclass(frozen=True, slots=True)
class Found:
    """One entry of the walk. Children of the starting directory have depth 0."""

    path: str
    parent: str
    depth: int
    entry: Entry


class Walk:
    """A walk below `root`. Iterate `results()`; `close()` stops it early.

    A listing that fails ends it; if there is a `failed`, it is told of the directory instead, and the walk goes on.
    """

    def __init__(
        self,
        session: Session,
        root: str,
        parallel: int,
        max_depth: int | None = None,
        failed: Callable[[str, Problem], None] | None = None,
    ) -> None:
        self._session = session
        self._max_depth = max_depth
        self._failed = failed
        self._todo = [(root, 0)]
        self._listing = 0
        self._turn = threading.Condition()
        self._results: queue.Queue[Found | Problem | None] = queue.Queue(RESULTS)
        self._closed = False
        self._parallel = max(1, parallel)
        self.threads: list[threading.Thread] = []

    def results(self) -> Iterator[Found]:
        """What is found, a directory before what is in it. Raises the first `Problem` of any listing."""
        self.threads = [threading.Thread(target=self._work, daemon=True) for _ in range(self._parallel)]
        for thread in self.threads:
            thread.start()
        running = self._parallel
        try:
            while running:
                item = self._results.get()
                if item is None:
                    running -= 1
                elif isinstance(item, Problem):
                    raise item
                else:
                    yield item
        finally:
            self.close()

    def close(self) -> None:
        """Stop all threads: those that wait to hand in a result are let through."""
        with self._turn:
            self._closed = True
            self._turn.notify_all()
        while any(thread.is_alive() for thread in self.threads):
            try:
                self._results.get(timeout=0.05)
            except queue.Empty:
                continue

    def _work(self) -> None:
        while (directory := self._next()) is not None:
            try:
                self._list(*directory)
            except Problem as error:
                if self._failed:
                    self._failed(directory[0], error)
                else:
                    self._results.put(error)
            finally:
                with self._turn:
                    self._listing -= 1
                    self._turn.notify_all()
        self._results.put(None)

    def _next(self) -> tuple[str, int] | None:
        """The next directory to list; None when the walk is over."""
        with self._turn:
            self._turn.wait_for(lambda: self._closed or self._todo or not self._listing)
            if self._closed or not self._todo:
                return None
            self._listing += 1
            return self._todo.pop()

    def _list(self, directory: str, depth: int) -> None:
        deeper = self._max_depth is None or depth + 1 < self._max_depth
        for entry in objects.entries(self._session, directory):
            if self._closed:
                return
            path = objects.join(directory, entry)
            self._results.put(Found(path, directory, depth, entry))
            if entry["type"] == "directory" and deeper:
                with self._turn:
                    self._todo.append((path, depth + 1))
                    self._turn.notify()
