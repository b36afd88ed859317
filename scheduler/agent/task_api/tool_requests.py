"""The socket of an instance, through which the tools of its tasks (mpipe, msplit, mtee) get files
to write into.

A tool asks for a file to write into (OPEN, GRANT), writes, and says that it is complete (COMMIT).
The file becomes an output of the running task and is invisible until the task has succeeded.
Everything that arrives here was written by a task and is hostile until checked. Three dangers have
an answer each:

- *A request of a task that is over.* The lackey kills a task's tools before it says DONE, so once
  all messages of the lackey are read (`TaskHost.current`), a tool that is still connected belongs to
  the task that runs now, and one that is not gets no answer. That is checked after every request
  and before anything is recorded.
- *A file that changes after it became an object.* The tool keeps its descriptor as long as it
  likes. Outputs are sealed when they get their names: after the task's death, or at once (`mtee`,
  and `publish`). A tool that closes its files before it says COMMIT saves the agent a copy.
- *Too much at once.* An instance may have `MAX_PENDING` open connections; more of them wait
  unaccepted. A task may have `MAX_GRANTED` files open for writing: a tool that needs more waits
  until some are committed.
"""

from __future__ import annotations

import asyncio
import os
import re

from datapath import passing
from datapath.passing import Kind, Message, Open, OpenFlag, OpenKind
from scheduler.agent.attempts import capture, output_names
from scheduler.agent.attempts.attempt import Attempt, Emitted
from scheduler.agent.client import UnavailableError, several
from scheduler.agent.task_api import tool_channel
from scheduler.agent.task_api.publish import emit, in_thread
from scheduler.agent.task_api.task_host import TaskHost
from scheduler.agent.task_api.tool_channel import Direct, close_all
from scheduler.common.ids import new_id
from scheduler.model import names
from scheduler.model.errors import WireError
from scheduler.model.tiers import MAX_REDUCERS
from scheduler.model.wire import Adoption, OutputCheck
from scheduler.objects.blobs import MODE

MAX_PENDING = 25
MAX_GRANTED = 2 * MAX_REDUCERS  # one msplit may feed another, or as many mpipes as there may be outputs
FAILED = 1  # exit status of a tool that was refused
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")


class RefusalError(Exception):
    """A refused request: the tool ends with `FAILED` and prints the text."""


class Tools:
    """The listening side of one instance's socket."""

    def __init__(self, host: TaskHost) -> None:
        self._host = host
        self._loop = asyncio.get_running_loop()
        self._pending: set[asyncio.Task[None]] = set()
        self._listening = False

    def open(self) -> None:
        self._listen(True)

    def close(self) -> None:
        self._listen(False)
        for task in self._pending:
            task.cancel()

    def task_ended(self, attempt: Attempt) -> None:
        """Drop uncommitted files; a tool that waits for its COMMIT finds another task running, or none."""
        if attempt.open_grants:
            close_all(attempt.take_back(tuple(attempt.open_grants)))

    def _listen(self, wanted: bool) -> None:
        if wanted and not self._listening:
            self._loop.add_reader(self._host.instance.listener.fileno(), self._accept)
        elif self._listening and not wanted:
            self._loop.remove_reader(self._host.instance.listener.fileno())
        self._listening = wanted

    def _accept(self) -> None:
        try:
            channel = tool_channel.accept(self._host.instance.listener)
        except OSError:
            return  # it went away again, or there are no descriptors left: the others will be served
        task = self._loop.create_task(self._serve(channel))
        self._pending.add(task)
        task.add_done_callback(self._served)
        if len(self._pending) >= MAX_PENDING:
            self._listen(False)

    def _served(self, task: asyncio.Task[None]) -> None:
        self._pending.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self._host.log.error("serving a tool failed", why=repr(error))
        if self._host.alive:
            self._listen(True)

    async def _serve(self, channel: Direct) -> None:
        try:
            message = await channel.receive()
            if message is not None:
                await Request(self._host, channel).answer(message)
        except (WireError, RefusalError) as refused:
            send(channel, Kind.REFUSED, str(refused), FAILED)
        except UnavailableError:
            send(channel, Kind.REFUSED, "the service does not answer", FAILED)
        except ValueError as error:
            send(channel, Kind.REFUSED, str(error), FAILED)
        except OSError as error:
            if channel.is_connected():
                send(channel, Kind.REFUSED, os.strerror(error.errno or 0), FAILED)
        finally:
            await channel.close(lambda: not self._host.alive)


