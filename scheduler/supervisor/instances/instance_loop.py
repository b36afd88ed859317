"""Instance loop: reserves instances through Nomad for the jobs of this supervisor.

Each round reads what has changed in Nomad (`events.News`), computes how many instances each pool should have and where
(`engine.instance_counts`), and requests the difference (`nomad.reconcile`). A round begins when something has changed
on either side, and at the latest a second after the last one. Four things follow:

- The loop has no state that could be lost: a supervisor that takes over a job asks for instances, learns that they
  exist already, and reads them. Jobs in Nomad whose phase is over are purged by any supervisor that sees them; those of
  other supervisors' live jobs are left alone, and so are other clusters'.
- To have fewer instances the loop tells agents, not Nomad: `AgentSession.keep`. A node that Nomad has taken out of use
  (a drain) keeps none, so nothing new begins there, and running tasks end.
- A failure of Nomad stops only reservations: it is logged in one sentence, and retried with growing pauses. Existing
  instances are not affected; the status of a job that waits for one says why.
- Instances that fail as soon as they are started (no launcher, no agent there) would be replaced for ever. So after
  each such failure the pool waits longer for the next.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from scheduler.common.waiting import wait_for
from scheduler.engine import instance_counts as engine
from scheduler.engine.fair_share import Capacity
from scheduler.engine.instance_counts import Demand, ScaleDownDelay
from scheduler.nomad import nodes as machines
from scheduler.nomad.api import ConflictError, Json, MissingError, NomadApi, NomadError, why_too_old
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
from scheduler.records.database import Database, execute, select
from scheduler.records.fences import Fenced
from scheduler.supervisor.agents.service import AgentService
from scheduler.supervisor.agents.waiting_reasons import set_waiting
from scheduler.supervisor.cache.live_jobs import LiveJobs
from scheduler.supervisor.instances import demand
from scheduler.supervisor.instances.troubles import LONGEST_PAUSE, LOOKING, Troubles
from scheduler.supervisor.instances.unreachable import UnreachableInstances

log = logging.getLogger("remora.supervisor")

# Seconds between rounds, at most and at least.
TICK = 1.0
BREATH = 0.1
# Seconds for which a pool keeps instances that it does not need, if no other pool wants the room.
IDLE = 5.0
# Seconds for which a node that refused a pool is not asked again.
FULL = 10.0
# Seconds that agents are given to end the instances of a job that is done. Nomad would do it worse: it does not take a
# node as drained if a job with an allocation there was purged (seen in Nomad 2.0.6).
ENDING = 5.0
# Seconds after which everything is read again, although no event has arrived.
LOOK = 60.0
LOOK_DEAF = 5.0  # while there is no stream of events
# Jobs that are read or changed at the same time.
AT_ONCE = 4

NO_NODE = "no node is ready for instances"
FAILING = "instances end as soon as they are started"


class InstanceLoop:
    """The reconcile loop of one supervisor, for its own jobs. It ends when `run` is cancelled."""

    def __init__(
        self,
        supervisor: int,
        db: Database,
        jobs: LiveJobs,
        agent_service: AgentService,
        api: NomadApi,
        template: Template,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._supervisor = supervisor
        self._db = db
        self._jobs = jobs
        self._agents = agent_service
        self._api = api
        self._template = template
        self._now = monotonic
        self._news = News(changed=agent_service.changed)
        self._watch = Watch(api, self._news)
        self._known: dict[str, Known] = {}
        self._stranded = UnreachableInstances()
        self._orphans: dict[str, Booking] = {}  # listed jobs that are not ours: their phase may be over
        self._over: set[str] = set()  # those of them whose phase is over
        self._looked = -LOOK
        self._full: dict[tuple[int, str], float] = {}
        self._ending: dict[str, float] = {}  # jobs whose phase is over, and since when
        self._wants: dict[Booking, int] = {}
        self._steady = ScaleDownDelay(IDLE)
        self._since: dict[int, float] = {}
        self._asked: dict[int, int] = {}
        self._told: dict[int, str | None] = {}  # recorded waiting reasons, by pool
        self._placeable: set[str] = set()  # nodes on which Nomad may place an instance that may be anywhere
        self._troubles = Troubles(monotonic)
        self._reported: str | None = None  # the trouble that is recorded for operators
        self._at_once = asyncio.Semaphore(AT_ONCE)

    async def run(self) -> None:
        """Run rounds until cancelled, or until another supervisor has taken over."""
        watching = asyncio.create_task(self._watch.run())
        try:
            await self._report()
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
        """Learn Nomad's version, which changes its documents, and wait while it is too old.

        Without an answer the latest is assumed.
        """
        try:
            while why := why_too_old(version := await self._api.version()):
                self._troubles.failed(LOOKING, NomadError(why))
                await self._report()
                await asyncio.sleep(LONGEST_PAUSE)
        except NomadError as error:
            log.warning("Nomad does not say its version: the latest is assumed", extra={"why": str(error)})
        else:
            self._template = replace(self._template, version=version)

    async def _round_or_pause(self) -> None:
        try:
            await self.round()
        except Fenced:
            raise
        except NomadError as error:
            pause = self._troubles.failed(LOOKING, error)
            await self._tell({}, [])
            await asyncio.sleep(min(pause, LOOK_DEAF))
        except Exception:
            log.exception("reserving instances failed and is tried again")

    async def round(self) -> None:
        """One round: look, plan, perform, tell. Raises NomadError if Nomad cannot be read."""
        await self._look()
        sessions = self._agents.sessions()
        nodes = demand.open_nodes(sessions, self._agents.most_instances)
        present = {session.node for session in sessions if session.booked}
        known = self._stranded.standing(self._known, present, self._now())
        wishes = demand.demands_of(self._jobs, sessions, known.values(), self._since, self._now())
        numbers = self._numbers(wishes, nodes, demand.slots_in_all(sessions))
        wanted = self._wanted(wishes, numbers, nodes, anywhere=self._placeable <= present)
        self._wants = wanted
        self._keep(wanted, numbers)
        orphans = {job: Known(booking, 0, 0) for job, booking in self._orphans.items()}
        steps = reconcile(wanted, orphans | known, self._over | self._done())
        await asyncio.gather(*(self._perform(step, nodes) for step in steps if self._troubles.may(_id(step))))
        await self._tell(numbers, wishes)

    # -- looking -------------------------------------------------------------------------------

    async def _look(self) -> None:
        """Read what has changed in Nomad."""
        if self._now() - self._looked >= (LOOK if self._watch.live else LOOK_DEAF):
            self._news.all()
        news = self._news.take()
        try:
            if news.nodes:
                self._survey(await self._api.nodes())
            jobs = {job for job in news.jobs if job in self._known} | (await self._list() if news.everything else set())
            jobs |= {job for job in news.jobs if job not in self._orphans} | self._taken_over()
            await asyncio.gather(*(self._read(job) for job in jobs))
        except NomadError:
            self._news.everything, self._news.nodes = True, news.nodes
            raise
        self._troubles.well(LOOKING)

    async def _list(self) -> set[str]:
        """The ids of all jobs of this cluster that are ours: they are to be read."""
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
        """Remove and return the orphans that have become ours, because this supervisor has taken over their job."""
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
        self._troubles.ours(job)
        if known.failed > (before.failed if before is not None and before.index == known.index else 0):
            self._troubles.pause(job)
            log.warning("instances failed", extra={"booking": job, "failed": known.failed})
        if known.blocked and known.booking.node is not None:
            self._full[known.booking.pool, known.booking.node] = self._now()

    def _ours(self, booking: Booking) -> bool:
        live = self._jobs.by_pool(booking.pool)
        return live is not None and live.uuid == booking.job

    def _survey(self, nodes: Sequence[Json]) -> None:
        """Learn where instances may be. Nothing new begins on nodes that Nomad has taken out of use."""
        self._placeable = machines.placeable(nodes, self._template)
        self._agents.bound_memory(machines.largest(nodes))
        closed = machines.closed(nodes)
        for session in (each for each in self._agents.sessions() if each.booked):
            draining = session.node in closed
            if draining != session.draining:
                session.draining = draining
                log.info("a node is closed" if draining else "a node is open again", extra={"node": session.node})
                self._agents.wake()

    async def _is_over(self, booking: Booking) -> bool:
        """Whether the phase of a reservation is over, or never existed."""
        rows = await self._db.read(select("owner_of_pool", pool=booking.pool))
        return not rows or rows[0]["uuid"] != booking.job or rows[0]["state"] == "done"

    def _done(self) -> set[str]:
        """Our reservations whose job is done, once agents have ended the instances or had the time to."""
        lives = {job: self._jobs.by_pool(known.booking.pool) for job, known in self._known.items()}
        ending = {job for job, live in lives.items() if live is None or live.done}
        self._ending = {job: self._ending.get(job, self._now()) for job in ending}
        return {
            job for job, since in self._ending.items() if not self._known[job].live or self._now() - since >= ENDING
        }

    # -- planning ------------------------------------------------------------------------------

    def _numbers(self, wishes: Sequence[Demand], nodes: Mapping[str, Capacity], slots: int) -> dict[int, int]:
        """Number of instances by pool."""
        given = engine.per_pool(wishes, nodes, slots)
        lately = self._steady.update(given, self._now())
        for demanded in wishes:
            live = self._jobs.by_pool(demanded.pool)
            if live is None or live.done or (not demanded.demand and demanded.pool in live.input_ended):
                lately[demanded.pool] = 0  # it gets no further tasks
            asked = sum(demanded.asked.values())
            if asked != self._asked.get(demanded.pool):
                self._asked[demanded.pool], self._since[demanded.pool] = asked, self._now()
        for known in (self._asked, self._since):
            for pool in [pool for pool in known if pool not in given]:
                del known[pool]
        return engine.dampen_scale_down(given, lately, wishes, nodes, slots)

    def _wanted(
        self, wishes: Sequence[Demand], numbers: Mapping[int, int], nodes: Mapping[str, Capacity], anywhere: bool
    ) -> dict[Booking, int]:
        """Number of instances by booking. `anywhere`: every node on which Nomad may place one has an agent."""
        self._full = {key: since for key, since in self._full.items() if self._now() - since < FULL}
        wanted = {}
        for demanded in wishes:
            live = self._jobs.by_pool(demanded.pool)
            if live is None or live.done:
                continue
            number = numbers[demanded.pool]
            for place, count in engine.place_instances(demanded, number, nodes, self._full, anywhere).items():
                wanted[demand.booking_of(live, demanded.pool, place)] = count
        return wanted

    def _keep(self, wanted: Mapping[Booking, int], numbers: Mapping[int, int]) -> None:
        """Tell agents how many of their instances are needed."""
        sessions = [session for session in self._agents.sessions() if session.booked and not session.draining]
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
            self._agents.wake()

    # -- doing ---------------------------------------------------------------------------------

    async def _perform(self, step: Instruction, nodes: Mapping[str, Capacity]) -> None:
        """Perform one instruction; the next round reads its effect."""
        job = _id(step)
        if isinstance(step, Register):  # its phase may be over before the reservation is read for the first time
            self._known[job] = Known(step.booking, 0, step.count, live=step.count)
        try:
            async with self._at_once:
                await self._do(step, nodes)
        except (ConflictError, MissingError) as error:
            if isinstance(step, Register):  # another supervisor was faster, or the name is not ours: a look will tell
                self._troubles.failed(job, error)
            else:
                log.info("a reservation has changed in Nomad meanwhile", extra={"why": str(error)})
        except NomadError as error:
            self._troubles.failed(job, error)
        else:
            log.info("booking changed", extra={"step": str(step)})
            self._troubles.over(job)
            if isinstance(step, Purge):
                self._troubles.well(job)
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

    # -- telling -------------------------------------------------------------------------------

    async def _tell(self, numbers: Mapping[int, int], wishes: Sequence[Demand]) -> None:
        """Record why pools without an instance wait."""
        now = {demanded.pool: self._why(demanded) for demanded in wishes}
        if not wishes:  # Nomad cannot be read, and only that failure is known
            waiting = [pool for live in self._jobs for pool in live.pools if self._jobs.ready[pool] > 0]
            why = self._troubles.for_owners([LOOKING])
            now = {**self._told, **{pool: why for pool in waiting if not self._arrived(pool)}}
        news = {pool: why for pool, why in now.items() if self._told.get(pool, "") != why}
        if news:
            await self._db.write(lambda c: set_waiting(c, news))
        self._told = now
        await self._report()

    async def _report(self) -> None:
        """Record for operators why this supervisor cannot reserve instances."""
        if (trouble := self._troubles.for_operators) != self._reported:
            await self._db.write(execute("set_trouble", supervisor=self._supervisor, trouble=trouble))
            self._reported = trouble

    def _why(self, demanded: Demand) -> str | None:
        ours = [known for known in self._known.values() if known.booking.pool == demanded.pool]
        if not demanded.demand or self._arrived(demanded.pool) or sum(known.live for known in ours):
            return None
        if not demand.open_nodes(self._agents.sessions(), self._agents.most_instances):
            return NO_NODE
        blocked = sorted((known for known in ours if known.blocked), key=lambda known: known.booking.node or "")
        if blocked:
            return blocked[0].blocked
        if any(known.failed for known in ours):
            return FAILING
        return self._troubles.for_owners([LOOKING, *self._asked_for(demanded.pool)])

    def _asked_for(self, pool: int) -> list[str]:
        return [booking.id for booking in self._wants if booking.pool == pool]

    def _arrived(self, pool: int) -> int:
        return sum(session.bookings(pool) for session in self._agents.sessions())


def _id(step: Instruction) -> str:
    return step.booking.id if isinstance(step, Register) else step.id
