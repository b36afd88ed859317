"""Draining: a node is taken out of use in order, because its operator has sent the agent SIGUSR1.

The supervisors are told (`AgentState.draining`), and lease it nothing from then on; its tasks go on. The agent ends
once no live job has tasks or intermediates here, or after a deadline, and takes leave as it does on SIGTERM: what still
runs then runs elsewhere, without a retry, and intermediates that are still needed are made again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from scheduler.agent.links.node_work import NodeWork

LOOK_SECONDS = 0.5
log = logging.getLogger("remora.agent")


async def drained(asked: asyncio.Event, node: NodeWork, seconds: float) -> None:
    """Return when the node was to be drained, and is, or after so many seconds."""
    await asked.wait()
    node.slots.drain()
    log.info("the node is drained", extra={"deadline_seconds": seconds})
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.sleep(LOOK_SECONDS)  # what has been leased by now arrives
            while any(link.pools() for link in node.links):
                await asyncio.sleep(LOOK_SECONDS)
    left = sum(load.running + load.waiting for load in node.loads().values())
    log.info("the drain is over, and the agent ends", extra={"tasks": left})
