"""Pipeline: statements to a PostgreSQL server and their results, in as few round trips as possible.

A round trip costs more than most statements. So a connection is always in libpq's pipeline mode: a caller's statements
go out in one packet (`exchange`), together with those that were deferred until then (`later`): BEGIN, SAVEPOINT,
RELEASE, and queries whose answers are wanted soon (`ahead`). A statement whose result is of no interest is sent at once
and not waited for (`start`): the server executes it while the caller computes, and the next exchange reads what became
of it. Every statement is prepared once, the first time, in the same packet. A statement that fails takes the rest with
it until the next exchange, which raises its error. `values` has the forms of parameters and results.
"""

from __future__ import annotations

import select
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import pq
from psycopg.pq.abc import PGresult

from scheduler.records.postgres.values import Decoder, Parameter

# Statements that are sent before their results are read, which must fit into the socket's buffer.
MOST_STARTED = 64
Command = tuple[str, Sequence[Parameter]]
# SQLSTATEs, or their beginnings, after which the session cannot go on, whichever statement failed.
_OVER = (
    "08",  # the connection
    "57P",  # the server shuts down, or starts
    "40",  # the transaction conflicted with another: not one of ours
    "25P03",  # idle in a transaction for too long: this process was stopped, or the machine is very slow
)
_GOOD = {pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK}


class Broken(Exception):  # noqa: N818 - the caller connects again
    """The connection is lost; it is unknown whether the last exchange was executed."""


class Late(Exception):  # noqa: N818 - it tells whose failure it is
    """A statement of an earlier work, which has not waited for it, has failed. The transaction is lost."""


class Ahead:
    """A query that travels with the statements that follow it; its result, once it is there."""

    __slots__ = ("command", "result")

    def __init__(self, command: Command) -> None:
        self.command = command
        self.result: PGresult | None = None


