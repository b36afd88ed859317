"""Live jobs, as the supervisor caches them: a few numbers per job and per phase."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from scheduler.engine.job import Phase, reopened
from scheduler.engine.operations.status import Stage, Status, unplanned
from scheduler.engine.task import MAX_ATTEMPTS, PIPELINE, Policy
from scheduler.model.job import JobSpec
from scheduler.model.limits import BUILT_IN, Limits
from scheduler.model.operations.stage import Reads
from scheduler.records import accounts
from scheduler.records.database import Connection, Row
from scheduler.supervisor.cache.locality_index import LocalityIndex


class Standing(NamedTuple):
    """Where an operation stands: its status, and the stage whose tasks are to be made, if any can be made now."""

    status: Status
    stage: int | None = None


@dataclass(slots=True)
class LiveJob:
    """A job that is not archived yet. `pools[n]` is the pool of phase n."""

    id: int
    uuid: str
    owner: str
    spec: JobSpec
    pools: list[int]
    inputs: int = 0  # lines of input so far
    dispatched: int = 0
    input_done: bool = False  # no input of the job will follow
    done: bool = False
    input_ended: set[int] = field(default_factory=set)  # pools whose input has ended
    reopened: set[int] = field(default_factory=set)  # those of them with input that is being recomputed
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    working: asyncio.Task[None] | None = None  # dispatches its inputs, or archives it
    standing: Standing | None = None  # of an operation
    limits: Limits = BUILT_IN  # of its account, as they were when the job was read
    stalled: bool = False  # the operation has no step to take: it waits for a place, or for its last process
    suspended: bool = False  # no attempt begins
    checked: bool = False  # the inputs of the operation were available when it began
    lacking: bool = False  # some are not available, and no attempt begins before they are

    @property
    def pending(self) -> bool:
        """Whether inputs wait to be dispatched."""
        return not self.done and self.dispatched < self.inputs

    def may_block(self, pool: int) -> bool:
        """Whether a task of this pool may wait for other tasks of the job."""
        return self.spec.phases[self.phase_of(pool)].blocking and (
            pool not in self.input_ended or pool in self.reopened
        )

    def wake_watchers(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()

    def phase_of(self, pool: int) -> int:
        return self.pools.index(pool)

    def kind(self, phase: int) -> str | None:
        """The kind of a stage; None for a phase of a pipeline."""
        return None if self.spec.operation is None else str(self.spec.operation.stages[phase].kind)

    def policy(self, phase: int) -> Policy:
        """The failure policy of a phase's tasks."""
        if self.spec.operation is None:
            retries = self.spec.phases[phase].retries
            return Policy(failures=retries) if retries else PIPELINE
        return Policy(MAX_ATTEMPTS, 0 if self.spec.operation.failures.goes_on else None, saves=True)

    def makes_objects(self, phase: int) -> bool:
        """Whether outputs of a phase are in the store that all nodes share: those of the job, and what is staged."""
        if self.spec.operation is None:
            return phase + 1 == len(self.pools)
        return not (self.spec.phases[phase].divides and self.spec.phases[phase].keeps_on_node)

    def hashes(self, phase: int) -> bool:
        """Whether outputs of a phase must have an MD5: some become objects as they are."""
        return self.makes_objects(phase) and not (self.spec.phases[phase].divides or self.is_joined(phase))

    def is_joined(self, phase: int) -> bool:
        """Whether the stage after this one makes one object of all that it has left."""
        operation, following = self.spec.operation, phase + 1
        if operation is None or following == len(self.pools):
            return False
        return operation.stages[following].reads is Reads.OUTPUTS

    def next_reducers(self, phase: int) -> int:
        """Reducers of the phase after this one; 0 if that is a map or there is none."""
        return self.spec.phases[phase + 1].reducers if phase + 1 < len(self.pools) else 0


def load_job(c: Connection, row: Row) -> LiveJob:
    """The cache of a row of `jobs`."""
    phases = c.all("phases_of_job", job=row["id"])
    return LiveJob(
        id=row["id"],
        uuid=row["uuid"],
        owner=row["owner"],
        spec=JobSpec.of(json.loads(row["document"])),
        pools=[phase["id"] for phase in phases],
        inputs=row["inputs"],
        dispatched=row["dispatched"],
        input_done=bool(row["input_done"]),
        done=row["state"] == "done",
        input_ended={phase["id"] for phase in phases if phase["input_ended"]},
        reopened=reopened_pools(phases),
        standing=standing_of(row["status"], phases),
        suspended=bool(row["suspended"]),
        limits=accounts.limits_of(c, row["owner"]),
    )


def counters(phases: Sequence[Row]) -> list[Phase]:
    """Rows of `phases` as counters for the engine."""
    return [Phase(row["reducers"], row["issued"], row["finished"], bool(row["input_ended"])) for row in phases]


def reopened_pools(phases: Sequence[Row]) -> set[int]:
    """The pools whose input has ended, while some of it is lost and being recomputed, by rows of `phases`."""
    found = {phases[number]["id"] for number in reopened(counters(phases))}
    for before, phase in pairwise(phases):
        if phase["shared"] is not None and before["finished"] < before["issued"]:
            found.add(phase["id"])
    return found


def standing_of(status: str | None, phases: Sequence[Row]) -> Standing | None:
    """The standing of an operation, by its recorded status and the rows of its stages; None for a pipeline."""
    return None if status is None else Standing(Status(status), unplanned(stages(phases)))


def stages(phases: Sequence[Row]) -> list[Stage]:
    """Rows of `phases` as the stages of an operation, for the engine."""
    return [Stage(bool(row["planned"]), row["issued"], row["finished"]) for row in phases]


class LiveJobs:
    """All live jobs, by id, UUID and pool, and the number of ready tasks of each pool."""

    def __init__(self) -> None:
        self._by_id: dict[int, LiveJob] = {}
        self._by_uuid: dict[str, LiveJob] = {}
        self._by_pool: dict[int, LiveJob] = {}
        self.ready: Counter[int] = Counter()
        self.located = LocalityIndex()

    def __iter__(self) -> Iterator[LiveJob]:
        return iter(list(self._by_id.values()))

    def __len__(self) -> int:
        return len(self._by_id)

    def add(self, job: LiveJob) -> None:
        self._by_id[job.id] = self._by_uuid[job.uuid] = job
        for pool in job.pools:
            self._by_pool[pool] = job

    def remove(self, job: LiveJob) -> None:
        del self._by_id[job.id], self._by_uuid[job.uuid]
        for pool in job.pools:
            del self._by_pool[pool]
            self.ready.pop(pool, None)
            self.located.forget(pool)

    def by_id(self, job: int) -> LiveJob | None:
        return self._by_id.get(job)

    def by_uuid(self, uuid: str) -> LiveJob | None:
        return self._by_uuid.get(uuid)

    def by_pool(self, pool: int) -> LiveJob | None:
        return self._by_pool.get(pool)
