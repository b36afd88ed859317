"""The agent as a child process: started, owned by a pipe, and restarted if it dies.

An agent that cannot work on this machine writes the reason to a file of the state directory before it ends. `Trouble`
keeps the reason: jobs show it as their waiting reason, and a service whose agent never started ends with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from scheduler.agent.state_lock import take_last_words
from scheduler.common import child
from scheduler.common.backoff import Backoff

log = logging.getLogger("remora.service")

# The number of times in a row that the agent may end soon after its start.
MAX_FAILURES = 3
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0
# An agent that ran for so many seconds has started well.
STEADY_SECONDS = 30.0
STOP_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class AgentOptions:
    """The settings with which the service starts its agent."""

    url: str
    state_dir: Path
    provider: str
    slots: int
    containerd: str | None = None
    show_dirs: str | None = None
    allow_networks: str | None = None
    prepared: int | None = None  # instances made before they are needed
    plain: bool = False
    metrics: str | None = None  # HOST:PORT at which it serves its own
    metrics_token_file: Path | None = None

    def command(self, parent_fd: int) -> list[str]:
        """The agent's command line. `parent_fd` is the reading end of the pipe that the service owns."""
        return [
            *(*child.PYTHON, "-m", "scheduler.agent", "--url", self.url),
            *("--credential-file", str(self.state_dir / "agent.credential"), "--state-dir", str(self.state_dir)),
            *("--provider", self.provider, "--slots", str(self.slots), "--node", socket.gethostname()),
            *("--parent-fd", str(parent_fd)),
            *(("--containerd", os.path.abspath(self.containerd)) if self.containerd else ()),
            *(("--show-dirs", self.show_dirs) if self.show_dirs else ()),
            *(("--allow-networks", self.allow_networks) if self.allow_networks else ()),
            *(("--prepared", str(self.prepared)) if self.prepared is not None else ()),
            *(["--plain"] if self.plain else ()),
            *(("--metrics", self.metrics) if self.metrics else ()),
            *(("--metrics-token-file", os.path.abspath(self.metrics_token_file)) if self.metrics_token_file else ()),
        ]


class Trouble:
    """The reason why there is no agent. `hopeless` is set when the agent has failed to start too often in a row."""

    def __init__(self) -> None:
        self.why: str | None = None
        self.hopeless = asyncio.Event()
        self._failures = 0

    def ended(self, status: int | str, said: str | None, steady: bool) -> None:
        """Record that the agent has ended, with its reason if it gave one; `steady` if it had run for long."""
        self.why = said or (f"it ended with status {status} (see the log)" if isinstance(status, int) else status)
        self._failures = 1 if steady else self._failures + 1
        if self._failures >= MAX_FAILURES:
            self.hopeless.set()


async def keep_running(options: AgentOptions, trouble: Trouble | None = None) -> None:
    """Run the agent until cancelled, and restart it whenever it ends; then end it and wait for it."""
    trouble = trouble or Trouble()
    backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
    while True:
        started = asyncio.get_running_loop().time()
        try:
            status: int | str = await _run(options)
        except OSError as error:  # no process, memory or descriptor is free: this may pass
            status = f"cannot be started: {error}"
        steady = asyncio.get_running_loop().time() - started > STEADY_SECONDS
        if steady:
            backoff.reset()
        trouble.ended(status, take_last_words(options.state_dir), steady)
        log.error("the agent ended and is started again", extra={"status": status, "pause": backoff.pause})
        await asyncio.sleep(backoff.next())


async def _run(options: AgentOptions) -> int:
    read_end, write_end = os.pipe()
    try:
        # A session of its own: Ctrl-C at the terminal goes to the service alone, which then ends the agent in order.
        process = await child.spawn(
            *options.command(read_end), pass_fds=(read_end,), start_new_session=True,
            env=environment(child.environment()),
        )  # fmt: skip
        os.close(read_end)
        read_end = -1
        try:
            return await process.wait()
        except asyncio.CancelledError:
            await _stop(process)
            raise
    finally:
        for fd in (read_end, write_end):
            if fd >= 0:
                os.close(fd)


def environment(ours: Mapping[str, str]) -> dict[str, str]:
    """The agent's environment: ours without the variables for the database, which agents never use."""
    return {name: value for name, value in ours.items() if not name.startswith(("REMORA_DATABASE", "PG"))}


async def _stop(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()
