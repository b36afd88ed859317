"""Hands inside a running task: a test says what to send to the instance's two doors, and a task sends it.

The doors (the agent's socket and the endpoint at `MANTA_URL`) serve an instance's own processes
only. So the task runs `RELAY`, which connects to the test, takes one order after the other,
carries it out and sends back whatever came. It is a few lines of the machine's own Python.

    with Inside(user, item) as inside:
        inside.http(b"GET / HTTP/1.1\\r\\n…")       the bytes that came until the endpoint closed
        inside.packets([(b"…", 0), …])            the answers, and how many descriptors came with each
"""

from __future__ import annotations

import base64
import json
import socket
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.support.services.user import Ended, User

PYTHON = Path("/usr/bin/python3")
PATIENCE = 60.0
RELAY = r"""
import base64, json, os, socket, sys

def http(text):
    data = base64.b64decode(text)
    port = int(os.environ["MANTA_URL"].split(":")[2].strip("/"))
    with socket.create_connection(("127.0.0.1", port), 20) as peer:
        came = b""
        try:
            peer.sendall(data)
            while piece := peer.recv(65536):
                came += piece
        except ConnectionError:
            pass
        return base64.b64encode(came).decode()

def packets(orders):
    answers = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as peer:
        peer.settimeout(20)
        peer.connect(os.environ.get("REMORA_SOCKET", "/.remora/agent.sock"))
        for data, count in orders:
            try:
                socket.send_fds(peer, [base64.b64decode(data)], [0] * count)
                data, fds, _, _ = socket.recv_fds(peer, 65536, 250)
            except (ConnectionError, PermissionError):  # hung up, or the kernel takes no descriptors there
                break
            answers.append((base64.b64encode(data).decode(), len(fds)))
            for fd in fds:
                os.write(fd, b"x")
                os.close(fd)
            if not data:
                break
    return answers

test = socket.create_connection(("127.0.0.1", int(sys.argv[1]))).makefile("rwb")
for line in test:
    what, order = json.loads(line)
    test.write(json.dumps({"http": http, "packets": packets}[what](order)).encode() + b"\n")
    test.flush()
"""


class Inside:
    """A job with one task, which does what it is told until the block ends."""

    def __init__(self, user: User, item: str) -> None:
        self._user = user
        self._item = item
        self.job = ""

    def __enter__(self) -> Inside:
        with socket.create_server(("", 0)) as listener:
            listener.settimeout(PATIENCE)
            port = listener.getsockname()[1]
            self.job = self._user.create(f"exec {PYTHON} -c '{RELAY}' {port}")
            self._user.add(self.job, self._item)
            peer, _ = listener.accept()
        peer.settimeout(PATIENCE)
        self._peer = peer
        self._lines = peer.makefile("rwb")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._lines.close()
        self._peer.close()

    def http(self, data: bytes) -> bytes:
        return base64.b64decode(self._order("http", base64.b64encode(data).decode()))

    def packets(self, orders: list[tuple[bytes, int]]) -> list[tuple[bytes, int]]:
        told = [(base64.b64encode(data).decode(), count) for data, count in orders]
        return [(base64.b64decode(data), count) for data, count in self._order("packets", told)]

    def _order(self, what: str, order: object) -> Any:
        self._lines.write(json.dumps([what, order]).encode() + b"\n")
        self._lines.flush()
        answer = self._lines.readline()
        assert answer, f"the task has ended: {what}"
        return json.loads(answer)

    def finish(self) -> Ended:
        """After the block: the job, done."""
        return self._user.finish(self.job)
