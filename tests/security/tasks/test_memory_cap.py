"""Ways to have more memory than one's tier where no control group caps it: all are seen, and none is seen twice."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from scheduler.providers.linux import memory_usage
from tests.support.nodes.agent_rig import PROCESSES, Rig, rig
from tests.support.nodes.caps import out_of_memory

PYTHON = Path("/usr/bin/python3")
MEGABYTE = 1 << 20
SIZE = 400 * MEGABYTE
OUT_OF_MEMORY = ("UserTaskError", out_of_memory(128, 256))
FILL = "b = bytes(1 << 20)\nfor _ in range(400): f.write(b)\n"
HOGS = {
    "mapped and shared": f"import mmap; m = mmap.mmap(-1, {SIZE}); m[:] = bytes({SIZE // 2}) * 2",
    "a file in memory": f"import os; f = os.fdopen(os.memfd_create('x'), 'wb', 0)\n{FILL}",
    "a file in memory that is mapped and closed": (
        f"import mmap, os; d = os.memfd_create('x'); os.truncate(d, {SIZE}); m = mmap.mmap(d, {SIZE}); os.close(d)\n"
        "b = bytes(1 << 20)\nfor n in range(400): m[n << 20 : (n + 1) << 20] = b"
    ),
}
pytestmark = pytest.mark.skipif(not PYTHON.exists(), reason="tasks have no Python to be hostile with")


@pytest_asyncio.fixture(params=PROCESSES)
async def agent(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    async with rig(tmp_path / "state", request.param, groups=False) as running:
        yield running


@pytest.mark.parametrize("kind", HOGS)
async def test_shared_memory_beyond_the_tier_ends_the_task(agent: Rig, kind: str) -> None:
    script = f"{PYTHON} -c '{HOGS[kind].replace(chr(39), chr(34))}\nimport time; time.sleep(1000)'"
    report = await agent.run(script, memory_mb=128)
    assert (report.code, report.message) == OUT_OF_MEMORY


async def test_what_processes_share_counts_once(agent: Rig) -> None:
    script = (
        'import mmap, os, time; m = mmap.mmap(-1, 60 << 20); m[:] = bytes(60 << 20); p = b"x" * (20 << 20)\n'
        "for _ in range(5):\n if not os.fork(): len(m[:1000]), sum(m[n] for n in range(0, 60 << 20, 4096)); break\n"
        "time.sleep(1.2)"
    )
    report = await agent.run(f"{PYTHON} -c '{script}'; wait", memory_mb=256)
    assert report.message is None
    assert report.usage.max_rss_kb < 256 << 10


async def test_files_in_shared_memory_count_though_only_the_instance_can_open_them(agent: Rig) -> None:
    """Alone each half stays below the cap. Without namespaces the directory is the machine's."""
    if not agent.isolated:
        pytest.skip("the directory is not the instance's own")
    half = f"{PYTHON} -c 'import time; m = bytearray(b\"x\") * (70 << 20); time.sleep(1.5)'"
    report = await agent.run(f"head -c 60M /dev/zero > /dev/shm/x && {half}; rm /dev/shm/x", memory_mb=128)
    assert report.message == out_of_memory(128, 256)
    report = await agent.run(f"head -c 60M /dev/zero > /dev/shm/x; rm /dev/shm/x; {half}", memory_mb=128)
    assert report.message is None


def hold(size: int, ready: object, end: object) -> None:
    fd = os.memfd_create("held")
    os.write(fd, bytes(size))
    ready.set()
    end.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone has memfd_create")
def test_a_file_in_memory_counts_though_nothing_is_mapped() -> None:
    fork = multiprocessing.get_context("fork")
    ready, end = fork.Event(), fork.Event()
    child = fork.Process(target=hold, args=(50 * MEGABYTE, ready, end))
    child.start()
    try:
        ready.wait()
        assert sum(memory_usage.memory_files([child.pid]).values()) == 50 * MEGABYTE
        assert memory_usage.in_use([child.pid], 1, None) >= 50 * MEGABYTE
    finally:
        end.set()
        child.join()
