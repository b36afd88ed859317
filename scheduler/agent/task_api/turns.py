"""Turns at an instance's port: the queue (`common.waiting`) of the work that one instance causes, of which each turn of
the event loop does one step.

A task can send requests faster than the agent answers them, on hundreds of connections. If the
event loop processed all of them as they come, one turn would take a tenth of a second, and the
tasks of other instances would wait for it. So everything that arrives at an instance's port waits
in one queue, and each turn of the loop takes one step from it: data of one connection for the HTTP
parser, or the start of a request. A connection is not read while its data waits.

Example: 200 connections of bob's task with 32 requests each, and one of jill's. Each turn parses
one piece of bob's and one of jill's: her request waits for one step, not for 200.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from scheduler.common.waiting import Turns
from scheduler.http.protocol import HttpConnection, HttpServer


class TurnConnection(HttpConnection):
    """A connection whose data waits for its turn. `asked`: a whole request has come."""

    def __init__(self, manager: HttpServer, turns: Turns, **options: Any) -> None:
        super().__init__(manager, **options)
        self.asked = False
        self._turns = turns
        self._pieces = 0  # that wait

    def data_received(self, data: bytes) -> None:
        """Parse data at once if the turn is free; else pause the transport and queue the data."""
        if not self._pieces and self._turns.take():
            super().data_received(data)
            return
        assert self.transport is not None
        self.transport.pause_reading()
        self._pieces += 1
        self._turns.add(partial(self._go_on, data))

    def _go_on(self, data: bytes) -> None:
        self._pieces -= 1
        if self.transport is None:
            return
        if not (self._reading_paused or self._buffer_paused):  # by aiohttp: its buffer is full
            self.transport.resume_reading()
        super().data_received(data)

    def end_if_mute(self) -> None:
        """Close the connection if no whole request has come so far."""
        if self.transport is not None and not self.asked:
            self.transport.abort()
