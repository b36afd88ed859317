"""Shuffle files that died with their node are made again: a simulated cluster with operations."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest

from scheduler.model.wire import PoolSpec
from tests.support.simulated.cluster import Cluster
from tests.support.simulated.runs import run, survives, without_limits
from tests.support.simulated.tasks import DICE, SHUFFLE, Does, Said, Shape
from tests.support.variants import variants


@pytest.mark.parametrize("first", variants(range(0, 12, 4)))
def test_whatever_happens_to_nodes_an_operation_ends_as_if_nothing_had(first: int) -> None:
    assert sum(survives(seed, SHUFFLE).remakes for seed in range(first, first + 4)) > 0


def test_each_reader_gets_its_partition_of_all_files_in_order() -> None:
    with_faults = survives(3, SHUFFLE).result
    files = [b"0(input %d)" % number for number in range(12)]
    expected = [b"1(%s)" % b"|".join(sorted(b"%d of %s" % (part, file) for file in files)) for part in range(3)]
    assert with_faults["outputs"] == expected


async def lost(shape: Shape, does: Does) -> tuple[dict[str, Any], str]:
    """An operation whose shuffle files are all lost with their node before they are read; its result and status."""
    cluster = Cluster(seed=1, does=does)
    job = await cluster.prepare(6, shape)
    try:
        node = cluster.nodes["n1"]
        await node.start()
        await cluster.until(job, lambda: len(node.disk) == 6)
        node.readings.clear()
        node.die(disk=False)
        await cluster.pass_time(12)
        await cluster.nodes["n2"].start()
        await cluster.until(job, lambda: False)
        [row] = cluster.db.connection.plain("SELECT status, result FROM jobs")
        return json.loads(row["result"]), row["status"]
    finally:
        await cluster.close()


def test_a_shuffle_file_that_cannot_be_made_again_fails_the_operation() -> None:
    """Also one whose tasks may fail: no reader could ever end."""

    def fails_again(spec: PoolSpec, data: bytes, attempt: int) -> list[Said] | None:
        return None if attempt > 1 else [Said(data)]

    result, status = asyncio.run(lost(SHUFFLE | {"on_error": "continue"}, fails_again))
    assert status == "failed"
    assert "was lost and could not be made again" in result["error"]["message"]


def test_shuffle_files_that_are_lost_before_they_are_read_are_made_again() -> None:
    result, status = asyncio.run(lost(SHUFFLE, lambda spec, data, attempt: [Said(data)]))
    assert (status, result["outcome"]) == ("completed", "completed")


def another_each_time(spec: PoolSpec, data: bytes, attempt: int) -> list[Said]:
    """A mapper that prints something else in each attempt."""
    return [Said(data if spec.phase else b"%s in attempt %d" % (data, attempt))]


def test_all_readers_read_the_same_attempt_of_a_mapper_that_throws_dice() -> None:
    attempts = set()
    for seed in range(1, 9):
        with without_limits():
            done = asyncio.run(run(seed, shape=DICE, does=another_each_time))
        read = [sorted(re.findall(rb"input \d+ in attempt \d+", output)) for output in done.result["outputs"]]
        assert len(read) == 3
        assert read[0] == read[1] == read[2]
        assert len({each.split(b" in ")[0] for each in read[0]}) == len(read[0]) == 12
        attempts |= {each.split()[-1] for each in read[0]}
        assert done.remakes == 0  # what mappers print is where all nodes can read it
    assert len(attempts) > 1