class Pipeline:
    """One connection in pipeline mode. Threads must not share it; its maker closes it."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._pg = connection.pgconn
        self._pg.enter_pipeline_mode()
        self._poll = select.poll()
        self._poll.register(self._pg.socket, select.POLLIN)
        self._both = select.poll()
        self._both.register(self._pg.socket, select.POLLIN | select.POLLOUT)
        self.rows = Decoder(connection).rows
        self._names: dict[str, bytes] = {}
        self._count = 0
        self._later: list[Command | Ahead] = []
        # For each result to come: what is being prepared, who wants it, or None.
        self._started: list[str | Ahead | None] = []
        self._syncs = 0  # to come before that of the next exchange
        self._foreign = 0  # of these, the first ones, which belong to works that are over
        self.broken = False
        self.late = False

    @property
    def pid(self) -> int:
        """The process id of the server's session."""
        return self._pg.backend_pid

    def close(self) -> None:
        self._connection.close()

    def later(self, sql: str) -> None:
        """Defer a statement that cannot fail: it is sent before the next exchange."""
        self._later.append((sql, ()))

    def ahead(self, command: Command) -> Ahead:
        """Defer a query as `later` does."""
        asked = Ahead(command)
        self._later.append(asked)
        return asked

    @property
    def is_waited_for(self) -> bool:
        """Whether statements were started whose results have not been read."""
        return bool(self._started)

    def start(self, *commands: Command) -> None:
        """Send the deferred statements, then `commands`, without waiting: the next exchange raises what they raise.

        Raises Broken.
        """
        batch = [*self._later, *commands]
        self._later.clear()
        with self._breaking():
            self._send(batch)
            self._pg.flush()
        if len(self._started) > MOST_STARTED:
            self.exchange()

    def finish(self, sql: str) -> None:
        """Send the deferred statements and one that ends the transaction and cannot fail. Raises Broken."""
        batch = [*self._later, (sql, ())]
        self._later.clear()
        with self._breaking():
            self._send(batch)
            self._pg.pipeline_sync()
            self._syncs += 1
            self._pg.flush()

    def end_work(self) -> None:
        """Begin another work: what was started so far is not its own, and raises Late if it fails."""
        self._foreign = len(self._started)

    def settle(self) -> None:
        """Wait for what was started, whether or not it fails, so that what comes next is executed. Raises Broken."""
        try:
            if self._started:
                self.exchange()
        except psycopg.Error:
            return

    def unless_done(self, sql: str) -> bool:
        """Drop the statement that was deferred last, if it is `sql`.

        Returns False if it was sent already, or was not the last.
        """
        if self._later and self._later[-1] == (sql, ()):
            self._later.pop()
            return True
        return False

    def exchange(self, *commands: Command) -> list[PGresult]:
        """Execute the deferred statements, then `commands`; returns one result for each of `commands`.

        Raises psycopg.Error if one fails, Broken if the connection is lost.
        """
        batch = [*self._later, *commands]
        self._later.clear()
        with self._breaking():
            results = self._exchange(batch)
        return results[len(results) - len(commands) :]

    def types(self, sql: str) -> list[int]:
        """The types of the parameters of a statement, as OIDs. Raises as `exchange`."""
        if self._started:
            self.exchange()
        with self._breaking():
            new = self._named(sql)
            self._pg.send_describe_prepared(self._names[sql])
            self._pg.pipeline_sync()
            *prepared, result = self._results(2 if new else 1)
        self._check([*prepared, result])
        return [result.param_type(number) for number in range(result.nparams)]

    @contextmanager
    def _breaking(self) -> Iterator[None]:
        try:
            yield
        except (psycopg.OperationalError, OSError) as error:
            self.broken = True
            raise Broken(str(error).strip()) from None

    def _named(self, sql: str) -> bool:
        """Give a statement a name, if it has none.

        Returns True if it is being prepared, which brings one more result.
        """
        if sql in self._names:
            return False
        self._count += 1
        name = self._names[sql] = b"s%d" % self._count
        self._pg.send_prepare(name, sql.encode())
        return True

    def _send(self, batch: Sequence[Command | Ahead]) -> None:
        for each in batch:
            wanted = each if isinstance(each, Ahead) else None
            sql, parameters = each.command if isinstance(each, Ahead) else each
            if self._named(sql):
                self._started.append(sql)
            self._started.append(wanted)
            self._pg.send_query_prepared(self._names[sql], parameters)

    def _exchange(self, batch: Sequence[Command | Ahead]) -> list[PGresult]:
        self._send(batch)
        prepared, self._started = self._started, []
        foreign, self._foreign = self._foreign, 0
        self._pg.pipeline_sync()
        results = self._results(len(prepared))
        for new, result in zip(prepared, results, strict=True):
            if isinstance(new, Ahead):
                new.result = result if result.status == pq.ExecStatus.TUPLES_OK else None
            elif new is not None and result.status != pq.ExecStatus.COMMAND_OK:
                del self._names[new]
        self._check(results, foreign)
        return [result for new, result in zip(prepared, results, strict=True) if not isinstance(new, str)]

    def _results(self, count: int) -> list[PGresult]:
        """The results of the `count` commands that were sent before a sync."""
        while self._pg.flush():
            self._both.poll()
            self._pg.consume_input()
        results: list[PGresult] = []
        while True:
            while self._pg.is_busy():
                self._poll.poll()
                self._pg.consume_input()
            result = self._pg.get_result()
            if result is None:
                if self._pg.status != pq.ConnStatus.OK:
                    raise psycopg.OperationalError(self._pg.get_error_message())
            elif result.status == pq.ExecStatus.PIPELINE_SYNC:
                if not self._syncs:
                    break
                self._syncs -= 1
            else:
                results.append(result)
        if len(results) != count:
            raise psycopg.OperationalError("the server's answers do not fit what it was asked")
        return results

    def _check(self, results: Sequence[PGresult], foreign: int = 0) -> None:
        """Raise the error of the first statement that failed; the first `foreign` are not of this work."""
        at, failed = next(((at, each) for at, each in enumerate(results) if each.status not in _GOOD), (0, None))
        if failed is None:
            return
        state = (failed.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
        message = failed.get_error_message().strip()
        stale = state == "0A000" and "cached plan" in message  # a newer version of the program changed the tables
        if self._pg.status != pq.ConnStatus.OK or state.startswith(_OVER) or not state or stale:
            self.broken = True
            raise Broken(message)
        if at < foreign:
            self.late = True
            raise Late(message)
        try:
            kind = psycopg.errors.lookup(state)
        except KeyError:
            kind = psycopg.DatabaseError
        raise kind(message)
