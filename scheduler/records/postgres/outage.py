"""Outages of a PostgreSQL server: waiting until it is back, and a listener that misses no announcement.

A caller that needs a connection calls `Outage.until`, which tries until there is one. So a restart delays all callers,
and is logged once at its beginning and once at its end. Announcements that other processes made meanwhile were not
heard. So the listener, whenever it connects anew, announces "*".
"""

from __future__ import annotations

import logging
import os
import select
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg import pq

from scheduler.common.backoff import Backoff
from scheduler.records.database import DatabaseError, T
from scheduler.records.listeners import Listeners
from scheduler.records.postgres.server import CHANNEL

log = logging.getLogger(__name__)

# A broken connection is retried after the first of these, then with growing pauses up to the second.
RETRY_SECONDS = (0.05, 1.0)
# The time that `close` waits for a server that is away.
CLOSE_SECONDS = 5.0


class Outage:
    """Whether the server is away, and the waiting for it. All who connect to the server share it."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.sentence: str | None = None
        self.closing = threading.Event()

    def until(self, connect: Callable[[], T]) -> T:
        """The result of `connect`, once it does not raise DatabaseError.

        Raises that only if the database is being closed.
        """
        backoff = Backoff(*RETRY_SECONDS)
        given_up: float | None = None
        while True:
            try:
                made = connect()
            except (DatabaseError, psycopg.Error) as error:
                self._is_away(str(error))
                if self.closing.is_set():
                    given_up = given_up or time.monotonic() + CLOSE_SECONDS
                    if time.monotonic() > given_up:
                        raise DatabaseError(str(error)) from None
            else:
                if self.sentence is not None:
                    log.info("the database is back", extra={"database": self.where})
                self.sentence = None
                return made
            pause = backoff.next()
            time.sleep(pause) if self.closing.is_set() else self.closing.wait(pause)

    def _is_away(self, sentence: str) -> None:
        if self.sentence is None:
            log.warning("the database is away", extra={"database": self.where, "reason": sentence})
        self.sentence = sentence


class NotificationListener:
    """A thread that hears the announcements of other processes."""

    def __init__(
        self,
        listeners: Listeners,
        outage: Outage,
        connect: Callable[[], psycopg.Connection[Any]],
        own: Callable[[], int],
    ) -> None:
        self._listeners, self._outage, self._own = listeners, outage, own
        self._wake, self._waker = os.pipe()

        def listen() -> psycopg.Connection[Any]:
            connection = connect()
            connection.execute(f"LISTEN {CHANNEL}")
            return connection

        self._listen = listen
        self._connection = listen()
        self._thread = threading.Thread(target=self._loop, name="records-listen", daemon=True)
        self._thread.start()

    def close(self) -> None:
        os.close(self._waker)
        self._thread.join()
        os.close(self._wake)

    def _loop(self) -> None:
        while True:
            try:
                while self._hear():
                    pass
                self._connection.close()
                return
            except psycopg.Error:
                self._connection.close()
            try:
                self._connection = self._outage.until(self._listen)
            except DatabaseError:
                return
            self._listeners.tell(["*"])

    def _hear(self) -> bool:
        """Wait for the next notifications and pass them on. Returns False when the database is being closed."""
        pg = self._connection.pgconn
        poll = select.poll()
        poll.register(pg.socket, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        if any(fd == self._wake for fd, _ in poll.poll()):
            return False
        pg.consume_input()
        if pg.status != pq.ConnStatus.OK:
            raise psycopg.OperationalError(pg.get_error_message())
        own = self._own()
        subjects = []
        while (notification := pg.notifies()) is not None:
            if notification.be_pid != own:
                subjects.append(notification.extra.decode())
        self._listeners.tell(dict.fromkeys(subjects))
        return True
