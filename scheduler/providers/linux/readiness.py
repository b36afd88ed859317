"""Waiting on the event loop until a descriptor can be read or written."""

from __future__ import annotations

import asyncio


async def readable(*fds: int) -> None:
    """Wait until one of these descriptors can be read."""
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
    """Wait until a descriptor can be written."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_writer(fd, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_writer(fd)
