"""Interactive sessions of our commands, on a terminal of their own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from tests.support.terminal import Terminal, terminal_of

PROMPT = b"@manta # "
PASTING = re.compile("\x1b\\[\\?2004[hl]\r?")  # a shell's messages to its terminal
LOST = 255  # the exit status of a session that ended without one


class HasEnv(Protocol):
    """What has the environment of commands: a service, say."""

    env: dict[str, str]


@contextmanager
def session(service: HasEnv, name: str, *words: str) -> Iterator[Terminal]:
    """A command that opens a session, on a terminal of 200 columns."""
    with terminal_of(name, *words, env=service.env | {"TERM": "xterm"}, cwd=Path("/")) as running:
        running.resize(columns=200, lines=30)
        yield running


def ended(running: Terminal) -> tuple[str, int]:
    """What is shown until the program ends, and its exit status."""
    shown = running.rest().decode()
    return shown, running.process.wait()


def asked(running: Terminal, line: str) -> str:
    """What a shell at its prompt shows for a line, without the line's echo and all that belongs to the next prompt."""
    running.type(line + "\r")
    shown = running.read_until(PROMPT).decode().partition("\r\n")[2]
    return PASTING.sub("", shown).rpartition("\x1b[1m")[0].replace("\r\n", "\n")
