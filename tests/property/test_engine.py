"""Properties of the pure decisions, over all orders of events."""

from hypothesis import given
from hypothesis import strategies as st

from scheduler.engine import job as engine
from scheduler.engine.fair_share import Capacity, PoolShare, reserve, share
from scheduler.engine.route import reducer_for
from scheduler.engine.task import (
    FINAL,
    Cancelled,
    Effect,
    InputArrived,
    InputGone,
    InputLost,
    Leased,
    Lost,
    Policy,
    Released,
    Remake,
    Reported,
    Task,
    TaskState,
    step,
)
from scheduler.model.wire import Outcome

events = st.one_of(
    st.just(InputArrived()),
    st.just(Leased()),
    st.builds(
        Reported,
        st.integers(0, 5),
        st.sampled_from(Outcome),
        st.sampled_from([None, "UserTaskError", "TaskInitError"]),
        counted=st.booleans(),
    ),
    st.builds(Lost, st.booleans()),
    st.just(Released()),
    st.just(Cancelled()),
    st.just(Remake()),
    st.just(InputLost()),
    st.just(InputGone("gone")),
)


policies = st.builds(Policy, st.integers(0, 5), st.none() | st.integers(0, 3), st.booleans())


@given(st.lists(events, max_size=60), policies)
def test_at_most_one_attempt_is_ever_committed(history, policy):
    task, commits, finished = Task(TaskState.WAITING), 0, 0
    for event in history:
        before = task
        result = step(task, event, policy)
        task = result.task
        commits += Effect.COMMIT in result.effects
        finished += (task.state in FINAL) - (before.state in FINAL)
        assert before.state not in FINAL or task == before or Effect.REOPENED in result.effects
        assert task.attempt >= before.attempt
        assert finished == (task.state in FINAL)  # so a count of the finished is exact
    assert commits <= 1
    assert commits == (task.again or task.state is TaskState.COMMITTED)


@given(st.lists(events, max_size=60), policies)
def test_what_a_committed_task_has_made_is_never_thrown_away(history, policy):
    """Only the attempt that has just ended for nothing is."""
    task = Task(TaskState.WAITING)
    for event in history:
        before = task
        result = step(task, event, policy)
        task = result.task
        if before.again and Effect.DISCARD in result.effects:
            assert before.state is not task.state
            assert not isinstance(event, Reported) or event.attempt == before.attempt


pools = st.lists(
    st.builds(
        PoolShare,
        id=st.integers(1, 10_000),
        demand=st.integers(0, 100_000),
        instances=st.integers(0, 20),
        memory_mb=st.sampled_from([128, 256, 512, 1024, 2048, 4096, 8192]),
        since=st.floats(0, 1000),
        settled=st.booleans(),
    ),
    max_size=12,
    unique_by=lambda pool: pool.id,
)
capacities = st.builds(Capacity, slots=st.integers(1, 64), memory_mb=st.integers(64, 65536))


@given(pools, capacities)
def test_targets_fit_the_node(claims, capacity):
    given_to = share(claims, capacity)
    assert set(given_to) == {pool.id for pool in claims}
    assert sum(given_to.values()) <= capacity.slots
    used = sum(pool.memory_mb * given_to[pool.id] for pool in claims)
    assert used <= capacity.memory_mb


@given(pools, capacities)
def test_no_pool_gets_more_than_it_has_use_for(claims, capacity):
    given_to = share(claims, capacity)
    assert all(given_to[pool.id] <= (pool.demand or pool.instances) for pool in claims)


@given(pools, st.integers(1, 64))
def test_every_pool_with_demand_gets_one_while_there_are_slots(claims, slots):
    given_to = share(claims, Capacity(slots, memory_mb=1 << 40))
    wanting = [pool for pool in claims if pool.demand]
    served = [pool for pool in wanting if given_to[pool.id]]
    assert len(served) == min(len(wanting), slots)


@given(pools, st.integers(4, 64))
def test_the_reserve_goes_to_first_instances_only(claims, slots):
    wanting = [pool for pool in claims if pool.demand]
    given_to = share(wanting, Capacity(slots, memory_mb=1 << 40))
    beyond_first = sum(max(0, count - 1) for count in given_to.values())
    firsts = sum(1 for count in given_to.values() if count)
    assert beyond_first <= max(0, slots - reserve(slots) - firsts)


