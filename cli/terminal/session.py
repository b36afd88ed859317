"""The course of a session: its place, its connection, the loop between keyboard and screen, and its end.

    message        before the start                    after it
    wait           the spinner turns; is the job still there?   -
    linkup         `start` is sent                      -
    started        the terminal becomes raw             -
    binary         -                                    shown
    exit, error    the session is over, and has a status
    close, reset   the session is over without a status: LOST

A job of its own is cancelled unless its program has ended. It would end anyway when this end of the session is gone.
"""

from __future__ import annotations

import json
import os
import select
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any

from cli.client.jobs import Jobs
from cli.terminal.connection import Connection
from cli.terminal.frames import Kind, Message, close_of
from cli.terminal.keys import Escape, Keyboard
from cli.terminal.places import Place
from cli.terminal.screen import STDIN, Screen, resizes

SERVICE, USER = "medusa:", "mlogin:"
FAILED = 1
LOST = 255  # as of ssh
PING_SECONDS = 15.0
LOOK_SECONDS = 5.0
KEYS = 16 * 1024


class EndedByUserError(Exception):
    """The user has ended the session by an escape."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user wants: a command, or None for a shell; the escape character; how long the session may idle, s."""

    command: str | None
    escape: str | None
    idle: int


def start_of(wish: Wish, cwd: str, size: tuple[int, int]) -> str:
    """The message that starts the program."""
    arguments = ["-c", wish.command] if wish.command is not None else ["--norc"]
    columns, lines = size
    terminal = {"cwd": cwd, "term": os.environ.get("TERM", "xterm"), "columns": columns, "lines": lines}
    return USER + json.dumps({"type": "start", **terminal, "command": "/bin/bash", "arguments": arguments})


