"""The supervisor: owner of the shadow, runner of transactions, waker of whoever waits."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any

from scheduler.model.job import JobSpec
from scheduler.objects.blobs import BlobStore
from scheduler.objects.entries import NO_HEADERS
from scheduler.records.database import Connection, Database
from scheduler.supervisor import archive, intake, lease, retention
from scheduler.supervisor.cancel import cancel_job
from scheduler.supervisor.changes import Changes
from scheduler.supervisor.commit import refuse_ready
from scheduler.supervisor.desk import AgentDesk
from scheduler.supervisor.dispatch import dispatch_page
from scheduler.supervisor.live import LiveJob, LiveJobs, load_job
from scheduler.supervisor.waiting import wait_for

log = logging.getLogger("remora.supervisor")

# Inputs are dispatched no further ahead than this many ready tasks of the first phase.
AHEAD = 4096
# Tasks that fit nowhere, failed in one transaction.
REFUSE_PAGE = 500
# Seconds between looks at the clock: idle inputs, silent agents, expired records.
HOUSEKEEPING_SECONDS = 5.0
# Seconds between tries of work that failed.
FIRST_PAUSE = 0.2
LONGEST_PAUSE = 30.0


class Supervisor:
    """One per database. `clock` gives ms since the epoch; `issue_token(login, job)` a credential for tasks."""

    def __init__(self, db: Database, blobs: BlobStore, clock: Callable[[], int], issue_token: lease.IssueToken) -> None:
        self.jobs = LiveJobs()
        self.outcomes: Callable[[str, int], None] = lambda outcome, count: None  # a metric, if somebody counts
        self._db = db
        self._blobs = blobs
        self._clock = clock
        self.desk = AgentDesk(db, self.jobs, clock, issue_token, self._apply)
        self._background: set[asyncio.Task[None]] = set()
        self._stopping = False

    # Starting and stopping.

    async def start(self) -> None:
        """Take up every live job from the records alone."""
        for live, ready in await self._db.write(_take_up):
            self.jobs.add(live)
            for pool, count in ready.items():
                self.jobs.ready[pool] = count
            self._spawn(retention.reap_job(self._db, self._blobs, live))
            self._work_on(live)
        self._spawn(self._every_while(self.look_around))
        self._spawn(self._every_while(self.forget_expired))

    def let_go(self) -> None:
        """Answer every poll and every wait now, and from now on at once: the service is about to stop."""
        self._stopping = True
        self.desk.let_go()
        for live in self.jobs:
            live.wake_watchers()

    async def stop(self) -> None:
        for task in list(self._background):
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)

    # What users ask, by way of the gateway.

    async def create_job(self, owner: str, spec: JobSpec, headers: Mapping[str, str] = NO_HEADERS) -> str:
        """Record a job and make its directories, which keep `headers`; its UUID."""
        create = partial(intake.create_job, owner=owner, spec=spec, now=self._clock(), headers=headers)
        live = await self._db.write(create)
        self.jobs.add(live)
        log.info("job created", extra={"job": live.uuid, "owner": owner, "phases": len(spec.phases)})
        self.desk.wake()
        return live.uuid

    async def add_inputs(self, live: LiveJob, lines: Sequence[str]) -> None:
        """Record inputs; they are durable when this returns. Raises WireError if the job takes none."""
        total = await self._db.write(partial(intake.add_inputs, live=live, lines=lines, now=self._clock()))
        live.inputs = max(live.inputs, total)
        self._work_on(live)

    async def end_input(self, live: LiveJob) -> None:
        """No input will follow. Harmless if that is so already. Raises WireError if the job is over."""
        self._apply(await self._db.write(partial(intake.end_input, live=live, now=self._clock())))

    async def cancel(self, live: LiveJob) -> None:
        """Cancel a job. Raises WireError if it is over."""
        self._apply(await self._db.write(partial(intake.checked(cancel_job), live=live, now=self._clock())))
        log.info("job cancelled", extra={"job": live.uuid})

    async def wait_for_change(self, uuid: str, seconds: float) -> None:
        """Return when something about a job changes, or after `seconds`."""
        if (live := self.jobs.by_uuid(uuid)) and not live.done and not self._stopping:
            await wait_for(live.changed, seconds)

    # After each transaction.

    def _apply(self, changes: Changes) -> None:
        """Bring the shadow up to what was committed, and wake whom it concerns."""
        self.jobs.ready.update(changes.ready)
        for outcome, count in changes.outcomes.items():
            self.outcomes(outcome, count)
        for pool in changes.ended_pools:
            if live := self.jobs.by_pool(pool):
                live.input_ended.add(pool)
        self.desk.revoke(changes.revoked)
        for job in changes.changed_jobs:
            if live := self.jobs.by_id(job):
                live.done = live.done or job in changes.done_jobs
                live.wake_watchers()
                self._work_on(live)
        if changes.discard:
            self._in_thread(self._blobs.discard, changes.discard)
        for task in changes.finished_reducers:
            self._spawn(retention.reap_reducer(self._db, self._blobs, task))
        self.desk.wake()

    def _work_on(self, live: LiveJob) -> None:
        """Start what a job needs now: dispatching its inputs, or archiving it. One thing at a time."""
        if live.working is not None and not live.working.done():
            return
        if live.done:
            live.working = self._spawn(self._until_done(self._archive, live))
        elif self._misfits(live):
            live.working = self._spawn(self._until_done(self._refuse, live))
        elif live.pending and self.jobs.ready[live.pools[0]] < AHEAD:
            live.working = self._spawn(self._until_done(self._dispatch, live))

    def _misfits(self, live: LiveJob) -> list[tuple[int, str]]:
        """Pools that have ready tasks which no node can ever run, and why."""
        ready = [(n, pool) for n, pool in enumerate(live.pools) if self.jobs.ready[pool] > 0]
        return [(pool, why) for n, pool in ready if (why := self.desk.misfit(live.spec.phases[n]))]

    async def _refuse(self, live: LiveJob) -> None:
        """Fail what no node can ever run; a page of each pool, and again while there is more."""
        for pool, why in self._misfits(live):
            work = partial(refuse_ready, live=live, pool=pool, message=why, limit=REFUSE_PAGE, now=self._clock())
            self._apply(await self._db.write(work))

    async def _until_done(self, work: Callable[[LiveJob], Coroutine[Any, Any, None]], live: LiveJob) -> None:
        """Do what a job needs, however often a full disk or the like gets in the way."""
        pause = FIRST_PAUSE
        while True:
            try:
                await work(live)
            except Exception:
                log.exception("a job's work failed and is tried again", extra={"job": live.uuid, "pause": pause})
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                break
        live.working = None
        if not live.done or self.jobs.by_id(live.id):
            self._work_on(live)

    async def _dispatch(self, live: LiveJob) -> None:
        while live.pending and self.jobs.ready[live.pools[0]] < AHEAD:
            changes, count = await self._db.write(partial(dispatch_page, live=live, now=self._clock()))
            live.dispatched += count
            if not count:
                break
            self._apply(changes)

    async def _archive(self, live: LiveJob) -> None:
        await retention.reap_job(self._db, self._blobs, live)
        await archive.archive_job(self._db, self._blobs, self._clock, live)
        self.jobs.remove(live)
        live.wake_watchers()
        self.desk.wake()
        log.info("job archived", extra={"job": live.uuid})

    async def _every_while(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            await asyncio.sleep(HOUSEKEEPING_SECONDS)
            try:
                await work()
            except Exception:
                log.exception("housekeeping failed and is tried again")

    async def look_around(self) -> None:
        """End inputs that nobody adds to, give up agents that nobody hears of."""
        await self.desk.lose_silent()
        work = partial(intake.end_idle_inputs, find_job=self.jobs.by_id, now=self._clock())
        self._apply(await self._db.write(work))

    async def forget_expired(self) -> None:
        """Purge old records; apart from the rest, because a job of a million tasks takes a while."""
        await retention.purge_expired(self._db, self._clock())

    # Tasks of the event loop that nobody awaits, kept so that they live and are ended.

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._background.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("background work failed", exc_info=error)

    def _in_thread(self, work: Callable[[list[str]], None], blobs: list[str]) -> None:
        asyncio.get_running_loop().run_in_executor(None, work, blobs)


def _take_up(c: Connection) -> list[tuple[LiveJob, dict[int, int]]]:
    """Whatever was leased when the service stopped is ready again; the shadows of all live jobs."""
    c.run("release_all_leases")
    found = []
    for row in c.all("live_jobs"):
        live = load_job(c, row)
        ready = {pool: (c.one("count_ready", pool=pool) or {"n": 0})["n"] for pool in live.pools}
        found.append((live, ready))
    return found
