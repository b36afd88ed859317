"""The processes of workers: forked at the service's start, told what to serve, and ended with it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from scheduler.records.database import Database
from scheduler.service.workers.relay import relaying

log = logging.getLogger("remora.service")


@dataclass(frozen=True, slots=True)
class Start:
    """What a worker is told when the service is ready for it: the shared port, and the service's secrets."""

    port: int
    token_secret: str
    agent_secret: str


@dataclass(frozen=True, slots=True)
class Fork:
    """One worker as the service sees it."""

    pid: int
    socket: socket.socket


Serve = Callable[[Start, asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


@contextlib.contextmanager
def forked(count: int, serve: Serve) -> Iterator[Sequence[Fork]]:
    """Fork `count` workers, each of which runs `serve` once it is told to; they are waited for at the end.

    To be called while this process has one thread.
    """
    forks: list[Fork] = []
    try:
        for _ in range(count):
            ours, theirs = socket.socketpair()
            pid = os.fork()
            if pid == 0:
                ours.close()
                for fork in forks:
                    fork.socket.close()
                _become(theirs, serve)
            theirs.close()
            forks.append(Fork(pid, ours))
        yield forks
    finally:
        for fork in forks:
            fork.socket.close()
        for fork in forks:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(fork.pid, 0)


def _become(end: socket.socket, serve: Serve) -> None:
    """Be a worker until the service ends; does not return."""
    status = 1
    try:
        asyncio.run(_work(end, serve))
        status = 0
    except BaseException as error:
        log.error("a worker cannot serve", extra={"why": str(error)})
    finally:
        os._exit(status)


async def _work(end: socket.socket, serve: Serve) -> None:
    reader, writer = await asyncio.open_connection(sock=end)
    if line := await reader.readline():  # else the service did not come up
        await serve(Start(**json.loads(line)), reader, writer)


@contextlib.asynccontextmanager
async def started(forks: Sequence[Fork], db: Database, start: Start) -> AsyncIterator[None]:
    """Let workers serve, and relay announcements with them, for the length of the block."""
    async with contextlib.AsyncExitStack() as stack:
        for fork in forks:
            reader, writer = await asyncio.open_connection(sock=fork.socket)
            writer.write(json.dumps(asdict(start)).encode() + b"\n")
            await reader.readline()  # it listens
            relay = await stack.enter_async_context(relaying(db, reader, writer))
            watching = asyncio.create_task(_tell_end(fork, relay.ended))
            stack.callback(watching.cancel)
        yield


async def _tell_end(fork: Fork, ended: asyncio.Event) -> None:
    await ended.wait()
    log.error("a worker has ended: the other processes serve on", extra={"pid": fork.pid})
