"""Reconciliation: the instructions that lead from the jobs that Nomad has to those that are wanted.
Pure.

A count is requested from Nomad, which makes allocations. The number that is still requested is not
`count`: an allocation of a batch job that has ended is not replaced, unless the job was changed
since (then Nomad no longer counts it). So

    asked = count - allocations that ended, of the job's present version

less the allocations on nodes that are gone, though Nomad does not know yet (`strand`). This is
compared with the wanted number. Three rules:

- Too few asked: set the count to the wanted number. This makes a new version, for which no
  allocation has ended yet.
- Too many asked: take back allocations that are not placed yet, never placed ones. A live instance
  is ended by its agent, and then counts as ended.
- None wanted and none left, or the pool has ended: purge. Nomad forgets the job, and its id is
  free.

Example: count 3, and the agent ended one: asked is 2. If 2 are wanted there is no instruction; if 3
are, count is set to 3 again, and the ended one does not count any more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from scheduler.nomad.job_documents import GROUP, Booking, booking_of

ENDED = ("complete", "failed")
LIVE = ("pending", "running", "unknown")


@dataclass(frozen=True, slots=True)
class Known:
    """A job of ours as Nomad has it. `index` is the version to start a change from."""

    booking: Booking
    index: int
    count: int
    ended: int = 0
    failed: int = 0  # of the ended allocations
    live: int = 0
    blocked: str | None = None  # the reason why some were not placed
    at: Mapping[str, int] = field(default_factory=dict)  # live allocations by node
    stranded: int = 0  # allocations that live only according to Nomad

    @property
    def id(self) -> str:
        return self.booking.id

    @property
    def asked(self) -> int:
        return max(self.count - self.ended - self.stranded, 0)


@dataclass(frozen=True, slots=True)
class Register:
    """Register a new job."""

    booking: Booking
    count: int


@dataclass(frozen=True, slots=True)
class Scale:
    """Set the count of a job."""

    id: str
    count: int
    index: int


@dataclass(frozen=True, slots=True)
class Purge:
    """Stop and remove a job."""

    id: str


Instruction = Register | Scale | Purge


def reconcile(
    wanted: Mapping[Booking, int], known: Mapping[str, Known], over: Collection[str] = ()
) -> list[Instruction]:
    """The instructions that turn `known` into `wanted`. Jobs that are not in `wanted` are purged if
    `over` has them.
    """
    ours = {booking.id: booking for booking in wanted}
    steps: list[Instruction] = [Purge(job) for job in sorted(over) if job in known and job not in ours]
    for booking, count in wanted.items():
        had = known.get(booking.id)
        if had is None:
            steps += [Register(booking, count)] if count else []
        elif had.booking == booking:
            steps += _adjust(had, count)
    return steps


def _adjust(had: Known, count: int) -> list[Instruction]:
    if not count and not had.live:
        return [Purge(had.id)]
    target = max(count, had.live)
    return [Scale(had.id, target + had.stranded, had.index)] if had.asked < count or had.asked > target else []


def strand(known: Known, gone: Collection[str]) -> Known:
    """The same job, when the allocations on these nodes do not live."""
    stranded = sum(count for node, count in known.at.items() if node in gone)
    return replace(known, live=known.live - stranded, stranded=stranded)


def understand(
    job: Mapping[str, Any],
    allocations: Sequence[Mapping[str, Any]],
    evaluations: Sequence[Mapping[str, Any]],
    cluster: str,
) -> Known | None:
    """A job as Nomad describes it; None if it is not ours, or has stopped for good."""
    booking = booking_of(job.get("Meta"), cluster)
    if booking is None or job.get("ID") != booking.id:
        return None
    version = job.get("Version", 0)
    running = [one for one in allocations if one["DesiredStatus"] == "run"]
    live = Counter(one["NodeName"] for one in running if one["ClientStatus"] in LIVE)
    ended = [one for one in running if one["ClientStatus"] in ENDED and one.get("JobVersion", 0) == version]
    count = next((group["Count"] for group in job.get("TaskGroups") or [] if group["Name"] == GROUP), 0)
    return Known(
        booking=booking,
        index=job["JobModifyIndex"],
        count=0 if job.get("Stop") else count,
        ended=len(ended),
        failed=sum(one["ClientStatus"] == "failed" for one in ended),
        live=live.total(),
        blocked=_blocked(booking, evaluations),
        at=live,
    )


def _blocked(booking: Booking, evaluations: Sequence[Mapping[str, Any]]) -> str | None:
    for evaluation in evaluations:
        if evaluation["Status"] == "blocked":
            return why_not(booking, (evaluation.get("FailedTGAllocs") or {}).get(GROUP) or {})
    return None


def why_not(booking: Booking, metrics: Mapping[str, Any]) -> str:
    """The reason why an instance could not be placed, as a sentence for the job's owner."""
    where = "no node" if booking.node is None else f"node {booking.node} is not there or"
    exhausted = " ".join(metrics.get("DimensionExhausted") or {})
    if "memory" in exhausted:
        return f"{_who(booking)} {booking.memory_mb} MiB of memory free"
    if "disk" in exhausted:
        return f"{_who(booking)} {booking.disk_gb} GB of disk free"
    if "cpu" in exhausted or "cores" in exhausted:
        return f"{_who(booking)} a share of its processors free"
    if metrics.get("QuotaExhausted"):
        return "the quota for instances is used up"
    if not metrics.get("NodesEvaluated"):
        return "no node is ready for instances"
    return f"{where} takes instances" if booking.node is None else f"{where} takes no instances"


def _who(booking: Booking) -> str:
    return "no node has" if booking.node is None else f"node {booking.node} does not have"
