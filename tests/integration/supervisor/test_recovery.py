"""What died with a node is made again: a simulated cluster, and the cases that have rules of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from scheduler.supervisor.tasks import recovery
from tests.support.simulated.cluster import Cluster
from tests.support.simulated.runs import survives
from tests.support.simulated.tasks import MAP, Said
from tests.support.variants import variants

ONE = {"exec": "r", "type": "reduce"}
THREE = {"exec": "r", "type": "reduce", "count": 3}


@pytest.mark.parametrize("first", variants(range(0, 12, 4)))
def test_whatever_happens_to_nodes_a_job_ends_as_if_nothing_had(first):
    assert sum(survives(seed).remakes for seed in range(first, first + 4)) > 0


def one_each(spec, data, attempt):
    """Each task makes one output."""
    return [Said(b"%d(%s)" % (spec.phase, data))]


@asynccontextmanager
async def running(*phases: dict[str, object], does=one_each, inputs: int = 6) -> AsyncIterator[tuple[Cluster, str]]:
    """A cluster with a job; its nodes are to be started."""
    cluster = Cluster(seed=1)
    cluster.does = does
    job = await cluster.prepare(inputs, list(phases))
    try:
        yield cluster, job
    finally:
        await cluster.close()


def committed(cluster: Cluster, phase: int) -> int:
    statement = "SELECT count(*) AS n FROM tasks WHERE pool = :pool AND state = 'committed'"
    return cluster.db.connection.plain(statement, pool=phase + 1)[0]["n"]


async def made_on(cluster: Cluster, job: str, name: str, tasks: int) -> None:
    """The whole first phase runs on one node, and nothing of the next one."""
    node = cluster.nodes[name]
    await node.start()
    while committed(cluster, 0) < tasks:
        await node.poll()
        queued, node.queue = node.queue, []
        node.queue = [(spec, lease) for spec, lease in queued if spec.phase == 0]
        later = [(spec, lease) for spec, lease in queued if spec.phase > 0]
        while node.queue:
            node.run_one()
        await node.report()
        node.queue = later


async def lose_for_good(cluster: Cluster, name: str) -> None:
    cluster.nodes[name].die(disk=False)
    await cluster.pass_time(12)


async def test_a_dead_nodes_intermediates_are_made_again_elsewhere():
    async with running(MAP, MAP) as (cluster, job):
        await made_on(cluster, job, "n1", tasks=6)
        await lose_for_good(cluster, "n1")
        await cluster.nodes["n2"].start()
        await cluster.until(job, lambda: False)
        result = await cluster.result(job)
        assert cluster.remakes() == 6
        assert result["outputs"] == sorted(b"1(0(input %d))" % n for n in range(6))
        assert result["counts"] == {"outputs": 6, "errors": 0, "retries": 0, "dispatched": 6}
        assert [phase["finished"] for phase in result["phases"]] == [6, 6]
        assert [phase["metered"] for phase in result["phases"]] == [6, 6]


async def test_a_node_that_is_back_within_its_lease_has_lost_nothing():
    async with running(MAP, MAP) as (cluster, job):
        await made_on(cluster, job, "n1", tasks=6)
        cluster.nodes["n1"].die(disk=True)
        await cluster.pass_time(9)
        await cluster.nodes["n1"].start()
        await cluster.until(job, lambda: False)
        assert cluster.remakes() == 0
        assert len((await cluster.result(job))["outputs"]) == 6


async def test_a_node_that_is_back_with_another_disk_has_lost_what_was_on_the_first():
    async with running(MAP, MAP) as (cluster, job):
        await made_on(cluster, job, "n1", tasks=6)
        cluster.nodes["n1"].die(disk=False)
        await cluster.nodes["n1"].start()
        await cluster.turns()
        assert cluster.remakes() == 6  # nobody had to miss it first
        await cluster.until(job, lambda: False)
        assert cluster.db.connection.plain("SELECT sum(missed) AS n FROM tasks")[0]["n"] == 0


async def test_a_supervisor_that_starts_anew_gives_nodes_a_lease_too():
    async with running(MAP, MAP) as (cluster, job):
        await made_on(cluster, job, "n1", tasks=6)
        cluster.nodes["n1"].die(disk=False)
        await cluster.kill_supervisor()
        await cluster.nodes["n2"].start()
        await cluster.pass_time(9)
        assert cluster.remakes() == 0
        await cluster.pass_time(3)
        await cluster.until(job, lambda: False)
        assert cluster.remakes() == 6


async def test_what_a_reducer_has_read_does_not_matter_to_it_any_more():
    async with running(MAP, ONE) as (cluster, job):
        await made_on(cluster, job, "n1", tasks=6)
        reader = cluster.nodes["n2"]
        await move_reducer(cluster, "n1", "n2")
        (key,) = reader.readings
        while len(reader.readings[key].read) < 6:
            reader.read_one(key)
            await reader.poll()
        await lose_for_good(cluster, "n1")
        await cluster.until(job, lambda: False)
        assert cluster.remakes() == 0
        assert len((await cluster.result(job))["outputs"]) == 1


async def move_reducer(cluster: Cluster, here: str, there: str) -> None:
    """The one reducer runs on another node: the first starts anew, and does not ask before the other has."""
    await cluster.nodes[there].start()
    await cluster.nodes[here].start()
    while not cluster.nodes[there].readings:
        await cluster.nodes[there].poll()
        await cluster.pass_time(2)


async def test_what_a_reducer_had_read_is_made_again_if_it_is_lost_too():
    async with running(MAP, ONE) as (cluster, job):
        await made_on(cluster, job, "n1", tasks=6)
        reader = cluster.nodes["n2"]
        await move_reducer(cluster, "n1", "n2")
        (key,) = reader.readings
        while len(reader.readings[key].read) < 6:
            reader.read_one(key)
            await reader.poll()
        await lose_for_good(cluster, "n1")
        await lose_for_good(cluster, "n2")
        await cluster.nodes["n3"].start()
        await cluster.until(job, lambda: False)
        assert cluster.remakes() == 6
        assert len((await cluster.result(job))["outputs"]) == 1


async def test_reducers_that_wait_for_what_is_made_again_do_not_keep_it_from_being_made():
    """All slots of the only node that is left are taken by reducers whose input had ended."""
    async with running(MAP, THREE, inputs=12) as (cluster, job):
        await made_on(cluster, job, "n1", tasks=12)
        other = cluster.nodes["n2"]
        await other.start()
        await cluster.nodes["n1"].start()
        while len(other.readings) < 3:
            await other.poll()
            await cluster.pass_time(2)
        await lose_for_good(cluster, "n1")
        await cluster.until(job, lambda: False)
        assert cluster.remakes() > 0
        assert (await cluster.result(job))["counts"]["errors"] == 0


async def test_the_tasks_behind_a_lost_reducer_run_again_back_to_the_jobs_inputs():
    async with running(MAP, ONE, MAP) as (cluster, job):
        await cluster.nodes["n1"].start()
        await cluster.until(job, lambda: committed(cluster, 1) == 1)
        assert committed(cluster, 2) == 0
        await lose_for_good(cluster, "n1")
        await cluster.nodes["n2"].start()
        await cluster.until(job, lambda: False)
        assert cluster.remakes() == 7
        result = await cluster.result(job)
        assert (len(result["outputs"]), result["counts"]["errors"]) == (1, 0)


async def test_what_is_missing_again_and_again_fails_its_task_by_name():
    async with running(MAP, MAP) as (cluster, job):
        node = cluster.nodes["n1"]
        await node.start()

        def forget(data: bytes, own: bool, write=node.write):
            blob = write(data, own)
            if b"input 3" in data:
                node.disk.pop(blob.id, None)
            return blob

        node.write = forget
        await cluster.until(job, lambda: False)
        result = await cluster.result(job)
        assert len(result["outputs"]) == 5
        ((phase, code, message),) = result["errors"]
        assert (phase, code) == ("1", "InternalError")
        assert "could not be fetched, again and again" in message
        assert "i3.0." in message
        assert cluster.remakes() == recovery.MAX_MISSES
        assert result["counts"]["retries"] == 0


@pytest.mark.parametrize(
    ("second", "why"),
    [([], "the second time there was no such output"), (None, "user command exited with code 1")],
)
async def test_a_maker_that_makes_something_else_fails_those_that_need_it(second, why):
    def does(spec, data, attempt):
        moody = spec.phase == 0 and attempt > 1 and b"input 3" in data
        return second if moody else one_each(spec, data, attempt)

    async with running(MAP, MAP, does=does) as (cluster, job):
        await made_on(cluster, job, "n1", tasks=6)
        await lose_for_good(cluster, "n1")
        await cluster.nodes["n2"].start()
        await cluster.until(job, lambda: False)
        result = await cluster.result(job)
        assert len(result["outputs"]) == 5
        ((phase, code, message),) = result["errors"]
        assert (phase, code) == ("1", "InternalError")
        assert message.endswith(f"was lost and could not be made again: {why}")
        assert [each["finished"] for each in result["phases"]] == [6, 6]


async def test_objects_that_tasks_named_are_not_written_again():
    def does(spec, data, attempt):
        if spec.phase:
            return one_each(spec, data, attempt)
        text = b"first" if attempt == 1 else b"second"
        return [Said(text, f"/jill/stor/named/{data.decode()}"), Said(data)]

    async with running(MAP, MAP, does=does) as (cluster, job):
        await made_on(cluster, job, "n1", tasks=6)
        await lose_for_good(cluster, "n1")
        await cluster.nodes["n2"].start()
        await cluster.until(job, lambda: False)
        assert cluster.remakes() > 0
        assert [data for _, data in (await cluster.result(job))["named"]] == [b"first"] * 6


async def test_tasks_go_where_their_input_is_while_there_is_room():
    async with running(MAP, MAP, MAP, inputs=90) as (cluster, job):
        for node in cluster.nodes.values():
            await node.start()
        await cluster.until(job, lambda: False)
        assert cluster.where[True] >= 0.9 * cluster.where.total()
        assert cluster.where.total() == 180


async def test_a_cancelled_job_leaves_nothing_on_nodes_while_something_is_made_again():
    async with running(MAP, MAP) as (cluster, job):
        await made_on(cluster, job, "n1", tasks=6)
        await lose_for_good(cluster, "n1")
        await cluster.nodes["n2"].start()
        assert cluster.remakes() == 6
        live = cluster.supervisor.jobs.by_uuid(job)
        await cluster.supervisor.cancel(live)
        await cluster.until(job, lambda: False)
        states = cluster.db.connection.plain("SELECT DISTINCT state FROM tasks ORDER BY state")
        assert [row["state"] for row in states] == ["cancelled"]
        assert await cluster.leftovers() == {}
