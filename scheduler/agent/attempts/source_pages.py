"""The pages of sources that the supervisor sends for one attempt: which sources were received, and whether more come.

Pages may come twice, since a reply that was lost is given again; sources are numbered in their order. What becomes of
the sources is up to the input that reads them (`reducer_input`, `handed_input`): it says how many more it takes.

Example: pages [1, 2] and [2, 3], the second with `end`: the input gets 1, 2, 3, and no state is told any more.
"""

from __future__ import annotations

from collections.abc import Iterator

from scheduler.model.wire import FeedPage, FeedSource, FeedState, TaskLease


class SourcePages:
    """The pages of one attempt. An input that needs no more sources is `stopped`."""

    def __init__(self, lease: TaskLease) -> None:
        self._lease = lease
        self._after = 0
        self.ended = False
        self.stopped = False

    def accept(self, page: FeedPage) -> Iterator[FeedSource]:
        """The sources of a page that were not received before. Once all were taken, `ended` may have become true."""
        if self.ended:
            return
        for source in page.sources:
            if source.seq > self._after:
                self._after = source.seq
                yield source
        self.ended = page.end

    def state(self, room: int) -> FeedState | None:
        """The state for the supervisor; None once all sources are known or no more are wanted."""
        if self.ended or self.stopped:
            return None
        return FeedState.model_construct(
            task=self._lease.task, attempt=self._lease.attempt, after=self._after, room=room
        )
