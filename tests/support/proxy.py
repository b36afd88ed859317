"""A wire that can be cut: what is sent into it arrives nowhere, and nobody is told, until it is mended."""

from __future__ import annotations

import asyncio
import contextlib


class Proxy:
    """Carries connections to a port. While it is cut it takes bytes and new connections, and keeps both to itself.

    `held` counts the connections and pieces of bytes that came while it was cut.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._whole = asyncio.Event()
        self._whole.set()
        self.held = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        self._whole.clear()

    def mend(self) -> None:
        """What was under way arrives now."""
        self._whole.set()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await self._pass()
            onward, outward = await asyncio.open_connection("127.0.0.1", self._port)
            try:
                await asyncio.gather(self._pump(reader, outward), self._pump(onward, writer))
            finally:
                outward.close()
        writer.close()

    async def _pass(self) -> None:
        self.held += not self._whole.is_set()
        await self._whole.wait()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                await self._pass()
                writer.write(data)
                await writer.drain()
        await self._whole.wait()
        writer.close()
