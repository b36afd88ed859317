"""How many instances to book, and where.

In a cluster that books instances, fair share is computed over all nodes together (`per_pool`),
and then each pool's number is split by where its tasks' input lies (`split`): so many on this
node, so many on that, the rest anywhere. What is asked for already is kept where it is within
rounding, since to move an instance costs a new one; and more are asked for only if the pool has
too few in all (`limit_growth`), since an instance elsewhere is better than none.

Reducers whose input is still open are shared out apart, as on one machine: they may block for
as long as the tasks before them need. But a booking is real memory, so all of these together
get at most half of it, and the other half is always there for tasks that make progress.

Demand falls when tasks end and rises when they commit, many times a second; what is booked must
not. So a number rises at once, and what it was lately (`ScaleDownDelay`) is kept for a while, as far as
nobody else wants the room (`dampen_scale_down`).

Which of a pool's instances go is said by node (`choose_survivors`).

Example: 3 nodes with 2 slots each, a pool with 90 tasks on n1 and 30 anywhere: 5 instances (one
slot is the reserve), of which n1 gets 2, since it has not more slots, and 3 are anywhere.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from scheduler.engine import fair_share

Place = str | None  # a node, or anywhere
Nodes = Mapping[str, fair_share.Capacity]


@dataclass(frozen=True, slots=True)
class Demand:
    """What a pool has to do, by place, and how many instances are asked for already."""

    pool: int
    memory_mb: int
    demand: Mapping[Place, int]
    asked: Mapping[Place, int] = field(default_factory=dict)
    open: bool = False  # a reduce phase whose input has not ended
    since: float = 0.0
    settled: bool = True
    account: str = ""


def per_pool(demands: Sequence[Demand], nodes: Nodes) -> dict[int, int]:
    """Instances by pool."""
    largest = max((node.memory_mb for node in nodes.values()), default=0)
    found: dict[int, int] = {}
    for is_open in (False, True):
        pools = [_pool(demanded, largest) for demanded in demands if demanded.open == is_open]
        found |= fair_share.share(pools, _capacity(nodes, is_open))
    return found


def dampen_scale_down(
    given: Mapping[int, int], lately: Mapping[int, int], demands: Sequence[Demand], nodes: Nodes
) -> dict[int, int]:
    """The same, and what pools had lately besides, as far as there is room."""
    found = dict(given)
    for is_open in (False, True):
        capacity = _capacity(nodes, is_open)
        ours = [demanded for demanded in demands if demanded.open == is_open]
        slots = capacity.slots - sum(given[demanded.pool] for demanded in ours)
        memory = capacity.memory_mb - sum(given[demanded.pool] * demanded.memory_mb for demanded in ours)
        for demanded in ours:
            more = min(lately.get(demanded.pool, 0) - given[demanded.pool], slots, memory // demanded.memory_mb)
            if more > 0:
                found[demanded.pool] += more
                slots -= more
                memory -= more * demanded.memory_mb
    return found


def _capacity(nodes: Nodes, is_open: bool) -> fair_share.Capacity:
    memory = sum(node.memory_mb for node in nodes.values())
    return fair_share.Capacity(sum(node.slots for node in nodes.values()), memory // 2 if is_open else memory)


def _pool(demanded: Demand, largest: int) -> fair_share.PoolShare:
    demand = sum(demanded.demand.values()) if demanded.memory_mb <= largest else 0
    asked = sum(demanded.asked.values()) if demand else 0  # what is kept without demand is `dampen_scale_down`'s to say
    return fair_share.PoolShare(
        demanded.pool, demand, asked, demanded.memory_mb, demanded.since, demanded.settled, demanded.account
    )


def place_instances(
    demanded: Demand, number: int, nodes: Nodes, full: Collection[tuple[int, str]] = ()
) -> dict[Place, int]:
    """Where the instances of a pool are to be; every place with some asked for is in it.

    `full`: nodes that have refused a pool.
    """
    rooms = {name: node.slots for name, node in nodes.items() if (demanded.pool, name) not in full}
    return limit_growth(split(number, demanded.demand, demanded.asked, rooms), demanded.asked)


def split(
    number: int, demand: Mapping[Place, int], asked: Mapping[Place, int], rooms: Mapping[str, int]
) -> dict[Place, int]:
    """`number` instances in proportion to demand; a node gets no more than its room, the rest is anywhere."""
    total = sum(demand.values())
    ideal: dict[Place, float] = {}
    for place, tasks in demand.items():
        if place is not None and place in rooms and tasks > 0:
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
    least = int(ideal + 1e-9)
    return min(max(asked, least), least + (ideal > least + 1e-9))


def limit_growth(wanted: Mapping[Place, int], asked: Mapping[Place, int]) -> dict[Place, int]:
    """Let places grow only by what all of them together are short of."""
    short = sum(wanted.values()) - sum(asked.values())
    found = {}
    for place in sorted(wanted, key=lambda place: asked.get(place, 0) - wanted[place]):
        more = max(0, min(wanted[place] - asked.get(place, 0), short))
        found[place] = min(wanted[place], asked.get(place, 0) + more)
        short -= more
    return found


def choose_survivors(
    number: int, booked: Mapping[str, int], pinned: Mapping[Place, int], busy: Mapping[str, int]
) -> dict[str, int]:
    """Of the instances that a pool has on each node, how many stay, so that `number` are left in all.

    Those go first that are more than is wanted on their node, and of these where least is done.
    """
    kept = dict(booked)
    for _ in range(sum(booked.values()) - number):
        node = max(
            (node for node in kept if kept[node]),
            key=lambda node: (kept[node] - pinned.get(node, 0), -busy.get(node, 0), node),
        )
        kept[node] -= 1
    return kept


@dataclass(slots=True)
class ScaleDownDelay:
    """Numbers that rise at once, and fall when they have been lower for `seconds`."""

    seconds: float
    _held: dict[int, tuple[int, float]] = field(default_factory=dict)

    def update(self, numbers: Mapping[int, int], now: float) -> dict[int, int]:
        """Those of now; keys that are missing are forgotten."""
        for key, number in numbers.items():
            held, since = self._held.get(key, (0, now))
            if number >= held or now - since >= self.seconds:
                self._held[key] = (number, now)
        self._held = {key: self._held[key] for key in numbers}
        return {key: held for key, (held, _) in self._held.items()}