class Request:
    """One run of a tool, from OPEN to OK."""

    def __init__(self, host: TaskHost, channel: Direct) -> None:
        self._host = host
        self._channel = channel

    async def answer(self, message: Message) -> None:
        """Serve a tool's OPEN. Raises ValueError for any other message, RefusalError or WireError for a refused one."""
        if message.kind != Kind.OPEN:
            raise ValueError("a tool begins with OPEN, and without descriptors")
        request = passing.decode_open(message.payload)
        attempt = self._attempt()
        attempt.check_room()
        headers = parse_headers(request.headers)
        check_reducer(request.reducer)
        if request.kind is OpenKind.REFERENCE:
            self._refer(attempt, request)
        elif request.kind is OpenKind.SPLIT:
            await self._split(attempt, request)
        elif request.kind is OpenKind.TEE:
            await self._tee(attempt, request, headers)
        else:
            await self._pipe(attempt, request, headers)

    def _attempt(self) -> Attempt:
        """The task that asks: the running one, if the tool is still connected."""
        attempt = self._host.current()
        if attempt is None or not self._channel.is_connected():
            raise RefusalError("no task is running")
        return attempt

    def _refer(self, attempt: Attempt, request: Open) -> None:
        attempt.uncaptured = True
        attempt.add(Emitted(normal(request.name), None, request.reducer, named=True))
        send(self._channel, Kind.OK)

    async def _pipe(self, attempt: Attempt, request: Open, headers: dict[str, str]) -> None:
        attempt.uncaptured = True
        name = await self._checked_name(request) if request.name else self._base(attempt) + new_id()
        (fd,) = await self._grant(attempt, 1, bool(request.name))
        await emit(self._host, attempt, Emitted(name, fd, request.reducer, bool(request.name), headers))
        send(self._channel, Kind.OK, name)

    async def _split(self, attempt: Attempt, request: Open) -> None:
        attempt.uncaptured = True
        base = self._base(attempt) + new_id()
        if not 1 <= request.count <= MAX_REDUCERS:
            raise RefusalError("invalid number of reducers")
        fds = await self._grant(attempt, request.count)
        outputs = [Emitted(f"{base}.{index}", fd, index) for index, fd in enumerate(fds)]
        await emit(self._host, attempt, *outputs)
        send(self._channel, Kind.OK)

    async def _tee(self, attempt: Attempt, request: Open, headers: dict[str, str]) -> None:
        name = await self._checked_name(request)
        (fd,) = await self._grant(attempt, 1, True)
        stores = self._host.stores
        try:
            await in_thread(lambda: capture.seal(stores.born(True), fd))
            blob = await asyncio.to_thread(capture.publish, stores, fd, os.fstat(fd).st_size, True)
            attempt.sent += blob.size
        finally:
            os.close(fd)
        await stores.objects.durable()
        job = self._host.spec.job
        await several(lambda: self._host.client.adopt(Adoption(job=job, name=name, blob=blob, headers=headers)))
        send(self._channel, Kind.OK, name)

    def _base(self, attempt: Attempt) -> str:
        return output_names.output_base(self._host.spec, attempt.lease)

    async def _checked_name(self, request: Open) -> str:
        """The normal form of a name that a task chose, if an object may be put there."""
        name = normal(request.name)
        parents = OpenFlag.PARENTS in request.flags
        check = OutputCheck(job=self._host.spec.job, name=name, parents=parents)
        await several(lambda: self._host.client.check(check))
        return name

    async def _grant(self, attempt: Attempt, count: int, named: bool = False) -> list[int]:
        """Let the tool write `count` files, and wait until it commits; the caller owns the files then."""
        fds: list[int] = []
        store = self._host.stores.born(named or self._host.spec.last)
        await self._room(attempt, count)
        try:
            for _ in range(count):
                fds.append(store.create())
                attempt.open_grants.add(fds[-1])
            self._offer(fds)
            message = await self._channel.receive()
            if message is None:
                raise RefusalError("not committed")
            if message.kind != Kind.COMMIT:
                raise ValueError("after GRANT comes COMMIT, without descriptors")
            if self._attempt() is not attempt:
                raise RefusalError("the task is over")
        except BaseException:
            close_all(attempt.take_back(fds))
            raise
        return attempt.take_back(fds)

    async def _room(self, attempt: Attempt, count: int) -> None:
        """Wait until `count` more files may be granted."""
        while self._attempt() is attempt:
            if not attempt.open_grants or len(attempt.open_grants) + count <= MAX_GRANTED:
                return
            await attempt.fewer_grants()
        raise RefusalError("the task is over")

    def _offer(self, fds: list[int]) -> None:
        """Send descriptors that can only be written."""
        writers: list[int] = []
        try:
            for fd in fds:
                os.fchmod(fd, MODE | 0o200)
                writers.append(os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_CLOEXEC))
                os.fchmod(fd, MODE)
            self._channel.send(Kind.GRANT, fds=writers)
        finally:
            close_all(writers)


def send(channel: Direct, kind: Kind, text: str = "", flags: int = 0) -> None:
    """Send an answer; a tool that went away, or does not read, does not get it."""
    try:
        channel.send(kind, text, flags)
    except OSError:
        return


def normal(name: str) -> str:
    """The normal form of an absolute name. Raises RefusalError for any other."""
    result = names.from_input_line(name)
    if not result.startswith("/") or "\0" in result or len(result.encode()) > names.MAX_PATH_BYTES:
        raise RefusalError(f'"{name}" is not the name of an object')
    return result


def check_reducer(reducer: int | None) -> None:
    if reducer is not None and not 0 <= reducer < MAX_REDUCERS:
        raise RefusalError("invalid reducer")


def parse_headers(text: str) -> dict[str, str]:
    """Parse `Name: value` lines. Raises RefusalError for a name or value that HTTP does not allow."""
    result = {}
    for line in filter(None, text.split("\n")):
        name, colon, value = line.partition(":")
        if not colon or not HEADER_NAME.match(name) or any(ord(c) < 32 and c != "\t" for c in value):
            raise RefusalError(f"invalid header: {line!r}")
        result[name.lower()] = value.strip()
    return result
