"""Waiting on the event loop until a descriptor can be read or written."""

from __future__ import annotations

import asyncio


async def readable(*fds: int) -> None:
    """Wait until one of them is."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    for fd in fds:
        loop.add_reader(fd, ready.set)
    try:
        await ready.wait()
    finally:
        for fd in fds:
            loop.remove_reader(fd)


async def writable(fd: int) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_writer(fd, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_writer(fd)
