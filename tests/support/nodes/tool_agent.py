"""A tool of a task as a program, and an agent of a few lines that it talks to."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path

from datapath import libexec, passing
from datapath.passing import Kind, Open, OpenKind

TIMEOUT = 20


@dataclass
class Asked:
    """One connection of a tool: what it asked for, the files it was granted, and whether it committed."""

    request: Open
    files: list[int] = field(default_factory=list)
    committed: bool = False

    def data(self, index: int = 0) -> bytes:
        return os.pread(self.files[index], 10_000_000, 0)


class FakeAgent:
    """Grants what is asked, unless `refusal` is set; answers like the agent, one connection after another."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "agent.sock"
        self.folder = folder
        self.refusal: tuple[str, int] | None = None
        self.file: Path | None = None  # grant this one instead of a fresh file
        self.ignored = 0  # so many questions get no answer
        self.forgetful = False  # no COMMIT gets one
        self.asked: list[Asked] = []
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(str(self.path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        for asked in self.asked:
            for fd in asked.files:
                os.close(fd)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            channel = passing.Channel(connection.detach())
            self._answer(channel)
            channel.close()

    def _answer(self, channel: passing.Channel) -> None:
        message = channel.receive()
        if message is None:
            return
        asked = Asked(passing.decode_open(message.payload))
        self.asked.append(asked)
        if self.ignored:
            self.ignored -= 1
            return
        if self.refusal:
            channel.send(Kind.REFUSED, payload=self.refusal[0].encode(), flags=self.refusal[1])
            return
        if asked.request.kind is not OpenKind.REFERENCE:
            count = asked.request.count if asked.request.kind is OpenKind.SPLIT else 1
            asked.files = [self._fresh() for _ in range(count)]
            channel.send(Kind.GRANT, fds=asked.files)
            reply = channel.receive()
            asked.committed = reply is not None and reply.kind == Kind.COMMIT
        if self.forgetful:
            return
        if asked.committed or asked.request.kind is OpenKind.REFERENCE:
            channel.send(Kind.OK, payload=(asked.request.name or "/jill/jobs/1/stor/x.0.uuid").encode())

    def _fresh(self) -> int:
        if self.file:
            return os.open(self.file, os.O_RDWR)
        return os.open(self.folder, os.O_TMPFILE | os.O_RDWR)


def run(
    agent: FakeAgent, *argv: str, stdin: bytes = b"", **variables: str | None
) -> subprocess.CompletedProcess[bytes]:
    environment = {
        "REMORA_SOCKET": str(agent.path),
        "MANTA_USER": "jill",
        "MANTA_OUTPUT_BASE": "/jill/jobs/1/stor/x.0.",
    }
    environment |= {name: value for name, value in variables.items() if value is not None}
    for name in [name for name, value in variables.items() if value is None]:
        environment.pop(name)
    return subprocess.run(
        [libexec(argv[0]), *argv[1:]], input=stdin, capture_output=True, env=environment, timeout=TIMEOUT, check=False
    )


def fails(done: subprocess.CompletedProcess[bytes], status: int, first_line: str) -> None:
    assert done.stderr.decode().split("\n")[0] == first_line
    assert (done.returncode, done.stdout) == (status, b"")
