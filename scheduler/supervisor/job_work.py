"""Job work: what a job needs of its owner, one piece at a time: dispatching, the steps of an operation, archiving.

After each change of a job its owner calls `start`. That begins whatever the job needs now, unless some of its work is
under way; each piece ends by looking for the next. So nothing has to be remembered: what a job needs follows from its
cache. Work that fails is tried again, after longer and longer pauses.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from scheduler.common.backoff import Backoff
from scheduler.objects.blobs import BlobStore
from scheduler.records.database import Database, select
from scheduler.records.fences import Fenced
from scheduler.records.turns import MANY
from scheduler.supervisor.agents.service import AgentService
from scheduler.supervisor.background import PAUSES, SupervisorTasks
from scheduler.supervisor.cache.live_jobs import LiveJob, LiveJobs
from scheduler.supervisor.jobs import archive, retention
from scheduler.supervisor.jobs.changes import Changes
from scheduler.supervisor.jobs.dispatch import dispatch_page, take_in
from scheduler.supervisor.jobs.retention import Discard
from scheduler.supervisor.operations import ending, steps, unavailable_inputs
from scheduler.supervisor.tasks.commit import refuse_ready

log = logging.getLogger("remora.supervisor")

# The number of ready tasks of the first phase up to which inputs are dispatched.
AHEAD = 4096
# Ready tasks that fit no node, failed in one transaction.
REFUSE_PAGE = 500


class JobWork:
    """The work of one supervisor's jobs. `apply` applies changes to the cache, `discard` removes blobs,
    `count_job` counts how jobs ended."""

    def __init__(
        self,
        db: Database,
        blobs: BlobStore,
        clock: Callable[[], int],
        jobs: LiveJobs,
        agent_service: AgentService,
        background: SupervisorTasks,
        apply: Callable[[Changes], None],
        discard: Discard,
        count_job: Callable[[str], None],
    ) -> None:
        self._db = db
        self._blobs = blobs
        self._clock = clock
        self._jobs = jobs
        self._agent_service = agent_service
        self._background = background
        self._apply = apply
        self._discard = discard
        self._count_job = count_job

    def start(self, live: LiveJob) -> None:
        """Start what a job needs now: dispatching its inputs, or archiving it. Only one runs at a time."""
        if live.working is not None and not live.working.done():
            return
        if live.done:
            live.working = self._background.spawn(self._until_done(self._archive, live))
        elif live.standing is not None and steps.has_work(live, self._ready(live), AHEAD):
            live.working = self._background.spawn(self._until_done(self._operate, live))
        elif self._misfits(live):
            live.working = self._background.spawn(self._until_done(self._refuse, live))
        elif live.standing is None and live.pending and self._has_room(live):
            live.working = self._background.spawn(self._until_done(self._dispatch, live))

    def _ready(self, live: LiveJob) -> int:
        """The number of ready tasks of a job."""
        return sum(self._jobs.ready[pool] for pool in live.pools)

    async def _operate(self, live: LiveJob) -> None:
        """Take the steps of an operation that can be taken now."""
        while not live.done and steps.has_work(live, self._ready(live), AHEAD):
            if steps.needs_inputs(live) and not await self._inputs_are_there(live):
                return
            changes = await self._db.of(live.owner).write(partial(steps.take, live=live, now=self._clock()))
            self._apply(changes)
            live.stalled = live.id in changes.stalled

    async def _inputs_are_there(self, live: LiveJob) -> bool:
        """Whether an operation may begin: all of its inputs are available. If not, it fails, or waits."""
        assert live.spec.operation is not None
        found = await unavailable_inputs.missing(self._db, self._blobs, live)
        live.checked = found is None
        if found is None:
            return True
        if live.spec.operation.unavailable.waits_at_start:
            live.stalled = True
            self.wait_for_inputs(live)
        else:
            fail = partial(unavailable_inputs.fail, live=live, found=found, now=self._clock())
            self._apply(await self._db.of(live.owner).write(fail))
        return False

    def wait_for_inputs(self, live: LiveJob) -> None:
        """Let no attempt of an operation begin until all of its inputs are available."""
        if not live.lacking:
            live.lacking = True
            self._background.spawn(self._until_inputs_are_there(live))

    async def _until_inputs_are_there(self, live: LiveJob) -> None:
        backoff = Backoff(*unavailable_inputs.PAUSES)
        while not live.done and await self._still_lacks(live):
            await asyncio.sleep(backoff.next())
        live.lacking = live.stalled = False
        if not live.done:
            self.start(live)
            self._agent_service.wake()

    async def _still_lacks(self, live: LiveJob) -> bool:
        """Whether inputs of an operation are not available, which its status then says. An error counts as that."""
        try:
            found = await unavailable_inputs.missing(self._db, self._blobs, live)
            await self._db.of(live.owner).write(partial(unavailable_inputs.tell, live=live, found=found))
        except Fenced:
            return False
        except Exception:
            log.exception("inputs could not be looked for", extra={"job": live.uuid})
            return True
        live.wake_watchers()
        return found is not None

    def _misfits(self, live: LiveJob) -> list[tuple[int, str]]:
        """The pools with ready tasks that no node can ever run, and why."""
        ready = [(n, pool) for n, pool in enumerate(live.pools) if self._jobs.ready[pool] > 0]
        return [(pool, why) for n, pool in ready if (why := self._agent_service.why_infeasible(live.spec.phases[n]))]

    async def _refuse(self, live: LiveJob) -> None:
        """Fail tasks that no node can ever run: a page of each pool, and again while there are more."""
        for pool, why in self._misfits(live):
            work = partial(refuse_ready, live=live, pool=pool, message=why, limit=REFUSE_PAGE, now=self._clock())
            self._apply(await self._db.of(live.owner).write(work))

    async def _until_done(self, work: Callable[[LiveJob], Coroutine[Any, Any, None]], live: LiveJob) -> None:
        """Repeat a job's work until it succeeds, whatever errors (a full disk, for instance) interrupt it."""
        backoff = Backoff(*PAUSES)
        while True:
            try:
                await work(live)
            except Fenced:
                return
            except Exception:
                told = {"job": live.uuid, "pause": backoff.pause}
                log.exception("a job's work failed and is tried again", extra=told)
                await asyncio.sleep(backoff.next())
            else:
                break
        live.working = None
        if not live.done or self._jobs.by_id(live.id):
            self.start(live)

    async def take_in(self, live: LiveJob, lines: Sequence[str], end: bool) -> None:
        """Record inputs of a job, and `end` its input. Raises WireError if the job takes none.

        A page of them is dispatched in the same transaction: a small job then waits for one commit instead of three.
        """
        soon = live.standing is None and self._has_room(live)
        now = self._clock()
        changes, inputs, count = await self._db.of(live.owner).write(
            partial(take_in, live=live, lines=lines, end=end, dispatches=soon, now=now), bulk=len(lines) > MANY
        )
        live.inputs = max(live.inputs, inputs)
        live.dispatched += count
        live.input_done = live.input_done or end
        self._apply(changes)
        self.start(live)

    def _has_room(self, live: LiveJob) -> bool:
        return self._jobs.ready[live.pools[0]] < AHEAD

    async def _dispatch(self, live: LiveJob) -> None:
        while live.pending and self._has_room(live):
            bulk = live.inputs - live.dispatched > MANY
            page = partial(dispatch_page, live=live, now=self._clock())
            changes, count = await self._db.of(live.owner).write(page, bulk=bulk)
            live.dispatched += count
            if not count:  # it was cancelled by a gateway, which is not known here yet
                await self._look_now(live)
                break
            self._apply(changes)

    async def _look_now(self, live: LiveJob) -> None:
        for row in await self._db.read(select("job_by_id", job=live.id)):
            live.done = live.done or row["state"] == "done"

    async def _archive(self, live: LiveJob) -> None:
        db = self._db.of(live.owner)
        await ending.release(db, live, self._discard)
        await retention.reap_job(db, self._discard, live)
        result = await archive.archive_job(db, self._blobs, self._clock, live)
        self._count_job(result.outcome)
        self._jobs.remove(live)
        live.wake_watchers()
        self._agent_service.wake()
        told = {"job": live.uuid, "owner": live.owner, "job_name": live.spec.name, **result.fields()}
        log.info("job archived", extra=told)
