"""The events of Nomad: which of its jobs and nodes have changed and must be read again.

The event stream keeps a hundred entries, of all clients' changes; after an index that has left it
the stream starts later without an error, and a server that was restored starts earlier. So an event
gives no more than a name: that job, or the nodes, must be read again. Missed events are made good
by reading everything, whenever a stream was opened anew, or its index went back.

Example: the stream breaks and is opened again: `everything`. An allocation of `remora.5f0c91aa.…`
runs: `jobs` has its id, and reading the job shows that it runs.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from scheduler.common.backoff import Backoff
from scheduler.nomad.api import NomadApi, NomadError
from scheduler.nomad.job_documents import PREFIX

TOPICS = ("Job", "Allocation", "Evaluation", "Node")
PAUSES = (0.5, 15.0)  # seconds, at first and at most
log = logging.getLogger("remora.supervisor")


@dataclass(slots=True)
class News:
    """The names that must be read again. The reader takes and clears them (`take`)."""

    everything: bool = True
    nodes: bool = True
    jobs: set[str] = field(default_factory=set)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def all(self) -> None:
        self.everything = self.nodes = True
        self.changed.set()

    def add(self, event: Mapping[str, Any]) -> None:
        """Note the name that an event is about."""
        topic = event.get("Topic")
        if topic == "Node":
            self.nodes = True
            self.changed.set()
            return
        told = (event.get("Payload") or {}).get(topic) or {}
        job = event.get("Key") if topic == "Job" else told.get("JobID")
        if isinstance(job, str) and job.startswith(PREFIX):
            self.jobs.add(job)
            self.changed.set()

    def take(self) -> News:
        """The collected names; the collection is empty afterwards."""
        taken = News(self.everything, self.nodes, self.jobs, self.changed)
        self.everything, self.nodes, self.jobs = False, False, set()
        self.changed.clear()
        return taken


class Watch:
    """Keeps a stream open, and adds the names of its events to `news`."""

    def __init__(self, api: NomadApi, news: News, pause: float = PAUSES[0]) -> None:
        self.live = False  # a stream is open
        self._api = api
        self._news = news
        self._backoff = Backoff(pause, PAUSES[1])

    async def run(self) -> None:
        """Run until cancelled."""
        index = 0
        while True:
            try:
                async for frame in self._api.events(TOPICS, index + 1 if index else 0):
                    if not self.live:
                        self.live = True
                        self._backoff.reset()
                        self._news.all()
                    index = self._note(frame, index)
            except NomadError as error:
                log.warning(
                    "the stream of Nomad's events has ended", extra={"why": str(error), "pause": self._backoff.pause}
                )
            finally:
                self.live = False
            await asyncio.sleep(self._backoff.next())

    def _note(self, frame: Mapping[str, Any], index: int) -> int:
        """Note the events of a frame; returns the index after it."""
        now = frame.get("Index")
        if not isinstance(now, int):
            return index
        if now < index:
            log.warning("the index of Nomad's events went back: everything is read again", extra={"index": now})
            self._news.all()
        for event in frame.get("Events") or []:
            self._news.add(event)
        return now
