"""The removal of intermediates that an earlier start of this node's agent has left.

Some are still needed: their tasks wait, and read them from here as if nothing had happened. Others
were consumed while the agent was down and could not be told, or were made by attempts that were
never reported. Only the records know. So, once a supervisor has registered us, we ask about all
files that are older than this start, a page at a time, and remove those that the records do not know.

All supervisors read the same records, so one of them is asked.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from itertools import islice

from scheduler.model.wire import MAX_SWEEP
from scheduler.objects.blobs import BlobStore


class Leftovers:
    """The leftovers in one store. `began`: ms since the epoch; younger files are of this start."""

    def __init__(self, blobs: BlobStore, began: int | None = None) -> None:
        self._blobs = blobs
        self._began = time.time_ns() // 1_000_000 if began is None else began
        self._asking = asyncio.Lock()
        self._done = False

    async def sweep(self, unknown: Callable[[list[str]], Awaitable[list[str]]]) -> int | None:
        """Remove what `unknown` returns; returns how many, and None on every later call.

        Raises what `unknown` raises.
        """
        async with self._asking:
            if self._done:
                return None
            removed = 0
            files = self._blobs.older_than(self._began)
            while page := await asyncio.to_thread(lambda: list(islice(files, MAX_SWEEP))):
                # A reply can only name files of the page that was asked about.
                gone = set(await unknown(page)).intersection(page)
                await asyncio.to_thread(self._blobs.discard, gone)
                removed += len(gone)
            await asyncio.to_thread(self._blobs.discard_unfinished, self._began)
            self._done = True
            return removed
