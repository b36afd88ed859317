"""How many instances to book, and where.

In a cluster that books instances, fair share is computed over all nodes together, and then
each pool's number is split by where its tasks' input lies: so many on this node, so many on
that, the rest anywhere. What is asked for already is kept where it is within rounding, since
to move an instance costs a new one.

Reducers whose input is still open are shared out apart, as on one machine: they may block for
as long as the tasks before them need. But a booking is real memory, so all of these together
get at most half of it, and the other half is always there for tasks that make progress.

Demand falls when tasks end and rises when they commit, many times a second; what is booked
must not. `Steady` lets it rise at once and fall after a while.

Example: 3 nodes with 2 slots each, a pool with 90 tasks on n1 and 30 anywhere: 6 instances,
of which n1 gets 2, since it has not more slots, and 4 are anywhere.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field

from scheduler.engine import share

Place = str | None  # a node, or anywhere


@dataclass(frozen=True, slots=True)
class Claim:
    """What a pool has to do, by place, and how many instances are asked for already."""

    pool: int
    memory_mb: int
    demand: Mapping[Place, int]
    asked: Mapping[Place, int]
    open: bool = False  # a reduce phase whose input has not ended
    since: float = 0.0
    settled: bool = True


def desired(
    claims: Sequence[Claim],
    nodes: Mapping[str, share.Capacity],
    full: Collection[tuple[int, str]] = (),
) -> dict[tuple[int, Place], int]:
    """Instances by pool and place; every place with some asked for is in it. `full`: nodes that refused a pool."""
    slots = sum(node.slots for node in nodes.values())
    memory = sum(node.memory_mb for node in nodes.values())
    largest = max((node.memory_mb for node in nodes.values()), default=0)
    numbers: dict[int, int] = {}
    for is_open, part in ((False, memory), (True, memory // 2)):
        pools = [_pool(claim, largest) for claim in claims if claim.open == is_open]
        numbers |= share.share(pools, share.Capacity(slots, part))
    found: dict[tuple[int, Place], int] = {}
    for claim in claims:
        rooms = {name: node.slots for name, node in nodes.items() if (claim.pool, name) not in full}
        for place, count in split(numbers[claim.pool], claim.demand, claim.asked, rooms).items():
            found[claim.pool, place] = count
    return found


def _pool(claim: Claim, largest: int) -> share.Pool:
    demand = sum(claim.demand.values()) if claim.memory_mb <= largest else 0
    asked = sum(claim.asked.values()) if demand else 0  # what nobody needs is not kept: others may want the room
    return share.Pool(claim.pool, demand, asked, claim.memory_mb, claim.since, claim.settled)


def split(
    number: int, demand: Mapping[Place, int], asked: Mapping[Place, int], rooms: Mapping[str, int]
) -> dict[Place, int]:
    """`number` instances in proportion to demand; a node gets no more than its room, the rest is anywhere."""
    total = sum(demand.values())
    ideal: dict[Place, float] = {}
    for place, tasks in demand.items():
        if place is not None and place in rooms and tasks and total:
            ideal[place] = min(number * tasks / total, tasks, rooms[place])
    ideal[None] = number - sum(ideal.values())
    given = {place: _near(asked.get(place, 0), share_of) for place, share_of in ideal.items()}
    spare = number - sum(given.values())
    while spare:
        step = 1 if spare > 0 else -1
        place = max(ideal, key=lambda place: (step * (ideal[place] - given[place]), place is None, place or ""))
        given[place] += step
        spare -= step
    return dict.fromkeys(asked, 0) | given


def _near(asked: int, ideal: float) -> int:
    """What is asked, if that is the ideal but for rounding."""
    least = int(ideal)
    return min(max(asked, least), least + (ideal > least))


@dataclass(slots=True)
class Steady:
    """Numbers that rise at once, and fall when they have been lower for `seconds`."""

    seconds: float
    _held: dict[Hashable, tuple[int, float]] = field(default_factory=dict)

    def update(self, numbers: Mapping[Hashable, int], now: float) -> dict[Hashable, int]:
        """Those of now; keys that are missing fall to 0 and are forgotten."""
        for key in {**self._held, **numbers}:
            number = numbers.get(key, 0)
            held, since = self._held.get(key, (0, now))
            if number >= held or now - since >= self.seconds:
                self._held[key] = (number, now)
        self._held = {key: value for key, value in self._held.items() if value[0]}
        return {key: held for key, (held, _) in self._held.items()}
