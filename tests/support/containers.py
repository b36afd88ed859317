"""Whether this machine can make containers, and whether the tests shall run in them.

With `REMORA_TEST_PROVIDER=containerd` all tests that start an agent or a service have their
instances from containerd. Without it, only those do that are about containers.
"""

from __future__ import annotations

import os

import pytest

from scheduler.providers.containerd.machine import why_no_containers

__all__ = ["CONTAINERD", "PROVIDER", "needs_containers"]

CONTAINERD = "containerd"
PROVIDER = os.environ.get("REMORA_TEST_PROVIDER", "process")
REFUSED = why_no_containers()
needs_containers = pytest.mark.skipif(bool(REFUSED), reason=f"NO CONTAINERS ARE TESTED: {REFUSED}")
