"""`python -m scheduler.agent` as a process of its own: how it ends, and what it leaves behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from scheduler.objects.blobs import BlobStore
from scheduler.providers.process import ProcessProvider
from tests.support.eventually import PATIENCE_SECONDS, eventually
from tests.support.nodes.agent_rig import ISOLATIONS, KNOCK, Rig
from tests.support.nodes.fake_supervisor import SECRET, FakeSupervisor
from tests.support.services.become import AGENT
from tests.support.services.forks import USUAL, Fork, start_command
from tests.support.services.service import parent_of

MARK = 1_000_000 + os.getpid()  # seconds of a sleep that nobody else sleeps, another run of this test neither


@pytest_asyncio.fixture(params=ISOLATIONS)
async def outside(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    """A supervisor that waits for an agent."""
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    (state / "agent.credential").write_text(SECRET)
    supervisor = FakeSupervisor()
    runner = web.AppRunner(supervisor.app(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    blobs = BlobStore(state / "blobs")
    yield Rig(state, supervisor, blobs, f"http://127.0.0.1:{runner.addresses[0][1]}", request.param)
    await runner.cleanup()
    blobs.close()


@contextlib.contextmanager
def agent(outside: Rig, *options: str, **more: Any) -> Iterator[subprocess.Popen[bytes]]:
    """An agent that this supervisor waits for; it is killed after the block."""
    words = [AGENT, "--url", outside.url, "--node", "test", "--slots", "1", "--prepared", "0"]
    words += ["--isolation", "namespaces" if outside.isolated else "subreaper"]
    words += ["--credential-file", str(outside.state_dir / "agent.credential"), "--state-dir", str(outside.state_dir)]
    with start_command(*words, *options, stderr=subprocess.DEVNULL, **more) as started:
        try:
            yield started
        finally:
            started.kill()


async def status(agent: subprocess.Popen[bytes]) -> int:
    """The exit status, once the agent has ended."""
    return await asyncio.to_thread(agent.wait, PATIENCE_SECONDS)


async def busy(outside: Rig) -> None:
    """A task that has left several sleepers, and runs."""
    script = f"sleep {MARK} & (setsid sleep {MARK} &); {KNOCK}; sleep {MARK}"
    outside.grant(outside.spec(script), outside.map_task(b"x"))
    await outside.until(lambda supervisor: bool(supervisor.requests))
    await eventually(lambda: len(sleepers()) >= 2, "what was forked has become `sleep`")


def sleepers() -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if words[:2] == [b"sleep", str(MARK).encode()]:
                found.append(int(entry.name))
    return found


def below(agent: int, pid: int) -> int:
    """The child of an agent that a process is below: the lackey of its instance, beside those that were made ahead."""
    while (above := parent_of(pid)) != agent:
        pid = above
    return pid


async def gone(pids: list[int]) -> None:
    """Wait until each of these processes has ended."""
    loop = asyncio.get_running_loop()
    for pid in pids:
        try:
            watch = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        ended = asyncio.Event()
        loop.add_reader(watch, ended.set)
        try:
            async with asyncio.timeout(10):
                await ended.wait()
        finally:
            loop.remove_reader(watch)
            os.close(watch)


@pytest.mark.parametrize("variable", ["HOME", "PYTHONPATH"])  # the latter makes it a Python of its own, not a fork
async def test_sigterm_ends_it_cleanly_and_leaves_nothing(outside: Rig, variable: str) -> None:
    with agent(outside, env={**USUAL, variable: str(outside.state_dir)}) as started:
        assert isinstance(started, Fork) is (variable == "HOME")
        await busy(outside)
        started.terminate()
        assert await status(started) == 0
    assert (sleepers(), outside.instances()) == ([], [])


async def test_sigusr1_drains_the_node_and_the_agent_ends_when_no_job_needs_it(outside: Rig) -> None:
    spec, task = outside.spec(f"{KNOCK}; sleep {MARK}"), outside.map_task(b"x")
    with agent(outside, env=USUAL) as started:
        outside.grant(spec, task)
        await outside.until(lambda supervisor: bool(supervisor.requests))
        started.send_signal(signal.SIGUSR1)
        await outside.until(lambda supervisor: supervisor.states[-1].draining)
        assert (started.poll(), len(sleepers())) == (None, 1)
        outside.release(spec)
        assert await status(started) == 0
    assert (sleepers(), outside.instances()) == ([], [])


async def test_a_drain_is_over_at_its_deadline_whatever_runs(outside: Rig) -> None:
    with agent(outside, "--drain-seconds", "1", env=USUAL) as started:
        await busy(outside)
        started.send_signal(signal.SIGUSR1)
        assert await status(started) == 0
    assert (sleepers(), outside.instances()) == ([], [])


async def test_it_ends_with_its_parent(outside: Rig) -> None:
    reading, writing = os.pipe()
    with agent(outside, "--parent-fd", str(reading), env=USUAL, pass_fds=(reading,)) as started:
        os.close(reading)
        await busy(outside)
        os.close(writing)
        assert await status(started) == 0
    assert (sleepers(), outside.instances()) == ([], [])


async def test_a_lackey_that_is_killed_leaves_no_process(outside: Rig) -> None:
    with agent(outside, env=USUAL) as started:
        await busy(outside)
        left = sleepers()
        assert len(left) >= 2
        os.kill(below(started.pid, left[0]), signal.SIGKILL)
        await gone(left)
        await outside.until(lambda supervisor: bool(supervisor.reports))
        started.terminate()
        assert await status(started) == 0
    assert (sleepers(), outside.instances()) == ([], [])


async def test_kill_9_leaves_no_process_and_the_next_start_removes_the_rest(outside: Rig) -> None:
    with agent(outside, env=USUAL) as started:
        await busy(outside)
        assert len(sleepers()) >= 2
        started.kill()
        await status(started)
    while left := sleepers():
        await gone(left)
    note = outside.state_dir / "cgroup"
    groups = Path(note.read_text()) if note.exists() else None
    provider = ProcessProvider(outside.state_dir, groups=False)
    await provider.prepare()
    assert outside.instances() == []
    assert groups is None or not groups.exists()


async def test_a_second_agent_on_the_same_directory_is_refused(outside: Rig) -> None:
    with agent(outside, env=USUAL) as first:
        await busy(outside)
        with agent(outside, env=USUAL) as second:
            assert await status(second) == 1
        assert sleepers()  # of the first one, whose instances no signal has reached
        first.terminate()
        assert await status(first) == 0
