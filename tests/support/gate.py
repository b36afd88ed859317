"""A gate that running tasks wait at: a test sees who has come, and lets them go when it likes.

A task that runs `gate.wait("word")` connects, says its word, and blocks until `open`. So a
test knows that tasks run, and that they run at the same time, without looking at a clock.
"""

from __future__ import annotations

import contextlib
import socket
from types import TracebackType

from tests.support.eventually import PATIENCE_SECONDS


class Gate:
    def __init__(self) -> None:
        # At all addresses: a container has a loopback of its own.
        self._listener = socket.create_server(("", 0), backlog=64)
        self._waiting: list[socket.socket] = []

    @property
    def port(self) -> int:
        number: int = self._listener.getsockname()[1]
        return number

    def __enter__(self) -> Gate:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.open()
        self._listener.close()

    def wait(self, word: str = "") -> str:
        """The bash command that waits here; bash expands `word`. Its status is 0 once the gate is open."""
        return f'{{ exec 9<>/dev/tcp/127.0.0.1/{self.port} && echo "{word}" >&9 && read -ru 9 && exec 9>&-; }}'

    def arrivals(self, count: int, seconds: float = PATIENCE_SECONDS) -> list[str]:
        """Wait for so many tasks, each within `seconds`; their words, sorted. They go on waiting."""
        words = []
        self._listener.settimeout(seconds)
        for _ in range(count):
            peer, _ = self._listener.accept()
            self._waiting.append(peer)
            peer.settimeout(PATIENCE_SECONDS)
            word = b""
            while not word.endswith(b"\n"):
                piece = peer.recv(4096)
                assert piece, f"a task went away after {word!r}"
                word += piece
            words.append(word.decode().rstrip("\n"))
        return sorted(words)

    def open(self) -> None:
        """Let all go who have come."""
        for peer in self._waiting:
            with contextlib.suppress(OSError):  # it was killed meanwhile
                peer.sendall(b"go\n")
            peer.close()
        self._waiting.clear()

    def left(self) -> int:
        """Wait for the first who came to go away, by itself or killed; how many bytes it had still to say."""
        peer = self._waiting.pop(0)
        with peer:
            return len(peer.recv(4096))
