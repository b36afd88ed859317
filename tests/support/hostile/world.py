"""A service with things to hit, for what `hostile` draws; and what must hold of every answer.

    world.request(drawn)      one well-framed request of the owner: one good reply, no undocumented 5xx
    world.raw(drawn)          bytes: nothing but good replies, until the service closes
    world.forged(drawn)       a signature of which one part was replaced: refused
    world.stranger(drawn)     a request of nobody for what is private: never answered with it
    world.document(drawn)     a job document: taken or refused; one that was taken comes back as it was
    world.live(drawn)         questions about a live job, and lines for it
    world.inside(drawn)       a request at a task's own endpoint
    world.packets(drawn)      packets to a task's own socket

A request may delete what is hit: `restore` brings it back from time to time.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import struct
import time
from pathlib import Path
from types import TracebackType
from urllib.parse import quote, urlsplit

from cli.client.problem import Refused
from cli.client.session import Session
from datapath.passing import Kind
from scheduler.model.credentials import httpsig
from scheduler.model.dates import rfc1123
from tests.support.hostile.requests import Forgery, Packet, Request
from tests.support.nodes.inside import Inside
from tests.support.services.gateway import DIRECTORY
from tests.support.services.service import Service
from tests.support.services.user import User
from tests.support.wire import Door, MalformedError, Reply, Stream, check

SECRET = b"nobody else may read this\n"
PRIVATE = "/jill/stor/f/object"
RESTORE_EVERY = 200
TASK_LIVES_FOR = 200
SIGNATURE_SECONDS = 60.0
OPEN = struct.Struct("=IIIIII")
HEADER = struct.Struct("=IIQ")
ANSWERS = (Kind.GRANT, Kind.OK, Kind.REFUSED)


def start(state_dir: Path) -> Service:
    """A service whose account is jill."""
    return Service(state_dir, ("--login", "jill")).start()


class World:
    """One service; use as a context manager."""

    def __init__(self, service: Service, session: Session) -> None:
        self.user = User(session)
        self.sent = 0
        self.statuses: dict[int, int] = {}
        self._service = service
        self._session = session
        self._door = Door(urlsplit(service.url).port or 0)
        self._signed: tuple[float, dict[str, str]] = (0.0, {})
        self._job = ""
        self._jobs: list[str] = []
        self._inside: Inside | None = None
        self._told = 0

    def __enter__(self) -> World:
        self.restore()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Nothing is left running that this has begun."""
        self.leave(broken=error is not None)
        for job in self._jobs:
            with contextlib.suppress(Refused):  # it has ended already
                self.user.jobs.cancel(job)
        self._door.close()

    def restore(self) -> None:
        try:
            self._build()
        except Refused:  # an object became a directory, or the other way round
            self._service.run("mrm", "-r", "/jill/stor/f", check=False)
            self._service.run("mrm", "-r", "/jill/public/f", check=False)
            self._build()

    def _build(self) -> None:
        for path in ("/jill/stor/f", "/jill/stor/f/directory", "/jill/public/f"):
            self._session.call("PUT", path, headers=DIRECTORY)
        self.user.put(PRIVATE, SECRET)

    # By the public door.

    def request(self, drawn: Request) -> Reply:
        return self._note(self._door.ask(drawn.encode(self.signature()), keep=not drawn.last))

    def raw(self, data: bytes) -> list[Reply]:
        return [self._note(reply) for reply in self._door.throw(data)]

    def foreign(self, method: str, target: str) -> None:
        """A target without a slash before it is no name of ours: one clear refusal, and nothing else happens."""
        reply = self._note(self._door.ask(Request(method, target).encode(self.signature()), keep=False))
        assert 400 <= reply.status < 500 and SECRET not in reply.body, (method, target, reply)

    def stranger(self, drawn: Request) -> None:
        """Nobody asks: what is private is neither shown nor changed."""
        reply = self._note(self._door.ask(drawn.encode({}), keep=not drawn.last))
        assert SECRET not in reply.body
        if drawn.target.startswith("/jill/stor"):
            assert reply.status >= 400 or drawn.method == "OPTIONS", reply

    def unknown(self, authorization: str) -> None:
        self.stranger_with({**self.signature(), "Authorization": authorization}, PRIVATE)

    def forged(self, drawn: Forgery) -> None:
        good = (
            self.presigned() if drawn.query else dict(re.findall(r'(\w+)="([^"]*)"', self.signature()["Authorization"]))
        )
        changed = {**good, drawn.part: drawn.value}
        if changed == good or drawn.part not in good:
            return
        if drawn.query:
            query = "&".join(f"{name}={quote(value, safe='')}" for name, value in changed.items())
            self.stranger_with({}, f"{PRIVATE}?{query}")
        elif '"' not in drawn.value:
            listed = ",".join(f'{name}="{value}"' for name, value in changed.items())
            self.stranger_with({**self.signature(), "Authorization": f"Signature {listed}"}, PRIVATE)

    def stranger_with(self, headers: dict[str, str], target: str) -> None:
        """Headers that do not prove anything: refused, and for that reason."""
        reply = self._note(self._door.ask(Request("GET", target).encode(headers)))
        assert 400 <= reply.status < 500 and SECRET not in reply.body, (headers, target, reply)

    def document(self, body: bytes) -> None:
        """A job that is taken is as it was given; then it is cancelled, as there will be many."""
        headers = (("content-type", b"application/json"),)
        reply = self.request(Request("POST", "/jill/jobs", headers, body))
        if reply.status != 201:
            assert reply.status in (400, 413), reply
            return
        live = f"{reply.headers['location']}/live"
        shown = json.loads(self.request(Request("GET", f"{live}/status")).body)["phases"]
        assert [{"type": "map", **given} for given in json.loads(body)["phases"]] == [
            {**phase, "type": given.get("type", "map")}
            for phase, given in zip(shown, json.loads(body)["phases"], strict=True)
        ]
        assert self.request(Request("POST", f"{live}/cancel", body=b"{}")).status == 202

    def live(self, method: str, what: str, body: bytes) -> None:
        if not self._job:
            self._job = self.user.create("wc -c", name="asked")
            self._jobs.append(self._job)
        reply = self.request(Request(method, f"/jill/jobs/{self._job}/live/{what}", body=body))
        if method == "POST" and reply.status in (202, 204) and ("end" in what or "cancel" in what):
            self._job = ""

    # From inside a task.

    def inside(self, drawn: Request) -> None:
        closing = Request(
            drawn.method, drawn.target, (*drawn.headers, ("connection", b"close")), drawn.body, drawn.chunked
        )
        came = self._within().http(closing.encode({}))
        reply = Stream.of(came).reply(head=drawn.method == "HEAD")
        check(reply, head=drawn.method == "HEAD")
        self._note(reply)

    def packets(self, drawn: tuple[Packet, ...]) -> None:
        """Every packet is answered in the words of the protocol, or by hanging up."""
        for data, fds in self._within().packets([(encode_packet(packet), packet.fds) for packet in drawn]):
            if not data:
                return
            kind, flags, _ = HEADER.unpack_from(data)
            said = data[HEADER.size :].decode()
            assert kind in ANSWERS, (kind, said)
            assert (fds > 0) == (kind == Kind.GRANT)
            assert kind != Kind.REFUSED or (flags == 1 and said.strip()), (flags, said)
        self.sent += 1

    def leave(self, *, broken: bool = False) -> None:
        """Let the task end; whatever it was made to do, it ends as tasks do."""
        if self._inside is None:
            return
        inside, self._inside = self._inside, None
        inside.__exit__(None, None, None)
        if not broken:
            ended = inside.finish()
            assert {error["code"] for error in ended.errors} <= {"ResourceNotFoundError"}, ended.errors

    def _within(self) -> Inside:
        self._told += 1
        if self._told % TASK_LIVES_FOR == 0:
            self.leave()
        if self._inside is None:
            self.restore()
            self._inside = Inside(self.user, PRIVATE).__enter__()
        return self._inside

    # Who asks.

    def signature(self) -> dict[str, str]:
        """Headers that prove to be jill, whatever is asked: only the date is signed."""
        if time.monotonic() - self._signed[0] > SIGNATURE_SECONDS:
            signer, date = self._session.signer, rfc1123(int(time.time() * 1000))
            signature = signer.sign(f"date: {date}".encode())
            authorization = httpsig.authorization(self._key_id, signer.algorithm, ("date",), signature)
            self._signed = time.monotonic(), {"Date": date, "Authorization": authorization}
        return self._signed[1]

    @property
    def _key_id(self) -> str:
        return f"/jill/keys/{self._session.signer.fingerprint}"

    def presigned(self) -> dict[str, str]:
        """The query of an address that anybody may read PRIVATE by."""
        signer = self._session.signer
        query = {
            "algorithm": signer.algorithm,
            "expires": str(int(time.time()) + 600),
            "keyId": self._key_id,
            "method": "GET",
        }
        text = httpsig.presigned_text("GET", "x", PRIVATE, query.items())
        return {**query, "signature": base64.b64encode(signer.sign(text)).decode()}

    def _note(self, reply: Reply) -> Reply:
        self.sent += 1
        self.statuses[reply.status] = self.statuses.get(reply.status, 0) + 1
        if self.sent % RESTORE_EVERY == 0:
            self.restore()
        return reply


def encode_packet(packet: Packet) -> bytes:
    payload = packet.rest
    if packet.open is not None:
        length = (len(packet.name) + packet.lie) % 2**32
        payload = OPEN.pack(*packet.open, length, len(packet.headers)) + packet.name + packet.headers + packet.rest
    return HEADER.pack(*packet.header) + payload


__all__ = ["MalformedError", "World", "start"]
