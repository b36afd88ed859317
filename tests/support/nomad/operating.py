"""An operator's commands against a fake Nomad that runs on a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

from click.testing import CliRunner, Result

from cli.client.problem import Problem
from cli.service.cluster import command as cluster
from tests.support.nomad.operated_nomad import OperatedNomad


class Operator:
    """A fake Nomad on a thread of its own, and the commands against it."""

    def __init__(self, nomad: OperatedNomad, loop: asyncio.AbstractEventLoop, url: str) -> None:
        self.nomad = nomad
        self.url = url
        self.database = {"REMORA_DATABASE": url}
        self._loop = loop

    def do(self, work: Callable[[OperatedNomad], Any]) -> None:
        """Change the fake, on its own thread."""

        async def on_loop() -> None:
            work(self.nomad)

        asyncio.run_coroutine_threadsafe(on_loop(), self._loop).result(10)

    def __call__(self, *words: str, env: dict[str, str] | None = None) -> Result:
        told = {"NOMAD_ADDR": self.nomad.url, "NOMAD_TOKEN": "", "REMORA_DATABASE": "", "REMORA_AGENT_KEY": ""}
        return CliRunner().invoke(cluster, list(words), env=told | (env or {}))

    def right(self, *words: str, **more: Any) -> str:
        result = self(*words, **more)
        assert result.exit_code == 0, result.output
        return result.stdout

    def refused(self, *words: str, **more: Any) -> str:
        """The one sentence that it ends with."""
        result = self(*words, **more)
        assert result.exit_code == 1
        assert isinstance(result.exception, SystemExit | Problem), result.exception
        return result.output.strip().splitlines()[-1]


@contextlib.contextmanager
def operating(nomad: OperatedNomad, url: str) -> Iterator[Operator]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(nomad.__aenter__(), loop).result(10)
        yield Operator(nomad, loop, url)
    finally:
        asyncio.run_coroutine_threadsafe(nomad.__aexit__(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
