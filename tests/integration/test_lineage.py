"""What died with a node is made again: a simulated cluster, and the cases that have rules of their own."""

from __future__ import annotations

import pytest

from tests.support.simulated_cluster import survives


@pytest.mark.parametrize("seed", range(12))
def test_whatever_happens_to_nodes_a_job_ends_as_if_nothing_had(seed):
    assert survives(seed).remakes > 0
