"""Nodes that die for good, as processes: what was on them is made again elsewhere."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from scheduler.agent.blobs.fetch import PATIENCE_SECONDS
from tests.support.eventually import eventually_here
from tests.support.gate import Gate
from tests.support.services.postgres import shared
from tests.support.services.processes import Cluster, clustered
from tests.support.services.user import reduce

COUNT = 24
# Seconds, besides those that a reader is patient for, in which a lost node's tasks must run elsewhere.
ELSEWHERE = 15.0


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with clustered(tmp_path, shared(), nodes=3) as running:
        yield running


def remakes(cluster: Cluster) -> int:
    return cluster.look(lambda c: c.plain("SELECT coalesce(sum(remakes), 0) AS n FROM tasks")[0]["n"])


def richest(cluster: Cluster) -> str:
    """The node that has most of what is still to be read."""
    here = "SELECT node FROM tasks WHERE availability = 1 AND node IS NOT NULL"
    has = f"{here} GROUP BY node ORDER BY count(*) DESC LIMIT 1"
    return cluster.look(lambda c: c.plain(has)[0]["node"])


def test_a_job_outlives_a_node_and_its_disk(cluster):
    """Two maps and a reducer: the first map's outputs lie on three nodes when one goes, disk and all."""
    with cluster.user() as user:
        with Gate() as gate:
            waits = f"({gate.wait('here')}) 2>/dev/null; cat"
            job = user.create("cat; echo $MANTA_INPUT_OBJECT", waits, reduce("sort"))
            user.add(job, *(user.put(f"lost{n}", f"{n}\n".encode()) for n in range(COUNT)))
            user.jobs.end_input(job)
            gate.arrivals(6)  # two on each node; the rest waits for a place
            lost = richest(cluster)
            cluster.parts[lost].kill()
            shutil.rmtree(cluster.directory / lost)
            eventually_here(lambda: remakes(cluster), "what was lost is made again", PATIENCE_SECONDS + ELSEWHERE)
        ended = user.ended(job)
        lines = sorted([f"{n}" for n in range(COUNT)] + [f"/jill/stor/lost{n}" for n in range(COUNT)])
        (text,) = user.texts(ended)
        assert sorted(text.split()) == lines
        assert (ended.errors, ended.stats["retries"]) == ([], 0)
        assert (ended.stats["tasks"], ended.stats["tasksDone"]) == (2 * COUNT + 1, 2 * COUNT + 1)


def test_an_operation_outlives_a_node_and_its_shuffle_files(cluster):
    """All lines are divided and lie on three nodes, and reducers wait on each, when one goes, disk and all."""
    with cluster.user() as user:
        inputs = [user.put(f"divided{n}", f"{n}\n{n + COUNT}\n".encode()) for n in range(COUNT)]
        with Gate() as gate:
            waits = f"({gate.wait('here')}) 2>/dev/null; cat"
            spec = {"reducer": {"exec": waits}, "per_object": True, "partition_count": 9}
            job = user.jobs.create(json.dumps({"type": "map_reduce", "inputs": inputs, "spec": spec}).encode())
            gate.arrivals(6)
            files = "SELECT node FROM task_inputs WHERE availability = 1 GROUP BY node ORDER BY count(*) DESC LIMIT 1"
            lost = cluster.look(lambda c: c.plain(files)[0]["node"])
            cluster.parts[lost].kill()
            shutil.rmtree(cluster.directory / lost)
            eventually_here(lambda: remakes(cluster), "what was lost is made again", PATIENCE_SECONDS + ELSEWHERE)
        ended = user.ended(job)
        assert ended.status["status"] == "completed", ended.status
        assert sorted(" ".join(user.texts(ended)).split(), key=int) == [f"{n}" for n in range(2 * COUNT)]
        assert [stage["completed"] for stage in ended.status["progress"]["stages"]] == [COUNT, 9]


def test_tasks_run_where_their_input_was_and_the_metrics_tell_where_each_ran(cluster):
    """How many is a matter of which node is busy, and tried in a simulated cluster."""
    with cluster.user() as user:
        job = user.create("cat", "cat", "cat")
        user.add(job, *(user.put(f"near{n}", f"{n}\n".encode()) for n in range(90)))
        assert user.finish(job).errors == []
        text = httpx.get(f"{cluster.parts['supervisor0'].url}/metrics").text
    placed = {where: float(n) for where, n in re.findall(r'placed_total\{where="(\w+)"\} (\S+)', text)}
    assert sum(placed.values()) >= 180  # each once, or more often if its node was thought lost
    assert placed["local"] > 0
