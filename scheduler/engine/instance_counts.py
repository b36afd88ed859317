"""Instance counts: how many instances each pool should reserve in a cluster, and on which nodes.

In a cluster with Nomad, fair share is computed over all nodes together (`per_pool`), and then each pool's number is
split by where the input of its tasks lies (`split`): some on this node, some on that one, the rest anywhere. Existing
reservations stay where they are if they match within rounding, since moving an instance costs a new one. A place gets
more only if the pool has too few in total (`limit_growth`), since an instance on another node is better than none.

"Anywhere" is the cluster manager's choice, and it knows less than we do: a node whose power fails is without an agent
after ten seconds, and the manager gives it up after half a minute, so until then it might place an instance there.
While there is such a node, instances are requested on nodes with an agent only (`pin`).

Reducers whose input is still open are shared out apart, as on one machine: they may block for as long as the tasks
before them need. A reservation is real memory, so all of these together get at most half of it, and the other half is
always there for tasks that make progress.

Sessions of users have places beyond the slots of all nodes together (`session_places`), as on one machine, and at most
a quarter of the memory: a launcher takes next to none of a node's processors, so Nomad has room for it where there is
memory.

Demand falls when tasks end and rises when they commit, many times a second; reservations must not follow that. So a
number rises at once, and its recent value (`ScaleDownDelay`) is kept for a while, as far as no other pool needs the
room (`dampen_scale_down`).

`choose_survivors` says for each node how many of a pool's instances stay.

Example: 3 nodes with 2 slots each, a pool with 90 tasks on n1 and 30 anywhere: 5 instances (one slot is the reserve).
n1 gets 2 of them, since it has only 2 slots, and 3 are anywhere.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from scheduler.engine import fair_share, session_places

Place = str | None  # a node, or None: anywhere
Nodes = Mapping[str, fair_share.Capacity]
SESSIONS_PART = 4  # sessions in places get one part of so many of the memory


@dataclass(frozen=True, slots=True)
class Demand:
    """The tasks of a pool by place, and the instances that are requested for it already."""

    pool: int
    memory_mb: int
    demand: Mapping[Place, int]
    asked: Mapping[Place, int] = field(default_factory=dict)
    open: bool = False  # a reduce phase whose input has not ended
    session: bool = False  # of a user, who waits for it
    since: float = 0.0
    settled: bool = True
    account: str = ""


def per_pool(demands: Sequence[Demand], nodes: Nodes, slots: int) -> dict[int, int]:
    """Number of instances by pool, of all nodes together. `slots`: of all nodes, whichever supervisor uses them."""
    found = seated = _seats(demands, nodes, slots)
    largest = _largest(nodes)
    for is_open in (False, True):
        pools = [_pool(each, largest) for each in demands if each.open == is_open and each.pool not in seated]
        found = found | fair_share.share(pools, _capacity(demands, nodes, seated, is_open))
    return found


def _seats(demands: Sequence[Demand], nodes: Nodes, slots: int) -> dict[int, int]:
    """Number of instances of the sessions that have places, by pool."""
    sessions = [_pool(each, _largest(nodes)) for each in demands if each.session]
    memory = sum(node.memory_mb for node in nodes.values())
    free = memory - sum(sum(each.asked.values()) * each.memory_mb for each in demands)
    theirs = memory // SESSIONS_PART - sum(session.taken * session.memory_mb for session in sessions)
    return session_places.seats(sessions, slots, min(free, theirs))


def dampen_scale_down(
    given: Mapping[int, int], lately: Mapping[int, int], demands: Sequence[Demand], nodes: Nodes, slots: int
) -> dict[int, int]:
    """The numbers in `given`, raised towards the pools' recent numbers as far as there is room."""
    found = dict(given)
    seated = _seats(demands, nodes, slots)
    for is_open in (False, True):
        capacity = _capacity(demands, nodes, seated, is_open)
        ours = [demanded for demanded in demands if demanded.open == is_open and demanded.pool not in seated]
        room = capacity.slots - sum(given[demanded.pool] for demanded in ours)
        memory = capacity.memory_mb - sum(given[demanded.pool] * demanded.memory_mb for demanded in ours)
        for demanded in ours:
            more = min(lately.get(demanded.pool, 0) - given[demanded.pool], room, memory // demanded.memory_mb)
            if more > 0:
                found[demanded.pool] += more
                room -= more
                memory -= more * demanded.memory_mb
    return found


def _capacity(demands: Sequence[Demand], nodes: Nodes, seated: Mapping[int, int], is_open: bool) -> fair_share.Capacity:
    """The slots and the memory for tasks: what is left beside sessions in their places, at most half for open ones."""
    memory = sum(node.memory_mb for node in nodes.values())
    left = max(0, memory - sum(seated.get(each.pool, 0) * each.memory_mb for each in demands))
    slots = sum(node.slots for node in nodes.values())
    return fair_share.Capacity(slots, min(left, memory // 2) if is_open else left)


def _largest(nodes: Nodes) -> int:
    """The memory of the largest node."""
    return max((node.memory_mb for node in nodes.values()), default=0)


def _pool(demanded: Demand, largest: int) -> fair_share.PoolShare:
    demand = sum(demanded.demand.values()) if demanded.memory_mb <= largest else 0
    asked = sum(demanded.asked.values()) if demand else 0  # `dampen_scale_down` decides what stays without demand
    return fair_share.PoolShare(
        demanded.pool, demand, asked, demanded.memory_mb, demanded.since, demanded.settled, demanded.account
    )


def place_instances(
    demanded: Demand, number: int, nodes: Nodes, full: Collection[tuple[int, str]] = (), anywhere: bool = True
) -> dict[Place, int]:
    """Number of instances by place for one pool; every place with a request is included.

    `full`: nodes that have refused a pool. `anywhere`: whether more may be requested without a node.
    """
    rooms = {name: node.slots for name, node in nodes.items() if (demanded.pool, name) not in full}
    wanted = split(number, demanded.demand, demanded.asked, rooms)
    return limit_growth(wanted if anywhere else pin(wanted, demanded.asked, rooms), demanded.asked)


def split(
    number: int, demand: Mapping[Place, int], asked: Mapping[Place, int], rooms: Mapping[str, int]
) -> dict[Place, int]:
    """`number` instances by place, in proportion to demand. A node gets at most its room; the rest is anywhere."""
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


def pin(wanted: Mapping[Place, int], asked: Mapping[Place, int], rooms: Mapping[str, int]) -> dict[Place, int]:
    """The wanted numbers, with no more anywhere than are requested already: the others go where most room is left."""
    found = dict(wanted)
    for _ in range(found.get(None, 0) - asked.get(None, 0) if rooms else 0):
        node = max(rooms, key=lambda node: (rooms[node] - found.get(node, 0), node))
        found[node] = found.get(node, 0) + 1
        found[None] -= 1
    return found


def _near(asked: int, ideal: float) -> int:
    """The number that is requested already, if it equals the ideal within rounding; else the ideal, rounded."""
    least = int(ideal + 1e-9)
    return min(max(asked, least), least + (ideal > least + 1e-9))


def limit_growth(wanted: Mapping[Place, int], asked: Mapping[Place, int]) -> dict[Place, int]:
    """The wanted numbers by place, which grow only by what all places together lack."""
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
    """Number of a pool's instances that stay, by node, so that `number` are left in all.

    Instances beyond what is wanted on their node go first, and of these the ones on the least busy nodes.
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
    """Numbers by key that rise at once, and fall after they have been lower for `seconds`."""

    seconds: float
    _held: dict[int, tuple[int, float]] = field(default_factory=dict)

    def update(self, numbers: Mapping[int, int], now: float) -> dict[int, int]:
        """The numbers that hold at `now`, given the latest ones; missing keys are forgotten."""
        for key, number in numbers.items():
            held, since = self._held.get(key, (0, now))
            if number >= held or now - since >= self.seconds:
                self._held[key] = (number, now)
        self._held = {key: self._held[key] for key in numbers}
        return {key: held for key, (held, _) in self._held.items()}
