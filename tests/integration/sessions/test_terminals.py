"""Programs that use the whole screen, long pastes and floods, through a session."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.machine import needs_namespaces
from tests.support.services.service import Service, descendants, processes_with
from tests.support.sessions import PROMPT, asked, ended, session
from tests.support.terminal import Terminal

pytestmark = needs_namespaces
MIB = 1 << 20
MOST_GROWTH = 16 * MIB


@contextmanager
def shell(service: Service) -> Iterator[Terminal]:
    """A shell at its prompt, which is left at the end."""
    with session(service, "mlogin") as running:
        running.read_until(PROMPT)
        yield running
        running.type("exit 0\r")
        assert ended(running)[1] == 0


def need(running: Terminal, program: str) -> None:
    if not asked(running, f"type -P {program}"):
        pytest.skip(f"the image has no {program}")


def test_an_editor(service: Service) -> None:
    with shell(service) as running:
        need(running, "vi")
        running.type("vi /tmp/text\r")
        running.read_until(b"~")  # of the lines below the end
        running.type("iwritten in vi\x1b:wq\r")
        running.read_until(PROMPT)
        assert asked(running, "cat /tmp/text") == "written in vi\n"


def test_a_pager(service: Service) -> None:
    with shell(service) as running:
        need(running, "less")
        running.type("seq 1000 > /tmp/numbers; less /tmp/numbers\r")
        running.read_until(b"29")
        running.type("G")
        running.read_until(b"1000")
        running.type("q")
        running.read_until(PROMPT)


def test_what_watches_processes(service: Service) -> None:
    with shell(service) as running:
        need(running, "top")
        running.type("top -d 1\r")
        running.read_until(b"COMMAND")
        running.read_until(b"load average")  # once more
        running.type("q")
        running.read_until(PROMPT)


def test_ten_megabytes_pasted_arrive_whole(service: Service) -> None:
    piece = ("0123456789abcde\n" * 64) * 64  # 64 KiB
    number = 160
    command = f"stty -echo; echo ready; head -c {len(piece) * number} | md5sum"
    with session(service, "mlogin", "-q", "-c", command) as running:
        running.read_until(b"ready")
        for _ in range(number):
            running.type(piece)
        shown, status = ended(running)
    expected = hashlib.md5(piece.encode() * number, usedforsecurity=False).hexdigest()
    assert (shown.split()[0], status) == (expected, 0)


def resident(service: Service) -> int:
    """Bytes of memory that the service and its agent have in use."""
    assert service.process is not None
    pids = [service.process.pid, *(set(processes_with("scheduler.agent")) & set(descendants(service.process.pid)))]
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_a_flood_takes_no_memory_of_the_service(service: Service) -> None:
    with shell(service) as running:
        running.type("yes 0123456789abcdef\r")
        before = after = 0
        for mebibyte in range(24):
            seen = 0
            while seen < MIB:
                seen += len(running.read_some())
            if mebibyte == 8:
                before = resident(service)
        after = resident(service)
        running.type("\x03")
        running.read_until(PROMPT)
    assert after - before < MOST_GROWTH
