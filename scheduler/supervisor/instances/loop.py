"""The loop that books instances through Nomad for the jobs of this supervisor.

Each round looks at what has changed there (`events.News`), computes how many instances each
pool should have and where (`engine.instance_counts`), and does what makes the difference
(`nomad.reconcile`). A round begins when something has changed on either side, and a second
after the last in any case. Four things follow:

- Nothing is remembered that could be lost: a supervisor that takes over a job asks for what is
  there already, is told so, and reads it. Jobs in Nomad whose phase is over are purged by whoever
  sees them; those of other supervisors' jobs are left alone, and so are other clusters'.
- Fewer instances are had by telling agents, not Nomad: `AgentSession.keep`. A node that Nomad has
  taken out of use (a drain) keeps none, so nothing new begins there, and what runs ends.
- Nomad's troubles are its own: what fails is logged in one sentence, and tried again later and
  later. Whoever has an instance notices nothing; whoever waits for one reads why.
- Instances that fail as soon as they are started (no launcher, no agent there) would be replaced
  for ever. So after each such failure the pool waits longer for the next.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from scheduler.common.waiting import wait_for
from scheduler.engine import instance_counts as engine
from scheduler.engine.fair_share import Capacity
from scheduler.engine.instance_counts import Demand, ScaleDownDelay
from scheduler.nomad.api import ConflictError, Json, MissingError, NomadApi, NomadError
from scheduler.nomad.events import News, Watch
from scheduler.nomad.job_documents import GROUP, PREFIX, Booking, Template, booking_of, document
from scheduler.nomad.reconcile import (
    Instruction,
    Known,
    Purge,
    Register,
    Scale,
    reconcile,
    understand,
)
from scheduler.records.database import Database, Fenced, select
from scheduler.supervisor.agents.service import AgentService
from scheduler.supervisor.agents.waiting_reasons import set_waiting
from scheduler.supervisor.cache.live_jobs import LiveJobs
from scheduler.supervisor.instances import demand
from scheduler.supervisor.instances.unreachable import UnreachableInstances

log = logging.getLogger("remora.supervisor")

# Seconds: between rounds at most, and at least.
TICK = 1.0
BREATH = 0.1
# For which a pool keeps what it does not need, if nobody else wants the room.
IDLE = 5.0
# For which a node that refused a pool is not asked again.
FULL = 10.0
# That agents are given to end the instances of a job that is done. They do it well: a node that is being drained
# of an allocation whose job was purged is not found empty (seen in Nomad 2.0.6).
ENDING = 5.0
# After which everything is looked at, though nothing was heard.
LOOK = 60.0
LOOK_DEAF = 5.0  # while there are no events
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
# Jobs looked at, or changed, at a time.
AT_ONCE = 4

LOOKING = "looking"
NO_NODE = "no node is ready for instances"
SILENT = "instances cannot be booked now: the cluster's scheduler does not answer"
REFUSED = "instances cannot be booked: the cluster's scheduler refuses"
FAILING = "instances end as soon as they are started"


@dataclass(slots=True)
class Pause:
    """How long to leave something alone that failed, longer each time."""

    until: float
    seconds: float

    @classmethod
    def after(cls, last: Pause | None, now: float) -> Pause:
        recent = last is not None and now < last.until + LONGEST_PAUSE
        seconds = min(2 * last.seconds, LONGEST_PAUSE) if last is not None and recent else FIRST_PAUSE
        return cls(now + seconds, seconds)


class InstanceLoop:
    """One per supervisor, for its own jobs. Owns what it knows of Nomad; `run` is cancelled to end it."""

    def __init__(
        self,
        db: Database,
        jobs: LiveJobs,
        agent_service: AgentService,
        api: NomadApi,
        template: Template,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._db = db
        self._jobs = jobs
        self._desk = agent_service
        self._api = api
        self._template = template
        self._now = monotonic
        self._news = News(changed=agent_service.changed)
        self._watch = Watch(api, self._news)
        self._known: dict[str, Known] = {}
        self._stranded = UnreachableInstances()
        self._orphans: dict[str, Booking] = {}  # listed, and not ours: perhaps over
        self._over: set[str] = set()  # those that are
        self._looked = -LOOK
        self._pauses: dict[str, Pause] = {}
        self._full: dict[tuple[int, str], float] = {}
        self._ending: dict[str, float] = {}  # jobs that are over, and since when
        self._wants: dict[Booking, int] = {}
        self._steady = ScaleDownDelay(IDLE)
        self._since: dict[int, float] = {}
        self._asked: dict[int, int] = {}
        self._told: dict[int, str | None] = {}  # why pools wait, as recorded
        self._troubles: dict[str, str] = {}  # Nomad's, by what failed: a job's id, or LOOKING
        self._at_once = asyncio.Semaphore(AT_ONCE)

    async def run(self) -> None:
        """Until cancelled, or until others have our jobs."""
        watching = asyncio.create_task(self._watch.run())
        try:
            await self._learn_version()
            while True:
                await self._round_or_pause()
                await asyncio.sleep(BREATH)
                await wait_for(self._news.changed, TICK)
        except Fenced:
            return
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def _learn_version(self) -> None:
        """Documents differ by Nomad's version; whoever may not know it gets what is usual."""
        try:
            self._template = replace(self._template, version=await self._api.version())
        except NomadError as error:
            log.warning("Nomad does not say its version: taken for a new one", extra={"why": str(error)})

    async def _round_or_pause(self) -> None:
        try:
            await self.round()
        except Fenced:
            raise
        except NomadError as error:
            self._troubled(LOOKING, error)
            await self._tell({}, [])
            await asyncio.sleep(min(self._pauses[LOOKING].seconds, LOOK_DEAF))
        except Exception:
            log.exception("booking failed and is tried again")

    async def round(self) -> None:
        """Look, plan, do, tell. Raises NomadError if one cannot look."""
        await self._look()
        sessions = self._desk.sessions()
        nodes = demand.open_nodes(sessions)
        present = {session.node for session in sessions if session.booked}
        known = self._stranded.standing(self._known, present, self._now())
        wishes = demand.demands_of(self._jobs, sessions, known.values(), self._since, self._now())
        numbers = self._numbers(wishes, nodes)
        wanted = self._wanted(wishes, numbers, nodes)
        self._wants = wanted
        self._keep(wanted, numbers)
        orphans = {job: Known(booking, 0, 0) for job, booking in self._orphans.items()}
        steps = reconcile(wanted, orphans | known, self._over | self._done())
        await asyncio.gather(*(self._perform(step, nodes) for step in steps if self._may(step)))
        await self._tell(numbers, wishes)

    # -- looking -------------------------------------------------------------------------------

    async def _look(self) -> None:
        """Bring what we know up to what Nomad has."""
        if self._now() - self._looked >= (LOOK if self._watch.live else LOOK_DEAF):
            self._news.all()
        news = self._news.take()
        try:
            if news.nodes:
                self._close(await self._api.nodes())
            jobs = {job for job in news.jobs if job in self._known} | (await self._list() if news.everything else set())
            jobs |= {job for job in news.jobs if job not in self._orphans} | self._taken_over()
            await asyncio.gather(*(self._read(job) for job in jobs))
        except NomadError:
            self._news.everything, self._news.nodes = True, news.nodes
            raise
        self._well(LOOKING)

    async def _list(self) -> set[str]:
        """All jobs of this cluster; ours are to be read."""
        told = {
            str(job["ID"]): booking_of(job.get("Meta"), self._template.cluster) for job in await self._api.jobs(PREFIX)
        }
        found = {job: booking for job, booking in told.items() if booking is not None and booking.id == job}
        self._looked = self._now()
        self._known = {job: known for job, known in self._known.items() if job in found}
        self._orphans = {
            job: booking for job, booking in found.items() if job not in self._known and not self._ours(booking)
        }
        self._over = {job for job, booking in self._orphans.items() if await self._is_over(booking)}
        return set(found) - set(self._orphans)

    def _taken_over(self) -> set[str]:
        """Orphans that have become ours, because their job has. They are orphans no longer."""
        ours = {job for job, booking in self._orphans.items() if self._ours(booking)}
        for job in ours:
            del self._orphans[job]
        self._over -= ours
        return ours

    async def _read(self, job: str) -> None:
        async with self._at_once:
            try:
                told = await self._api.job(job)
                known = understand(
                    told, await self._api.allocations(job), await self._api.evaluations(job), self._template.cluster
                )
            except MissingError:
                known = None
        before = self._known.pop(job, None)
        if known is None or not (self._ours(known.booking) or (before and before.booking == known.booking)):
            return
        self._known[job] = known
        if known.failed > (before.failed if before is not None and before.index == known.index else 0):
            self._pauses[job] = Pause.after(self._pauses.get(job), self._now())
            log.warning("instances end badly", extra={"booking": job, "failed": known.failed})
        if known.blocked and known.booking.node is not None:
            self._full[known.booking.pool, known.booking.node] = self._now()

    def _ours(self, booking: Booking) -> bool:
        live = self._jobs.by_pool(booking.pool)
        return live is not None and live.uuid == booking.job

    def _close(self, nodes: Sequence[Json]) -> None:
        """Nothing new begins on nodes that Nomad has taken out of use."""
        closed = {str(node["Name"]) for node in nodes if node["SchedulingEligibility"] != "eligible" or node["Drain"]}
        for session in self._desk.sessions():
            draining = session.booked and session.node in closed
            if draining != session.draining:
                session.draining = draining
                log.info("a node is closed" if draining else "a node is open again", extra={"node": session.node})
                self._desk.wake()

    async def _is_over(self, booking: Booking) -> bool:
        """Is the phase over, or was there never such a one?"""
        rows = await self._db.read(select("owner_of_pool", pool=booking.pool))
        return not rows or rows[0]["uuid"] != booking.job or rows[0]["state"] == "done"

    def _done(self) -> set[str]:
        """Of ours, those whose job is done, once agents have ended their instances, or do not."""
        lives = {job: self._jobs.by_pool(known.booking.pool) for job, known in self._known.items()}
        ending = {job for job, live in lives.items() if live is None or live.done}
        self._ending = {job: self._ending.get(job, self._now()) for job in ending}
        return {
            job for job, since in self._ending.items() if not self._known[job].live or self._now() - since >= ENDING
        }

    # -- planning ------------------------------------------------------------------------------

    def _numbers(self, wishes: Sequence[Demand], nodes: Mapping[str, Capacity]) -> dict[int, int]:
        """Instances by pool."""
        given = engine.per_pool(wishes, nodes)
        lately = self._steady.update(given, self._now())
        for demanded in wishes:
            live = self._jobs.by_pool(demanded.pool)
            if live is None or live.done or (not demanded.demand and demanded.pool in live.input_ended):
                lately[demanded.pool] = 0  # there will be no more
            asked = sum(demanded.asked.values())
            if asked != self._asked.get(demanded.pool):
                self._asked[demanded.pool], self._since[demanded.pool] = asked, self._now()
        for known in (self._asked, self._since):
            for pool in [pool for pool in known if pool not in given]:
                del known[pool]
        return engine.dampen_scale_down(given, lately, wishes, nodes)

    def _wanted(
        self, wishes: Sequence[Demand], numbers: Mapping[int, int], nodes: Mapping[str, Capacity]
    ) -> dict[Booking, int]:
        self._full = {key: since for key, since in self._full.items() if self._now() - since < FULL}
        wanted = {}
        for demanded in wishes:
            live = self._jobs.by_pool(demanded.pool)
            if live is None or live.done:
                continue
            for place, count in engine.place_instances(demanded, numbers[demanded.pool], nodes, self._full).items():
                wanted[demand.booking_of(live, demanded.pool, place)] = count
        return wanted

    def _keep(self, wanted: Mapping[Booking, int], numbers: Mapping[int, int]) -> None:
        """Tell agents how many of the instances that they have are needed."""
        sessions = [session for session in self._desk.sessions() if session.booked and not session.draining]
        changed = False
        kept: dict[int, dict[str, int]] = {}
        for pool, number in numbers.items():
            booked = {session.node: session.bookings(pool) for session in sessions}
            pinned = {booking.node: count for booking, count in wanted.items() if booking.pool == pool}
            busy = {session.node: session.held[pool] for session in sessions}
            if sum(booked.values()) > number:
                kept[pool] = engine.choose_survivors(number, booked, pinned, busy)
        for session in sessions:
            keep = {pool: nodes[session.node] for pool, nodes in kept.items() if session.node in nodes}
            changed |= keep != session.keep
            session.keep = keep
        if changed:
            self._desk.wake()

    # -- doing ---------------------------------------------------------------------------------

    def _may(self, step: Instruction) -> bool:
        pause = self._pauses.get(_id(step))
        return pause is None or pause.until <= self._now()

    async def _perform(self, step: Instruction, nodes: Mapping[str, Capacity]) -> None:
        """Do one thing; what comes of it is read in the next round."""
        job = _id(step)
        if isinstance(step, Register):  # what it is for may be over before it is read for the first time
            self._known[job] = Known(step.booking, 0, step.count, live=step.count)
        try:
            async with self._at_once:
                await self._do(step, nodes)
        except (ConflictError, MissingError) as error:
            log.info("Nomad has another version of a booking than was thought", extra={"why": str(error)})
        except NomadError as error:
            self._troubled(job, error)
        else:
            log.info("booking changed", extra={"step": str(step)})
            self._troubles.pop(job, None)
            if isinstance(step, Purge):
                self._well(job)
                self._known.pop(job, None)
                self._orphans.pop(job, None)
                self._over.discard(job)
                return
        self._news.jobs.add(job)
        self._news.changed.set()

    async def _do(self, step: Instruction, nodes: Mapping[str, Capacity]) -> None:
        match step:
            case Register(booking, count):
                shares = {name: node.slots for name, node in nodes.items()}
                await self._api.register(document(booking, count, replace(self._template, shares=shares)))
            case Scale(job, count, index):
                await self._api.scale(job, GROUP, count, index, "as many as its tasks want")
            case Purge(job):
                await self._api.stop(job, purge=True)

    def _troubled(self, what: str, error: NomadError) -> None:
        self._pauses[what] = Pause.after(self._pauses.get(what), self._now())
        self._troubles[what] = SILENT if error.passing else REFUSED
        log.warning("booking has to wait", extra={"why": str(error), "pause": self._pauses[what].seconds})

    def _well(self, what: str) -> None:
        self._pauses.pop(what, None)
        self._troubles.pop(what, None)

    # -- telling -------------------------------------------------------------------------------

    async def _tell(self, numbers: Mapping[int, int], wishes: Sequence[Demand]) -> None:
        """Record why pools that have no instance wait."""
        now = {demanded.pool: self._why(demanded) for demanded in wishes}
        if not wishes:  # nothing is known but the trouble
            waiting = [pool for live in self._jobs for pool in live.pools if self._jobs.ready[pool] > 0]
            now = {**self._told, **{pool: self._troubles.get(LOOKING) for pool in waiting if not self._arrived(pool)}}
        news = {pool: why for pool, why in now.items() if self._told.get(pool, "") != why}
        if news:
            await self._db.write(lambda c: set_waiting(c, news))
        self._told = now

    def _why(self, demanded: Demand) -> str | None:
        ours = [known for known in self._known.values() if known.booking.pool == demanded.pool]
        if not demanded.demand or self._arrived(demanded.pool) or sum(known.live for known in ours):
            return None
        if not demand.open_nodes(self._desk.sessions()):
            return NO_NODE
        blocked = sorted((known for known in ours if known.blocked), key=lambda known: known.booking.node or "")
        if blocked:
            return blocked[0].blocked
        if any(known.failed for known in ours):
            return FAILING
        troubles = [self._troubles.get(LOOKING), *(self._troubles.get(job) for job in self._asked_for(demanded.pool))]
        return next(filter(None, troubles), None)

    def _asked_for(self, pool: int) -> list[str]:
        return [booking.id for booking in self._wants if booking.pool == pool]

    def _arrived(self, pool: int) -> int:
        return sum(session.bookings(pool) for session in self._desk.sessions())


def _id(step: Instruction) -> str:
    return step.booking.id if isinstance(step, Register) else step.id
