"""Changes: what a transaction changed, for the cache in memory and for those who wait for it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from scheduler.model.job import JobSpec
from scheduler.model.wire import AttemptId, AttemptReport
from scheduler.supervisor.cache.live_jobs import Standing


class Revoked(NamedTuple):
    """A running attempt that no longer counts."""

    agent: int
    pool: int
    task: int
    attempt: int


class Placed(NamedTuple):
    """An intermediate in the store of a node."""

    node: str
    blob: str


@dataclass(slots=True)
class Changes:
    """The changes of one transaction, applied to the cache after its commit, and only then.

    `ready` counts tasks by pool, and `located` those among them that belong to a node, by pool and node. `discard` are
    blobs of the shared store without a name left, `discard_at` those of nodes. `finished_reducers` are reduce tasks
    whose inputs may be forgotten, `consumed_reducers` those whose inputs may be discarded. `left` counts attempts that
    agents no longer hold, by pool. `recover`: jobs with lost intermediates that must be recomputed; `reopened`: by job,
    pools whose input has ended, but some of it is being recomputed. `refused`: reported attempts that do not count.
    """

    ready: Counter[int] = field(default_factory=Counter)
    located: Counter[tuple[int, str]] = field(default_factory=Counter)
    left: Counter[int] = field(default_factory=Counter)
    ended_pools: set[int] = field(default_factory=set)
    changed_jobs: set[int] = field(default_factory=set)
    done_jobs: set[int] = field(default_factory=set)
    finished_reducers: list[int] = field(default_factory=list)
    consumed_reducers: list[int] = field(default_factory=list)
    discard: list[str] = field(default_factory=list)
    discard_at: list[Placed] = field(default_factory=list)
    recover: set[int] = field(default_factory=set)
    reopened: dict[int, set[int]] = field(default_factory=dict)
    revoked: list[Revoked] = field(default_factory=list)
    refused: list[AttemptId] = field(default_factory=list)
    standings: dict[int, Standing] = field(default_factory=dict)  # of operations, by job
    stalled: set[int] = field(default_factory=set)  # operations that have no step to take before something happens
    lacking: set[int] = field(default_factory=set)  # operations whose attempts could not read their input
    suspended: dict[int, bool] = field(default_factory=dict)  # by job, if that has changed
    specs: dict[int, JobSpec] = field(default_factory=dict)  # of operations that were updated, by job
    dispatched: Counter[int] = field(default_factory=Counter)  # lines of operations' inputs that were read, by job
    outcomes: Counter[str] = field(default_factory=Counter)  # for metrics: committed, failed, retried …

    def now_ready(self, pool: int, node: str | None, count: int = 1) -> None:
        """Count tasks that have become ready and belong to `node`, or to none. A negative `count` undoes that."""
        self.ready[pool] += count
        if node is not None:
            self.located[pool, node] += count

    def refuse(self, report: AttemptReport) -> None:
        """Refuse a report, which does not count: its agent may remove what the attempt has left."""
        self.refused.append(AttemptId(task=report.task, attempt=report.attempt))

    def throw(self, node: str | None, blob: str) -> None:
        """Discard an intermediate that no task needs any more, on `node` or in the shared store."""
        if node is None:
            self.discard.append(blob)
        else:
            self.discard_at.append(Placed(node, blob))
