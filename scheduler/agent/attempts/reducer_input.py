"""The input of one attempt that is fed: pages of sources in, a full pipe out.

The supervisor sends sources in pages (`source_pages`), as many as the agent has asked for; the feed
takes them one after another. A source may be a range of an object: then it gives the
lines that begin in the range; or one partition of a shuffle file. The feed finds where these are,
in its thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from datapath.feed import Event, Feed, SourceLost
from datapath.slices import END, LineTooLongError
from scheduler.agent.attempts.source_pages import SourcePages
from scheduler.agent.blobs.feed_sources import Sources
from scheduler.agent.blobs.stores import Stores
from scheduler.model.wire import BlobRef, FeedPage, FeedSource, FeedState, TaskLease


class Lost(NamedTuple):
    """The loss of an attempt's input: the blob that is gone, if it is one, and the reason.

    `line`: the input is there, but has a line that is too long to be given to a task.
    """

    blob: BlobRef | None
    why: str
    line: str | None = None


class ReducerInput:
    """The writing end of the pipe that is a task's stdin, and the feed into it.

    `changed` is called on the event loop whenever the state should be reported; `lost` when a source is gone, so that
    the attempt cannot succeed, and always before the reducer can see the end of its input.
    """

    def __init__(
        self,
        lease: TaskLease,
        stores: Stores,
        pipe: int,
        changed: Callable[[], None],
        lost: Callable[[Lost], None],
        ends_lines: bool = False,
        line_end: bytes = END,
        bounds_lines: bool = False,
    ) -> None:
        self._pages = SourcePages(lease)
        self._changed = changed
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._sources = sources = Sources(stores, line_end, bounds_lines)
        self._feed: Feed[FeedSource] = Feed(
            pipe,
            sources.open,
            self._on_event,
            open_ahead=sources.open_ahead,
            pieces=sources.pieces,
            ends_lines=line_end if ends_lines else None,
        )
        if lease.feed is not None:
            self.accept(lease.feed)

    @property
    def moved(self) -> int:
        """Bytes fed so far."""
        return self._feed.moved

    def accept(self, page: FeedPage) -> None:
        """Queue the sources of a page; those that were received before are skipped."""
        for source in self._pages.accept(page):
            if not self._feed.room:
                self._fail(Lost(None, "the supervisor sent more sources than there was room for"))
                return
            self._feed.append(source, source.blob.size if source.length is None else max(1, source.length))
        if self._pages.ended:
            self._feed.end()

    def state(self) -> FeedState | None:
        """The feed's state for the supervisor; None once all sources are known or no more are wanted."""
        return self._pages.state(self._feed.room)

    def close(self) -> None:
        """End the feed: the reducer has ended, whatever it has read."""
        self._pages.stopped = True
        self._feed.close()
        self._sources.close()

    def _on_event(self, event: Event[FeedSource]) -> None:
        """Handle an event of the feed. In the feed's thread."""
        if isinstance(event, SourceLost):
            source = event.source
            line = f'"{source.name}": {event.error}' if isinstance(event.error, LineTooLongError) else None
            lost = Lost(source.blob, f"blob {source.blob.id}: {event.error}", line)
            self._loop.call_soon_threadsafe(self._fail, lost)
        else:
            self._loop.call_soon_threadsafe(self._changed)

    def _fail(self, lost: Lost) -> None:
        self._pages.stopped = True
        self._lost(lost)
