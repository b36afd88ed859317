"""A containerd of our own, for a machine where the agent is not given one.

It has its own directories and its own socket, runs only our containers, and dies with the agent;
containers run without it, so one that was killed is simply restarted and finds them. Its socket
has a short path: the address of a unix socket has at most 108 bytes.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from pathlib import Path

from scheduler.common import child

END_SECONDS = 5.0
PAUSE = 0.2
OTHER_PLUGINS = [
    "io.containerd.grpc.v1.cri",
    "io.containerd.snapshotter.v1.aufs",
    "io.containerd.snapshotter.v1.blockfile",
    "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.erofs",
    "io.containerd.snapshotter.v1.zfs",
    "io.containerd.internal.v1.opt",
    "io.containerd.internal.v1.tracing",
    "io.containerd.tracing.processor.v1.otlp",
    "io.containerd.nri.v1.nri",
]
log = logging.getLogger("remora.agent")


class Daemon:
    """A containerd with its state below `directory`, and its sockets below `run`, an existing short path."""

    def __init__(self, directory: Path, run: Path) -> None:
        self._directory = directory
        self._run = run
        self.address = str(run / "containerd.sock")
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start it, and restart it whenever it dies. Raises OSError."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self._directory / "config.toml").write_text(self._config())
        await self._spawn()
        self._keeper = asyncio.create_task(self._keep())

    async def close(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        if self._process is not None and self._process.returncode is None:
            await end(self._process)

    async def _keep(self) -> None:
        while True:
            assert self._process is not None
            status = await self._process.wait()
            log.error("containerd ended and is started again", extra={"status": status})
            await asyncio.sleep(PAUSE)
            await self._spawn()

    async def _spawn(self) -> None:
        """Start a process that the kernel kills with us; the calling thread must live as long as the agent."""
        with open(self._directory / "containerd.log", "ab") as output:
            self._process = await child.spawn(
                *("setpriv", "--pdeathsig", "TERM"),
                *("containerd", "--config", str(self._directory / "config.toml")),
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def _config(self) -> str:
        others = ", ".join(f'"{plugin}"' for plugin in OTHER_PLUGINS)
        return (
            f'version = 2\nroot = "{self._directory / "root"}"\nstate = "{self._run / "state"}"\n'
            f"disabled_plugins = [{others}]\n"
            f'[grpc]\naddress = "{self.address}"\n'
            f'[ttrpc]\naddress = "{self.address}.ttrpc"\n'
        )


async def end(process: asyncio.subprocess.Process) -> None:
    """Terminate the daemon; kill it if that takes long."""
    process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(END_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
