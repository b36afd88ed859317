"""Waiting for an event, but not for ever."""

from __future__ import annotations

import asyncio


async def wait_for(event: asyncio.Event, seconds: float) -> bool:
    """Whether the event came within `seconds`."""
    # Not asyncio.wait_for: up to Python 3.11 that can swallow a cancellation that comes with the event.
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