def after(claims: list[PoolShare], targets: dict[int, int], now: float) -> list[PoolShare]:
    """The same pools once they have what they were given."""
    return [
        PoolShare(
            pool.id, pool.demand, targets[pool.id], pool.memory_mb,
            pool.since if targets[pool.id] == pool.instances else now,
            pool.settled if targets[pool.id] == pool.instances else False,
        )
        for pool in claims
    ]  # fmt: skip


@given(pools, capacities)
def test_asking_again_with_what_was_given_gives_the_same(claims, capacity):
    """No thrashing: once every pool has its target, the targets stay until a quantum is over."""
    wanting = [pool for pool in claims if pool.demand]
    first = share(wanting, capacity)
    second = share(after(wanting, first, 2000.0), capacity)
    third = share(after(after(wanting, first, 2000.0), second, 2001.0), capacity)
    assert third == second


@given(st.integers(1, 12), st.integers(1, 8))
def test_with_more_pools_than_slots_every_pool_has_its_turn(count, slots):
    claims = [PoolShare(number, 1000, 0, 128) for number in range(1, count + 1)]
    turns = dict.fromkeys(range(1, count + 1), 0)
    for quantum in range(1, 3 * count + 1):
        targets = share(claims, Capacity(slots, 1 << 40))
        for pool, instances in targets.items():
            turns[pool] += instances > 0
        claims = [
            PoolShare(pool.id, 1000, pool.instances, 128, pool.since, settled=True)
            for pool in after(claims, targets, float(quantum))
        ]
    fair = 3 * count * min(1.0, slots / count)
    assert min(turns.values()) >= max(1, fair / 2)


@given(st.integers(1, 128), st.floats(0, 1, exclude_max=True))
def test_an_unnamed_reducer_is_one_that_exists(count, draw):
    chosen = reducer_for(None, count, draw)
    assert chosen is not None
    assert 0 <= chosen < count


@given(st.integers(-5, 200), st.integers(1, 128))
def test_a_named_reducer_is_that_one_or_none(named, count):
    assert reducer_for(named, count, 0.5) == (named if 0 <= named < count else None)


class Simulation:
    """A job run by the decisions alone: counters, and a scheduler that picks the next step."""

    def __init__(self, reducers: list[int], inputs: int, fan_out: int) -> None:
        self.fan_out = fan_out
        self.inputs, self.added, self.dispatched, self.input_done = inputs, 0, 0, False
        self.reducers = reducers
        self.issued = list(reducers)
        self.finished = [0] * len(reducers)
        self.ended = [False] * len(reducers)
        self.outputs, self.done = 0, False

    def view(self) -> engine.Job:
        phases = [engine.Phase(*row) for row in zip(self.reducers, self.issued, self.finished, self.ended, strict=True)]
        return engine.Job(self.input_done, self.added, self.dispatched, phases)

    def choices(self):
        found = []
        if self.added < self.inputs:
            found.append(self.add)
        elif not self.input_done:
            found.append(self.end)
        if self.dispatched < self.added:
            found.append(self.dispatch)
        for number, reducers in enumerate(self.reducers):
            if self.finished[number] < self.issued[number] and (not reducers or self.ended[number]):
                found.append(lambda number=number: self.finish(number))
        return found

    def add(self):
        self.added += 1

    def end(self):
        self.input_done = True

    def dispatch(self):
        self.dispatched += 1
        self.emit(0, 1)

    def finish(self, number):
        self.finished[number] += 1
        self.emit(number + 1, self.fan_out)

    def emit(self, number, count):
        if number == len(self.reducers):
            self.outputs += count
        elif not self.reducers[number]:
            self.issued[number] += count
        else:
            assert not self.ended[number], "an input came after the end of input"

    def advance(self):
        while not self.done and (decisions := engine.advance(self.view())):
            for decision in decisions:
                if isinstance(decision, engine.EndInput):
                    assert not self.ended[decision.phase]
                    self.ended[decision.phase] = True
                else:
                    self.done = True


@given(
    st.lists(st.sampled_from([0, 0, 1, 3]), min_size=1, max_size=4),
    st.integers(0, 5),
    st.integers(0, 2),
    st.data(),
)
def test_every_job_ends_in_every_order_and_never_early(reducers, inputs, fan_out, data):
    sim = Simulation(reducers, inputs, fan_out)
    sim.advance()
    while choices := sim.choices():
        assert not sim.done, "done while there was something to do"
        data.draw(st.sampled_from(choices))()
        sim.advance()
    assert sim.done
    assert sim.finished == sim.issued
