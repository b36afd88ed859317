"""The supervisor: it owns the cache, runs the transactions, and wakes those who wait for a change.

A supervisor is one start: it has a number, and lives until it stops or is declared lost (`membership`). Then it is
`lost`, none of its writes counts, and its maker starts another (`runner`).
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from scheduler.common.waiting import wait_for
from scheduler.engine.membership import BEAT, CLAIM_SECONDS, Pulse
from scheduler.model.job import JobSpec
from scheduler.model.operations.control import ControlRequest
from scheduler.objects.blobs import BlobStore
from scheduler.objects.entries import NO_HEADERS
from scheduler.records.database import Database, Row, select
from scheduler.supervisor import announcements, membership
from scheduler.supervisor.agents import running_requests
from scheduler.supervisor.agents.pool_specs import IssueToken
from scheduler.supervisor.agents.running_requests import PostedRequests
from scheduler.supervisor.agents.service import AgentService
from scheduler.supervisor.agents.waiting_reasons import Reasons
from scheduler.supervisor.background import Coalesced, SupervisorTasks
from scheduler.supervisor.cache.live_jobs import LiveJob, LiveJobs, standing_of
from scheduler.supervisor.control import requests
from scheduler.supervisor.control.cancelling import cancel_open, cancel_orphans
from scheduler.supervisor.job_work import JobWork
from scheduler.supervisor.jobs import intake, retention
from scheduler.supervisor.jobs.changes import Changes, Placed
from scheduler.supervisor.jobs.intake import UNKNOWN, Creator
from scheduler.supervisor.operations import creation, ending
from scheduler.supervisor.ports import DEFAULT, Ports
from scheduler.supervisor.tasks import recovery

log = logging.getLogger("remora.supervisor")

# Seconds between checks for idle inputs and expired records.
HOUSEKEEPING_SECONDS = 5.0
# Seconds between checks for silent agents.
SILENCE_SECONDS = 1.0
# Seconds that a stopping supervisor spends at most on telling the others.
LEAVE_SECONDS = 2.0


# Reserves instances for the jobs of the supervisor with this number.
Reserve = Callable[[int, Database, LiveJobs, AgentService], Coroutine[Any, Any, None]]


class Supervisor:
    """The supervisor of a process, from its start until it stops or is lost.

    `clock` gives ms since the epoch; `issue_token(login, job, node)` a credential for tasks; `url` is where agents
    reach it. `reserve` reserves instances for its jobs where Nomad places them, until it is cancelled. `alone`: no
    other process can use this database, so no beats are written or checked.
    """

    def __init__(
        self,
        db: Database,
        blobs: BlobStore,
        clock: Callable[[], int],
        issue_token: IssueToken,
        url: str = "",
        alone: bool = True,
        beat_seconds: float = BEAT,
        reserve: Reserve | None = None,
        ports: Ports = DEFAULT,
    ) -> None:
        self.id = 0
        self.jobs = LiveJobs()
        self.leads = True  # whether it does the work that belongs to no single owner
        self._shared = db
        # Writes through this count only while this supervisor is not lost.
        self._db = db.behind(membership.fence(lambda: self.id))
        self._blobs = blobs
        self._clock = clock
        self._url = url
        self._alone = alone
        self._beat_seconds = beat_seconds
        self._reserve = reserve
        self._pulse = Pulse.begin(0)
        self.agent_service = AgentService(self._db, self.jobs, clock, issue_token, self._apply, blobs, ports)
        self._count_outcome = ports.count_outcome
        self._reasons = Reasons(self._db, self.jobs, self.agent_service)
        self._background = SupervisorTasks()
        self._work = JobWork(
            self._db,
            blobs,
            clock,
            self.jobs,
            self.agent_service,
            self._background,
            self._apply,
            self._discard,
            ports.count_job,
        )
        self.lost = self._background.fenced  # another supervisor has taken over
        self._stopping = False
        self._stop_listening: Callable[[], None] = lambda: None
        self._unowned: dict[int, int] = {}  # jobs without an owner, and since when that is known (database's ms)
        self._stale: set[int] = set()  # own jobs whose record another process has changed
        self._claiming = Coalesced(self._background, self.claim, "claim jobs")
        self._debts: set[int] = set()  # own jobs with lost intermediates
        self._recovering = Coalesced(self._background, self._recover, "recover lost inputs")
        self._orphans = Coalesced(self._background, self._cancel_orphans, "cancel jobs of tasks whose job is done")
        self._posted = PostedRequests(self._db, self.agent_service.running, self._background, lambda: self.id)
        self._refreshing = Coalesced(self._background, self._refresh, "refresh changed jobs")

    # Starting and stopping.

    async def start(self) -> None:
        """Join the other supervisors, and claim jobs: alone, every live job."""
        self.id, self._pulse = await self._shared.write(partial(membership.join, url=self._url, alone=self._alone))
        await self.agent_service.open()
        await self.agent_service.read_limits()
        self._stop_listening = self._shared.listen(self._hear)
        log.info("supervisor started", extra={"supervisor": self.id, "alone": self._alone})
        await self.claim()
        if not self._alone:
            self._background.every(self._beat_seconds, self.beat)
        if self._reserve is not None:
            self._background.spawn(self._reserve(self.id, self._db, self.jobs, self.agent_service))
        else:
            self._background.every(SILENCE_SECONDS, self._reasons.look)
        self._background.every(SILENCE_SECONDS, self.agent_service.lose_silent)
        self._background.every(SILENCE_SECONDS, self.agent_service.expel_revoked)
        self._background.every(HOUSEKEEPING_SECONDS, self.look_around)
        self._background.every(HOUSEKEEPING_SECONDS, self.agent_service.read_limits)
        self._background.every(HOUSEKEEPING_SECONDS, self.forget_expired)

    def let_go(self) -> None:
        """Answer every poll and every wait now, and later ones at once: the service is about to stop."""
        self._stopping = True
        self.agent_service.let_go()
        for live in self.jobs:
            live.wake_watchers()

    async def stop(self, leave: bool = True) -> None:
        """Stop, and (`leave`) release its jobs at once, if the database can be reached."""
        self._stop_listening()
        await self._background.end()
        if not leave or not self.id or self.lost.is_set():
            return
        try:
            async with asyncio.timeout(LEAVE_SECONDS):
                await self._db.write(partial(membership.leave, supervisor=self.id))
        except Exception as error:  # the others will miss the beats
            why = str(error) or "the database did not answer"
            log.warning("supervisor stopped, but could not release its jobs", extra={"supervisor": self.id, "why": why})

    # Membership.

    async def beat(self) -> None:
        """Record that this supervisor lives, and declare silent ones lost."""
        beat = partial(membership.beat, supervisor=self.id, pulse=self._pulse, nodes=self.agent_service.heard())
        found = await self._db.write(beat)
        self._pulse = found.pulse
        self.leads = found.first == self.id
        for lost in found.lost:
            log.warning("supervisor lost", extra={"supervisor": lost, "found_by": self.id})
        if found.unowned:
            self._claiming.ask()
        else:
            self._unowned.clear()

    async def claim(self) -> None:
        """Claim this supervisor's share of the jobs without an owner, and those that have had none for too long."""
        more = True
        while more:
            now, jobs = await self._shared.read(membership.unowned)
            self._unowned = {job: self._unowned.get(job, now) for job in jobs}
            if not jobs:
                return
            overdue = {job for job, since in self._unowned.items() if now - since >= 1000 * CLAIM_SECONDS}
            claims = await self._db.write(
                partial(membership.claim, supervisor=self.id, overdue=overdue, now=self._clock(), alone=self._alone)
            )
            for claim in claims:
                self._take_up(claim)
            more = bool(claims)

    def _take_up(self, claim: membership.Claim) -> None:
        live = claim.live
        log.info("job taken up", extra={"job": live.uuid, "supervisor": self.id})
        self.jobs.add(live)
        for pool, count in claim.ready.items():
            self.jobs.ready[pool] = count
        for pool in live.pools:
            self.jobs.located.set(pool, claim.located[pool], self.agent_service.monotonic())
        self._reasons.take_up(live)
        self.agent_service.expect(live, claim.nodes)
        self._background.spawn(self.agent_service.take_up(live))
        self._apply(claim.changes)
        self._recover_soon(live.id)
        self._look_again(live.id)  # other processes may have announced changes before it was in the cache
        self._work.start(live)
        self.agent_service.wake()

    def _hear(self, subject: str) -> None:
        """Handle an announcement that may concern this supervisor."""
        kind, job = announcements.parse(subject)
        if kind in (announcements.JOBS, announcements.EVERYTHING):
            self._claiming.ask()
        if kind in (announcements.ASKED, announcements.EVERYTHING):
            self._posted.look()
        if kind == announcements.JOB and self.jobs.by_id(job):
            self._look_again(job)
        elif kind == announcements.EVERYTHING:
            for live in self.jobs:
                self._look_again(live.id)

    def _look_again(self, job: int) -> None:
        self._stale.add(job)
        self._refreshing.ask()

    async def _refresh(self) -> None:
        """Apply what other processes have recorded of own jobs to the cache."""
        stale, self._stale = self._stale, set()  # later announcements cause another refresh
        try:
            for row in await self._db.read(select("jobs_by_ids", jobs=json.dumps(sorted(stale)))):
                if live := self.jobs.by_id(row["id"]):
                    await self._catch_up(live, row)
        except Exception:
            self._stale |= stale
            raise

    async def _catch_up(self, live: LiveJob, row: Row) -> None:
        live.inputs = max(live.inputs, row["inputs"])
        live.suspended = bool(row["suspended"])
        if row["state"] == "done" and not live.done:  # cancelled; agents run it until here
            live.done = True
            live.wake_watchers()
            self.agent_service.wake()
            self._orphans.ask()
        if live.standing is not None:
            phases = await self._db.read(select("phases_of_job", job=live.id))
            live.standing, live.stalled = standing_of(row["status"], phases), False
            await self.agent_service.stop_again(live)
        if not live.done:
            await self._take_up_requests(live)
        if row["input_done"] and not (live.input_done or live.done):
            self._apply(await self._db.write(partial(intake.advance, live=live, now=self._clock())))
            live.input_done = True
        self._work.start(live)

    # Requests of users, by a gateway in this process.

    async def create_job(
        self, owner: str, spec: JobSpec, headers: Mapping[str, str] = NO_HEADERS, creator: Creator = UNKNOWN
    ) -> str:
        """Record a job and make its directories, which store `headers`; returns its UUID."""
        create = partial(
            creation.create_job, owner=owner, spec=spec, now=self._clock(), headers=headers, supervisor=self.id,
            creator=creator,
        )  # fmt: skip
        live = await self._db.of(owner).write(create)
        self.jobs.add(live)
        if not self._alone:
            self._look_again(live.id)
        self._work.start(live)
        log.info("job created", extra={"job": live.uuid, "owner": owner, "phases": len(spec.phases)})
        self.agent_service.wake()
        return live.uuid

    async def add_inputs(self, live: LiveJob, lines: Sequence[str], end: bool = False) -> None:
        """Record inputs, and `end` the input, durably. Raises WireError if the job takes none."""
        await self._work.take_in(live, lines, end)

    async def end_input(self, live: LiveJob) -> None:
        """End the job's input. Harmless if it has ended already. Raises WireError if the job is over."""
        changes = await self._db.of(live.owner).write(partial(intake.end_input, live=live, now=self._clock()))
        live.input_done = True
        self._apply(changes)

    async def cancel(self, live: LiveJob) -> None:
        """Cancel a job; an operation is aborted. Raises WireError if it is over."""
        self._apply(await self._db.of(live.owner).write(partial(cancel_open, live=live, now=self._clock())))
        log.info("job cancelled", extra={"job": live.uuid})

    async def control(self, live: LiveJob, request: ControlRequest) -> None:
        """Carry out what a user asks of a job, after earlier requests. Raises WireError if its state forbids it."""
        await self._take_up_requests(live)
        carry_out = partial(requests.carry_out, live=live, request=request, now=self._clock())
        self._apply(await self._db.of(live.owner).write(carry_out))
        log.info("job controlled", extra={"job": live.uuid, "request": request.verb})

    async def _take_up_requests(self, live: LiveJob) -> None:
        """Carry out what other processes have written down."""
        while await self._db.read(select("requests_of_job", job=live.id, limit=1)):
            self._apply(await self._db.write(partial(requests.take_up, live=live, now=self._clock())))

    async def wait_for_change(self, live: LiveJob, seconds: float) -> None:
        """Return when a job changes, or after `seconds`."""
        if not live.done and not self._stopping:
            await wait_for(live.changed, seconds)

    # After each transaction.

    def _apply(self, changes: Changes) -> None:
        """Apply committed changes to the cache, and wake those concerned."""
        self.jobs.ready.update(changes.ready)
        if changes.located:
            self.jobs.located.update(changes.located, self.agent_service.monotonic())
        for outcome, count in changes.outcomes.items():
            self._count_outcome(outcome, count)
        for pool in changes.ended_pools:
            if live := self.jobs.by_pool(pool):
                live.input_ended.add(pool)
        for job, standing in changes.standings.items():
            if live := self.jobs.by_id(job):
                live.standing, live.stalled = standing, job in changes.stalled
                live.dispatched += changes.dispatched[job]
        for job in changes.lacking:
            if live := self.jobs.by_id(job):
                self._work.wait_for_inputs(live)
        for job, suspended in changes.suspended.items():
            if live := self.jobs.by_id(job):
                live.suspended = suspended
        for job, spec in changes.specs.items():
            if live := self.jobs.by_id(job):
                live.spec = spec
        for job, pools in changes.reopened.items():
            if live := self.jobs.by_id(job):
                live.reopened = pools
        for job in changes.recover:
            self._recover_soon(job)
        self.agent_service.revoke(changes.revoked)
        for job in changes.changed_jobs:
            if live := self.jobs.by_id(job):
                live.done = live.done or job in changes.done_jobs
                live.wake_watchers()
                self._work.start(live)
        if changes.done_jobs:
            self._orphans.ask()
        if changes.discard:
            self._in_thread(self._blobs.discard, changes.discard)
        self.agent_service.discard(changes.discard_at)
        for task in changes.finished_reducers:
            self._background.spawn(retention.reap_reducer(self._db, self._discard, task))
        for task in changes.consumed_reducers:
            self._background.spawn(retention.release_inputs(self._db, self._discard, task))
        self.agent_service.wake()

    def _recover_soon(self, job: int) -> None:
        self._debts.add(job)
        self._recovering.ask()

    async def _recover(self) -> None:
        """Have lost intermediates recomputed that are needed, a page at a time."""
        while self._debts:
            job = min(self._debts)
            if (live := self.jobs.by_id(job)) is None:
                self._debts.discard(job)
                continue
            page = partial(recovery.recover_page, live=live, now=self._clock(), limit=recovery.PAGE)
            changes, more = await self._db.write(page)
            if not more:
                self._debts.discard(job)
            self._apply(changes)

    def _discard(self, blobs: Iterable[tuple[str | None, str]]) -> None:
        """Discard blobs, by the node on which they lie (None: the shared store)."""
        all_blobs = list(blobs)
        shared = [blob for node, blob in all_blobs if node is None]
        if shared:
            self._in_thread(self._blobs.discard, shared)
        self.agent_service.discard(Placed(node, blob) for node, blob in all_blobs if node is not None)

    async def look_around(self) -> None:
        """End inputs that are idle, and notice jobs that a command ended in the records."""
        work = partial(intake.end_idle_inputs, find_job=self.jobs.by_id, supervisor=self.id, now=self._clock())
        self._apply(await self._db.write(work))
        late = partial(ending.fail_late, find_job=self.jobs.by_id, supervisor=self.id, now=self._clock())
        self._apply(await self._db.write(late))
        for row in await self._db.read(select("done_unseen", supervisor=self.id)):
            if (live := self.jobs.by_id(row["id"])) and not live.done:
                self._look_again(live.id)
        if self.leads:
            self._orphans.ask()

    async def _cancel_orphans(self) -> None:
        """Cancel the jobs whose creating task's job is done; then those that their tasks created, and so on."""
        if await cancel_orphans(self._db, self._clock()):
            self._orphans.ask()

    async def forget_expired(self) -> None:
        """Remove old records. This is apart from other checks because a job of a million tasks takes a while."""
        if self.leads:
            await retention.purge_expired(self._db, self._clock())
            await running_requests.forget_old(self._db, self._clock())
            await self._db.write(membership.forget)

    def _in_thread(self, work: Callable[[list[str]], None], blobs: list[str]) -> None:
        asyncio.get_running_loop().run_in_executor(None, work, blobs)
