"""A fake Nomad in a thread, for tests that wait themselves."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any

from tests.support.nomad.fake_nomad import FakeNomad
from tests.support.nomad.fake_scheduler import Node


@contextlib.contextmanager
def in_thread(*nodes: Node, run: bool = True) -> Iterator[Remote]:
    """A fake Nomad on a loop of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="fake-nomad")
    thread.start()
    remote = Remote(FakeNomad(*nodes, run=run), loop)
    try:
        remote.wait(remote.nomad.__aenter__())
        yield remote
    finally:
        remote.wait(remote.nomad.__aexit__())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@dataclass
class Remote:
    nomad: FakeNomad
    loop: asyncio.AbstractEventLoop

    def wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def call(self, work: Callable[[FakeNomad], Any]) -> Any:
        """Do something on its loop."""

        async def run() -> Any:
            return work(self.nomad)

        return self.wait(run())
