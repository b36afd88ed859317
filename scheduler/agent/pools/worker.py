"""One instance and the attempts that were handed to its lackey.

The lackey runs attempts in the order in which it was handed them, so the oldest attempt in `handed`
is the one that runs now, and every request of a tool or over HTTP belongs to it. This holds only as
far as the worker has read the lackey's messages: `current` reads them first.

A worker ends in one way, whatever the reason: `dissolve`. The pool is over, the worker is leaving
and its last attempt has ended, or the lackey is gone, which the channel shows; then the attempt
that ran is lost and those that waited run elsewhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from enum import Enum, auto
from typing import Protocol

from datapath import passing
from datapath.passing import Done, DoneFlag, Kind, Message, ScriptFlag, Slot
from scheduler.agent.attempts.attempt import Attempt
from scheduler.agent.attempts.capture import Scratch
from scheduler.agent.attempts.environment import common_environment, task_environment
from scheduler.agent.attempts.reducer_input import Lost
from scheduler.agent.attempts.task_inputs import TaskInputs
from scheduler.agent.attempts.verdict import Stop
from scheduler.agent.log import Log
from scheduler.agent.pools.caps.disk_count import DiskCount
from scheduler.agent.pools.context import AgentContext
from scheduler.agent.pools.pacing import RECALL_US, Pace
from scheduler.agent.pools.shells import Shells, script_of
from scheduler.agent.task_api.endpoint import Endpoint
from scheduler.agent.task_api.tool_requests import Tools
from scheduler.common.ids import new_id
from scheduler.model.wire import PoolSpec, TaskLease, Usage
from scheduler.providers import Instance
from scheduler.providers.linux.readiness import writable

NO_DONE = Done(0, DoneFlag(0), 0, 0, 0, 0, 0, "", "")


class State(Enum):
    """The states of a worker."""

    FRESH = auto()  # the pool's init script has not run
    INIT = auto()  # the init script runs
    READY = auto()
    LEAVING = auto()  # takes no more tasks; ends with its last one
    DEAD = auto()


class WorkerOwner(Protocol):
    """The events that a worker reports to its pool."""

    spec: PoolSpec
    node: AgentContext
    scratch: Scratch
    pace: Pace

    @property
    def is_piped(self) -> bool: ...
    def attempt_ended(self, worker: Worker, attempt: Attempt, done: Done, now: float) -> None: ...
    def settle(self, worker: Worker) -> None: ...
    def worker_lost(self, worker: Worker, running: Attempt | None, waiting: list[Attempt]) -> None: ...


class Worker:
    """An instance and its attempts. All methods run on the event loop."""

    def __init__(self, pool: WorkerOwner, instance: Instance) -> None:
        self.pool = pool
        self.spec = pool.spec
        self.stores = pool.node.stores
        self.client = pool.node.client
        self.instance = instance
        self.number = instance.number
        self.name = new_id()  # instance numbers are reused
        self.state = State.FRESH
        self._before: State | None = None  # the state before it was told to leave, if it may stay after all
        self.log: Log = pool.node.log.about(job=self.spec.job, instance=instance.number)
        self.handed: dict[int, Attempt] = {}
        self._inputs = TaskInputs(self.spec, self.stores, instance, self.log, pool.node.changed, self._input_lost)
        self.memory_due = 0.0  # event loop time of the next look at memory in use
        self._memory_kills = instance.memory_kills()
        self.init_usage: Usage | None = None  # of the init script, until a task is charged with it
        self._away = False  # reading of the channel is paused
        self.loop = asyncio.get_running_loop()
        self.disk = DiskCount.begin(instance.disk, self.loop.time())
        self._tools = Tools(self)
        self.shells = Shells(self)
        self.endpoint: Endpoint | None = None
        self.gone = asyncio.Event()  # nothing of the instance is left

    async def open(self) -> None:
        """Make the instance ready to be handed tasks. Raises OSError."""
        spec, channel = self.spec, self.instance.channel
        self.endpoint = await self.pool.node.endpoints.open(self)
        environment = common_environment(spec, self.instance.view, self.endpoint.url)
        if (events := self.instance.memory_events()) is not None:
            await self.say(Kind.EVENTS, 0, b"", (events,))
        await self.say(Kind.ENV, 0, passing.encode_environment(environment))
        how = ScriptFlag.PIPED if self.pool.is_piped else 0
        await self.say(Kind.SCRIPT, Slot.EXEC | how, script_of(spec, self.instance.view).encode())
        if spec.init is not None:
            await self.say(Kind.SCRIPT, Slot.INIT | how, spec.init.encode())
        if spec.init is None or self.instance.initialized:
            self.instance.set_initialized()
            self.state = State.READY
        self.loop.add_reader(channel.fileno(), self.read)
        self._tools.open()

    async def say(self, kind: Kind, flags: int, payload: bytes, fds: tuple[int, ...] = (), task: int = 0) -> None:
        """Send, and wait while the channel is full: two long scripts do not fit into it together."""
        channel = self.instance.channel
        while True:
            try:
                channel.send(kind, task=task, flags=flags, payload=payload, fds=fds)
                return
            except BlockingIOError:
                await writable(channel.fileno())

    # -- handing tasks to the lackey ---------------------------------------------------------

    def hand(self, lease: TaskLease) -> Attempt:
        """Hand a task to the lackey.

        Raises InputGoneError; BusyError or BlockingIOError (not now, but later); OSError (the disk, or the lackey).
        """
        attempt = self._prepare(lease)
        try:
            stdin = self._inputs.open_input(attempt)
            try:
                self._send(attempt, stdin, Slot.EXEC)
            finally:
                os.close(stdin)
        except BaseException:
            self._inputs.close_input(attempt)
            self.pool.scratch.give_back(attempt.stdout)
            self.pool.scratch.give_back(attempt.stderr)
            raise
        return attempt

    def hand_init(self, lease: TaskLease) -> Attempt:
        """Hand the pool's init script to the lackey, on behalf of the first task. Raises what `hand` raises."""
        attempt = self._prepare(lease)
        attempt.init = True
        stdin = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        stdout = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        try:
            self._send(attempt, stdin, Slot.INIT, stdout)
        finally:
            os.close(stdin)
            os.close(stdout)
        self.state = State.INIT
        return attempt

    def _prepare(self, lease: TaskLease) -> Attempt:
        stdout = self.pool.scratch.take()
        try:
            stderr = self.pool.scratch.take()
        except OSError:
            self.pool.scratch.give_back(stdout)
            raise
        return Attempt(next(self.pool.node.attempts), lease, stdout, stderr, instance=self.name)

    def _input_lost(self, attempt: Attempt, source: Lost) -> None:
        attempt.missing, attempt.long_line = source.blob, source.line
        self.log.warning("input of a task is gone", task=attempt.lease.uuid, why=source.why)
        self.stop(attempt, Stop.FETCH)

    def _send(self, attempt: Attempt, stdin: int, slot: Slot, stdout: int | None = None) -> None:
        lease, place = attempt.lease, attempt.place
        environment = task_environment(self.spec, lease, place, self.instance.view, init=slot is Slot.INIT)
        self.instance.channel.send(
            Kind.RUN,
            task=attempt.number,
            flags=slot,
            payload=passing.encode_environment(environment),
            fds=(stdin, attempt.stdout if stdout is None else stdout, attempt.stderr),
        )
        if not self.handed:
            attempt.began = self.loop.time()
        self.handed[attempt.number] = attempt

    # -- listening to the lackey -------------------------------------------------------------

    def read(self) -> None:
        """Read all messages that the lackey has sent so far."""
        heard = ended = False
        now = self.loop.time()
        try:
            while self.state is not State.DEAD and (message := self.instance.channel.receive()) is not None:
                self._take(message, now, looks=not ended)
                heard, ended = True, ended or message.kind == Kind.DONE
        except BlockingIOError:
            if heard:
                self.pool.settle(self)
            self._look_away()
        except (OSError, ValueError) as error:
            self._lose(f"the lackey broke the protocol: {error}")
        else:
            self._lose("the lackey is gone")

    def _look_away(self) -> None:
        """Stop reading for a moment while the lackey has plenty to do."""
        if not self._away and (seconds := self.pool.pace.away_seconds(len(self.handed) - 1)):
            self._away = True
            self.loop.remove_reader(self.instance.channel.fileno())
            self.loop.call_later(seconds, self._look_again)

    def _look_again(self) -> None:
        self._away = False
        if self.state is not State.DEAD:
            self.loop.add_reader(self.instance.channel.fileno(), self.read)

    def running(self) -> Attempt | None:
        """The attempt that runs now: every request from inside belongs to it."""
        self.read()
        return next(iter(self.handed.values()), None)

    def current(self) -> Attempt | None:
        """The task that runs now; None while the init script runs."""
        running = self.running()
        return None if running is None or running.init else running

    @property
    def alive(self) -> bool:
        return self.state is not State.DEAD

    def initialized(self, usage: Usage) -> None:
        """Record that the init script has succeeded, with its usage."""
        self.init_usage = usage
        self.instance.set_initialized()
        if self.state is State.INIT:
            self.state = State.READY
        elif self._before is State.INIT:  # it was told to leave meanwhile
            self._before = State.READY

    def leave(self, for_good: bool = True) -> None:
        """Take no more tasks. Not `for_good`: it may be told to stay after all, while its last one runs."""
        self._before = None if for_good else self.state
        self.state = State.LEAVING

    @property
    def may_stay(self) -> bool:
        return self.state is State.LEAVING and self._before is not None

    def stay(self) -> None:
        assert self._before is not None
        self.state, self._before = self._before, None

    def is_long(self, now: float) -> bool:
        """Whether the running task has turned out to be long."""
        running = next(iter(self.handed.values()), None)
        return running is not None and (now - running.began) * 1e6 > RECALL_US

    def can_take(self, ahead: int, now: float) -> bool:
        """Whether one more task may be handed to it."""
        if self.state not in (State.FRESH, State.READY) or (self.state is State.FRESH and self.handed):
            return False
        return not self.handed or (len(self.handed) < ahead and not self.is_long(now))

    def _take(self, message: Message, now: float, looks: bool) -> None:
        """Take a message. `looks`: at the memory in use, once for all ends that are read together."""
        for fd in message.fds:
            os.close(fd)
        if message.kind == Kind.BEGUN:
            self.shells.answered(message.task, message.flags)
            return
        attempt = self.handed.pop(message.task, None) if message.kind == Kind.DONE else None
        if attempt is None:
            raise ValueError(f"unexpected message {message.kind} about task {message.task}")
        done = passing.decode_done(message.payload)
        if self.handed:
            following = next(iter(self.handed.values()))
            following.began = following.began or now
        if done.core:
            self._keep_core(attempt, done.core)
        if done.flags and DoneFlag.MEMORY in done.flags:
            self._memory_kills = self.instance.memory_kills()
        if looks:
            attempt.peak_kb = max(attempt.peak_kb, self.instance.memory_peak_kb(done.max_rss_kb))
        if done.status:
            attempt.disk_full = attempt.disk_full or self.instance.disk_full()
        self._inputs.check_unchanged(attempt)
        self._finish(attempt)
        attempt.ended()
        self.pool.attempt_ended(self, attempt, done, now)

    def _keep_core(self, attempt: Attempt, path: str) -> None:
        """Open the core file, before the next task can touch it."""
        with contextlib.suppress(OSError):  # it is no regular file, or gone
            attempt.core = passing.open_beneath(self.instance.work, path)

    def _finish(self, attempt: Attempt) -> None:
        self._inputs.close_input(attempt)
        self._tools.task_ended(attempt)

    def _lose(self, why: str) -> None:
        if self.state is State.DEAD:
            return
        self.log.warning("instance lost", why=why)
        attempts = list(self.handed.values())
        self.handed.clear()
        for attempt in attempts:
            attempt.orphaned = True
            self._finish(attempt)
        running, waiting = (attempts[0], attempts[1:]) if attempts else (None, [])
        if running is not None:
            running.stop = Stop.MEMORY if self.instance.memory_kills() > self._memory_kills else Stop.LOST
        self._detach()
        self.pool.worker_lost(self, running, waiting)

    # -- ending things -----------------------------------------------------------------------

    def stop(self, attempt: Attempt, why: Stop) -> None:
        """Kill an attempt, or drop it if it has not begun; its end is reported like any other."""
        if attempt.number in self.handed and attempt.stop is None:
            attempt.stop = why
            self._send_stop(attempt)

    def recall(self) -> None:
        """Take back the attempts behind the running one, so that they may run elsewhere."""
        for attempt in list(self.handed.values())[:0:-1]:  # the last first: so they come back in order
            if attempt.stop is None and not attempt.recalled:
                attempt.recalled = True
                self._send_stop(attempt)

    def _send_stop(self, attempt: Attempt) -> None:
        try:
            self.instance.channel.send(Kind.STOP, task=attempt.number)
        except BlockingIOError:
            self.loop.call_later(0.01, self._send_stop_if_handed, attempt)
        except OSError:
            self.loop.call_soon(self.read)  # the lackey is gone, and reading will show it

    def _send_stop_if_handed(self, attempt: Attempt) -> None:
        if attempt.number in self.handed and self.state is not State.DEAD:
            self._send_stop(attempt)

    def _detach(self) -> None:
        self.state = State.DEAD
        self._inputs.close()
        self.loop.remove_reader(self.instance.channel.fileno())
        self._tools.close()
        self.shells.close()
        if self.endpoint is not None:
            self.endpoint.close()

    def abandon(self) -> list[Attempt]:
        """Stop listening and take back every attempt; the instance is to be destroyed next."""
        attempts = list(self.handed.values())
        self.handed.clear()
        for attempt in attempts:
            self._finish(attempt)
        if self.state is not State.DEAD:
            self._detach()
        return attempts
