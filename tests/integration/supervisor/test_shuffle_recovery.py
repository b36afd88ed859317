"""Shuffle files that died with their node are made again: a simulated cluster with operations."""

from __future__ import annotations

import pytest

from tests.support.nodes.simulated_cluster import SHUFFLE, survives


@pytest.mark.parametrize("first", range(0, 12, 4))
def test_whatever_happens_to_nodes_an_operation_ends_as_if_nothing_had(first):
    assert sum(survives(seed, SHUFFLE).remakes for seed in range(first, first + 4)) > 0


def test_each_reader_gets_its_partition_of_all_files_in_order():
    with_faults = survives(3, SHUFFLE).result
    files = [b"0(input %d)" % number for number in range(12)]
    expected = [b"1(%s)" % b"|".join(sorted(b"%d of %s" % (part, file) for file in files)) for part in range(3)]
    assert with_faults["outputs"] == expected
