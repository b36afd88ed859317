"""An instance in which one bash serves many tasks, and the comparison with tasks that have a bash of their own."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from scheduler.providers.programs import copy_prefork
from tests.support.eventually import eventually_here
from tests.support.nodes.lackey_instance import Instance, Mode, Outcome
from tests.support.nodes.plain_scripts import MARK, Result, result

TASKS = 12  # so many at once that a bash is started for those that wait behind the first
NOTHING: Mapping[str, str] = {}


def tools_in(directory: Path) -> Path:
    """A directory of tools that has only what bash loads."""
    directory.mkdir(mode=0o755)
    copy_prefork(directory)
    return directory


def file_of(content: bytes) -> int:
    fd = os.memfd_create("stdin")
    os.write(fd, content)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


class Preforked:
    """An instance with these tools."""

    def __init__(self, mode: Mode, tools: Path) -> None:
        self.instance = Instance(mode, (f"--tools={tools}",))
        self.close = self.instance.close

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """What the lackey is handed meanwhile is there when it goes on."""
        lackey = self.instance.ready.pid
        os.kill(lackey, signal.SIGSTOP)
        try:
            eventually_here(lambda: ") T " in Path(f"/proc/{lackey}/stat").read_text(), "the lackey is stopped")
            yield
        finally:
            os.kill(lackey, signal.SIGCONT)

    def run(self, script: str, environments: Sequence[Mapping[str, str]] = (NOTHING,) * TASKS) -> list[Outcome]:
        """The outcomes of tasks with these variables, which the lackey is handed at once."""
        with self.stopped():
            tasks = [self.instance.submit(script, environment=environments[0])]
            tasks += [self.instance.submit_again(environment=environment) for environment in environments[1:]]
        return self.results(tasks)

    def run_more(self, count: int = 1) -> list[Outcome]:
        """The outcomes of further tasks of the same script."""
        with self.stopped():
            tasks = [self.instance.submit_again() for _ in range(count)]
        return self.results(tasks)

    def run_more_with(self, environment: Mapping[str, str]) -> str:
        """What one more task with these variables prints."""
        return self.results([self.instance.submit_again(environment=environment)])[0].stdout

    def results(self, tasks: list[int]) -> list[Outcome]:
        ended = dict(self.instance.result() for _ in tasks)
        return [ended[task] for task in tasks]

    def waiting(self) -> list[int]:
        """The processes of the instance besides its lackey while no task runs, by their numbers on this machine."""
        lackey = self.instance.ready.pid
        return [int(pid) for pid in Path(f"/proc/{lackey}/task/{lackey}/children").read_text().split()]

    def both_ways(
        self, script: str, environment: Mapping[str, str] = NOTHING, stdin: bytes = b""
    ) -> tuple[Result, Result]:
        """What a script leaves as a task that a waiting bash runs, and with a bash of its own."""
        with self.stopped():
            tasks = [self.instance.submit(script, environment=environment)]
            tasks += [self.instance.submit_again(environment=environment) for _ in range(TASKS - 2)]
            tasks.append(self._submit_with(stdin, environment))
        forked = self.results(tasks)[-1]
        assert len(self.waiting()) == 1, "no bash waits for tasks"
        alone = self.results([self._submit_with(stdin, {**environment, MARK: ""})])[0]
        return result(forked, "\n"), result(alone, "\n")

    def _submit_with(self, stdin: bytes, environment: Mapping[str, str]) -> int:
        fd = file_of(stdin)
        try:
            return self.instance.submit_again(fd, environment)
        finally:
            os.close(fd)
