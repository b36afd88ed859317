"""Announcements reach the other process once, and none comes back."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from scheduler.records.listeners import Listeners
from scheduler.service.workers import relay
from scheduler.service.workers.relay import Relay, relaying
from tests.support.eventually import eventually


class Process:
    """A process as a relay sees its database; `heard` is what a listener of it was told."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self._listeners = Listeners()
        self._listeners.add(self.heard.append)

    def listen(self, callback):
        return self._listeners.add(callback)

    def tell(self, subject, but):
        self._listeners.tell([subject], but)

    def announce(self, *subjects: str) -> None:
        self._listeners.tell(subjects)


@asynccontextmanager
async def linked(one: Process, other: Process) -> AsyncIterator[tuple[Relay, Relay]]:
    ends = [await asyncio.open_connection(sock=end) for end in socket.socketpair()]
    async with relaying(one, *ends[0]) as first, relaying(other, *ends[1]) as second:
        yield first, second


async def test_each_hears_the_other_once() -> None:
    one, other = Process(), Process()
    async with linked(one, other):
        await asyncio.sleep(0)
        one.announce("job 1", "jobs")
        await eventually(lambda: len(other.heard) == 2, "they have come")
        other.announce("news 1")
        await eventually(lambda: "news 1" in one.heard, "it has come")
        one.announce("job 2")
        await eventually(lambda: "job 2" in other.heard, "it has come")
    assert (one.heard, other.heard) == (["job 1", "jobs", "news 1", "job 2"], ["job 1", "jobs", "news 1", "job 2"])


async def test_what_comes_from_one_worker_goes_to_the_others() -> None:
    service, first, second = Process(), Process(), Process()
    async with linked(service, first), linked(service, second):
        await asyncio.sleep(0)
        first.announce("job 7")
        await eventually(lambda: second.heard == ["job 7"], "it has come")
        assert (service.heard, first.heard) == (["job 7"], ["job 7"])


async def test_a_process_that_does_not_read_is_told_to_look_at_everything(monkeypatch) -> None:
    monkeypatch.setattr(relay, "MOST_WAITING", 100)
    one, other = Process(), Process()
    ours, theirs = socket.socketpair()
    async with relaying(one, *await asyncio.open_connection(sock=ours)):
        await asyncio.sleep(0)
        for number in range(100_000):
            one.announce(f"job {number}")
            if number % 1000 == 0:
                await asyncio.sleep(0)
        async with relaying(other, *await asyncio.open_connection(sock=theirs)):
            await eventually(lambda: "*" in other.heard, "it is told")
    assert len(other.heard) < 100_000


async def test_the_end_of_one_process_is_told_to_the_other() -> None:
    one, other = Process(), Process()
    async with linked(one, other) as (first, second):
        second._writer.close()
        await asyncio.wait_for(first.ended.wait(), 30)
