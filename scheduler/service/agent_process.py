"""The agent as a child: started, owned by a pipe, started again if it dies."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger("remora.service")

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 10.0
# An agent that ran so long (seconds) is not one that dies at once.
STEADY_SECONDS = 30.0
STOP_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class AgentOptions:
    url: str
    state_dir: Path
    provider: str
    slots: int
    containerd: str | None = None
    show_dirs: str | None = None
    allow_networks: str | None = None

    def command(self, parent_fd: int) -> list[str]:
        return [
            *(sys.executable, "-m", "scheduler.agent", "--url", self.url),
            *("--credential-file", str(self.state_dir / "agent.credential"), "--state-dir", str(self.state_dir)),
            *("--provider", self.provider, "--slots", str(self.slots), "--node", socket.gethostname()),
            *("--parent-fd", str(parent_fd)),
            *(("--containerd", self.containerd) if self.containerd else ()),
            *(("--show-dirs", self.show_dirs) if self.show_dirs else ()),
            *(("--allow-networks", self.allow_networks) if self.allow_networks else ()),
        ]


async def keep_running(options: AgentOptions) -> None:
    """Run the agent until cancelled; then end it and wait for it."""
    pause = FIRST_PAUSE
    while True:
        started = asyncio.get_running_loop().time()
        try:
            status: int | str = await _run(options)
        except OSError as error:  # no process, no memory, no descriptor: there may be one later
            status = f"cannot be started: {error}"
        if asyncio.get_running_loop().time() - started > STEADY_SECONDS:
            pause = FIRST_PAUSE
        log.error("the agent ended and is started again", extra={"status": status, "pause": pause})
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


async def _run(options: AgentOptions) -> int:
    read_end, write_end = os.pipe()
    try:
        # Its own session: a Ctrl-C at the terminal is for us, who then end it in order.
        process = await asyncio.create_subprocess_exec(
            *options.command(read_end), pass_fds=(read_end,), stdin=asyncio.subprocess.DEVNULL, start_new_session=True
        )
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


async def _stop(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()
