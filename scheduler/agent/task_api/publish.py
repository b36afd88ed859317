"""The outputs that tools have committed, until the end of the attempt: open files, or blobs that
have their names early.

A task may have any number of outputs, and an agent has a limited number of descriptors, for the
tasks of all tenants together. So an attempt holds the files of its first outputs open, up to
`MAX_HELD`, which is all that most tasks have; every further output gets its name when it is
committed, and is closed. Only the agent knows that name before the attempt is reported; if the
attempt fails, `Reporter.release` removes the blob. After a crash of the agent, the sweep of the
service's next start removes it: an attempt that had not been reported by then never will be, since
a restarted service knows no agent, and an unknown agent drops all it holds.

A file that has a name must not change, and its task is still alive. So the file is sealed first;
from then on it takes no more disk either, and its size on disk is remembered.

Example: `for i in $(seq 400); do echo $i | mpipe; done` leaves the agent with 16 descriptors
and 384 blobs.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence

from scheduler.agent.attempts import capture
from scheduler.agent.attempts.attempt import Attempt, Emitted
from scheduler.agent.blobs.stores import Stores
from scheduler.agent.task_api.task_host import TaskHost, no_task

MAX_HELD = 16


async def emit(host: TaskHost, attempt: Attempt, *outputs: Emitted) -> None:
    """Make complete files outputs of the attempt, all of them or none.

    Raises WireError if they exceed the bounds or the attempt ends meanwhile, OSError if the disk refuses.
    """
    try:
        attempt.check_room(*outputs)
        if attempt.held + len(outputs) > MAX_HELD:
            await in_thread(lambda: give_names(host.stores, outputs, host.spec.last))
            if host.current() is not attempt:
                raise no_task()
        attempt.add(*outputs)
    except BaseException:
        drop(host.stores, outputs)
        raise


def give_names(stores: Stores, outputs: Sequence[Emitted], last: bool) -> None:
    """Publish outputs as blobs, and close their files. Takes as long as hashing them."""
    for output in outputs:
        assert output.fd is not None  # a reference has no file
        final = last or output.named
        if os.fstat(output.fd).st_size:
            capture.seal(stores.born(final), output.fd)
        status = os.fstat(output.fd)
        output.kept = capture.publish(stores, output.fd, status.st_size, final, output.blob, output.md5)
        output.disk = status.st_blocks * 512
        os.close(output.fd)
        output.fd = None


def drop(stores: Stores, outputs: Sequence[Emitted]) -> None:
    """Close the files of outputs and remove their blobs."""
    for output in outputs:
        if output.fd is not None:
            os.close(output.fd)
            output.fd = None
    stores.discard(output.blob for output in outputs)


async def in_thread(work: Callable[[], object]) -> None:
    """Run `work` in a thread. It has ended when this returns, even after a cancellation: it uses our descriptors."""
    working = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait([working])
        raise