class Session:
    """One session of a user; `run` is its whole life."""

    def __init__(self, mine: Jobs, place: Place, wish: Wish, screen: Screen) -> None:
        self._mine = mine
        self._place = place
        self._wish = wish
        self._screen = screen
        self._keyboard = Keyboard(wish.escape.encode() if wish.escape else None)
        self._status: int | None = None
        self._linked = False
        self._looked = time.monotonic()

    def run(self) -> int:
        """Make the place, serve the terminal until the session is over; the exit status.

        Raises `Problem`, NotBegunError.
        """
        self._place.begin(self._screen)
        with ExitStack() as open_until_cancelled:
            try:
                connection = open_until_cancelled.enter_context(closing(Connection(self._attach())))
                self._place.feed()
                return self._serve(connection)
            except KeyboardInterrupt:
                self._screen.say("caught interrupt; aborting...")
                raise
            finally:
                self._screen.restore()
                if self._status is None:
                    self._place.give_up(self._screen)

    def _attach(self) -> Any:
        path = f"/{self._mine.account}/medusa/attach/{self._place.job}/master"
        return self._mine.session.upgrade(path, query={"idle": str(self._wish.idle), **self._place.query})

    def _serve(self, connection: Connection) -> int:
        """Serve keyboard, window and connection until the session is over; the exit status."""
        pinged = time.monotonic()
        try:
            with resizes() as resized:
                while self._status is None:
                    self._wait(connection, resized)
                    for message in connection.receive():
                        if (status := self._hear(connection, message)) is not None:
                            return status
                    if time.monotonic() - pinged >= PING_SECONDS:
                        pinged = time.monotonic()
                        connection.send(Kind.TEXT, b"ping")
                    if not self._linked and (status := self._look()) is not None:
                        return status
        except EndedByUserError:
            self._screen.restore()
            return LOST
        except (OSError, ValueError) as error:
            return self._lost(f"connection lost: {error}")
        return self._status

    def _wait(self, connection: Connection, resized: int) -> None:
        """Wait for an event, and handle keys and the window's size. Raises EndedByUserError."""
        poll = select.poll()
        poll.register(connection, select.POLLIN | (select.POLLOUT if connection.is_sending else 0))
        poll.register(resized, select.POLLIN)
        if self._screen.is_raw and not connection.is_sending:
            poll.register(STDIN, select.POLLIN)
        ready = dict(poll.poll(0 if connection.is_pending else min(PING_SECONDS, LOOK_SECONDS) * 1000))
        connection.flush()
        if resized in ready:
            os.read(resized, KEYS)
            if self._screen.is_raw:
                columns, lines = self._screen.size()
                self._tell(connection, {"type": "resize", "columns": columns, "lines": lines})
        if STDIN in ready:
            self._typed(connection, os.read(STDIN, KEYS))

    def _tell(self, connection: Connection, message: dict[str, Any]) -> None:
        connection.send(Kind.TEXT, (USER + json.dumps(message)).encode())

    def _typed(self, connection: Connection, typed: bytes) -> None:
        if not typed:
            raise ConnectionError("the terminal is gone")
        for each in self._keyboard.feed(typed):
            if isinstance(each, bytes):
                connection.send(Kind.BINARY, each)
            elif each is Escape.END:
                raise EndedByUserError
            else:
                self._screen.answer(*self._answer(each))

    def _answer(self, asked: Escape) -> list[str]:
        if asked is Escape.INFORMATION:
            return ["Information about this Manta job:", f"   Job ID: {self._place.job}"]
        e = self._wish.escape
        return [
            "Supported escape sequences:",
            f" {e}.   - terminate session",
            f" {e}i   - print job information",
            f" {e}?   - this message",
            f" {e}{e}   - send the escape character by typing it twice",
            "(Note that escapes are only recognized immediately after newline.)",
        ]

    def _hear(self, connection: Connection, message: Message) -> int | None:
        """Act on a message; the exit status if the session is over."""
        if message.kind is Kind.BINARY:
            self._screen.show(message.data)
        elif message.kind is Kind.CLOSE:
            why = close_of(message.data)[1] or "the service closed it"
            if not self._linked:
                self._place.closed(why)
            return self._lost(f"session ended: {why}")
        elif message.kind is Kind.TEXT:
            return self._told(connection, message.data.decode("utf-8", "replace"))
        return None

    def _told(self, connection: Connection, text: str) -> int | None:
        said = said_in(text)
        kind = said.get("type")
        if text.startswith(SERVICE) and kind == "wait":
            self._screen.wait()
        elif text.startswith(SERVICE) and kind == "linkup":
            self._linked = True
            self._screen.established()
            connection.send(Kind.TEXT, start_of(self._wish, self._place.cwd, self._screen.size()).encode())
        elif text.startswith(USER) and kind == "started":
            self._screen.make_raw()
        elif text.startswith(USER) and kind == "exit":
            self._status = int(said.get("status", 0))
            self._over(connection, "done", "remote process exited")
            return self._status
        elif text.startswith(USER) and kind == "error":
            self._over(connection, "aborting", f"remote error: {said.get('error')}")
            return FAILED
        return None

    def _over(self, connection: Connection, reason: str, shown: str) -> None:
        self._screen.restore()
        self._screen.say(shown)
        connection.end(reason)

    def _lost(self, why: str) -> int:
        """The session is over, and what became of its program is not known."""
        self._screen.restore()
        self._screen.say(why)
        self._screen.say("the session is over; run the same command for a new one")
        return LOST

    def _look(self) -> int | None:
        """While the session has not begun: whether it can begin at all, which no terminal of a program would show."""
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return None
        self._looked = time.monotonic()
        if (reasons := self._place.over()) is None:
            return None
        self._status = FAILED
        for reason in reasons:
            self._screen.say(reason)
        return FAILED


def said_in(text: str) -> dict[str, Any]:
    """The JSON object in a message `PREFIX:JSON`; empty if there is none."""
    try:
        said = json.loads(text.partition(":")[2])
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
