"""A gateway alone, on a loopback port, and a client that signs: for tests of what goes over the wire."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from scheduler.gateway.access.tokens import Tokens
from scheduler.gateway.app import Runner
from scheduler.gateway.context import Context
from scheduler.model.credentials import httpsig
from scheduler.model.dates import rfc1123
from scheduler.objects.blobs import BlobStore
from scheduler.records import accounts
from scheduler.records.database import Connection, Database
from scheduler.supervisor.job_services import LocalFirstJobService, RecordedJobService
from scheduler.supervisor.supervisor import Supervisor
from tests.support.services.records import open_new

DIRECTORY = {"Content-Type": "application/json; type=directory"}
# Signing keys are dear to make and prove nothing by being fresh.
KEYS = {
    "ed25519": ed25519.Ed25519PrivateKey.generate(),
    "rsa": rsa.generate_private_key(65537, 2048),
    "ecdsa": ec.generate_private_key(ec.SECP256R1()),
}


TRUST = ssl.create_default_context()  # the authorities of the machine take longer to read than a test


def public_line(key: Any) -> str:
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def link_to(path: str) -> dict[str, str]:
    return {"Content-Type": "application/json; type=link", "Location": path}


@dataclass
class Signer:
    """Signs requests of one account with one key. `ahead` shifts its clock, in seconds."""

    login: str
    key: Any
    algorithm: str | None = None
    ahead: int = 0

    @property
    def fingerprint(self) -> str:
        return httpsig.PublicKey.parse(public_line(self.key)).md5

    @property
    def key_id(self) -> str:
        return f"/{self.login}/keys/{self.fingerprint}"

    def date(self) -> str:
        return rfc1123(int((time.time() + self.ahead) * 1000))

    def headers(self, method: str = "GET", target: str = "/", listed: tuple[str, ...] = ("date",)) -> dict[str, str]:
        date = self.date()
        values = {"date": [date], "host": ["example"]}
        text = httpsig.signing_text(listed, method, target, lambda name: values.get(name, []))
        algorithm = self.algorithm or httpsig.default_algorithm(self.key)
        signature = httpsig.sign(self.key, text, algorithm)
        return {"Date": date, "Authorization": httpsig.authorization(self.key_id, algorithm, listed, signature)}


def presign(
    signer: Signer, path: str, methods: str = "GET", expires: int | None = None, host: str = "example:8081", **more: str
) -> str:
    """A path whose query proves that `signer` allows `methods` (a comma list), for a minute or until `expires`."""
    query = {
        "algorithm": httpsig.default_algorithm(signer.key).upper(),
        "expires": str(int(time.time()) + 60 if expires is None else expires),
        "keyId": signer.key_id,
        **({"method": methods} if "," in methods else {}),
        **more,
    }
    text = httpsig.presigned_text(methods, host, path, query.items())
    query["signature"] = base64.b64encode(httpsig.sign(signer.key, text)).decode()
    return path + "?" + "&".join(f"{name}={quote(value, safe='')}" for name, value in sorted(query.items()))


@dataclass
class Gateway:
    """A running gateway with the accounts jill (one key of each kind) and bob."""

    context: Context
    url: str
    http: httpx.AsyncClient
    jill: Signer = field(default_factory=lambda: Signer("jill", KEYS["ed25519"]))
    bob: Signer = field(default_factory=lambda: Signer("bob", KEYS["rsa"]))

    @property
    def supervisor(self) -> Supervisor:
        """The supervisor of its process."""
        found = self.context.supervisor()
        assert isinstance(found, Supervisor)
        return found

    async def request(
        self, method: str, path: str, body: Any = None, *, by: Signer | str | None = "jill", **headers: str
    ) -> httpx.Response:
        """A request signed by jill, by another, or (`by=None`) by nobody. Underscores in header names become dashes."""
        signer = self.jill if by == "jill" else by
        signed = signer.headers() if isinstance(signer, Signer) else {}
        sent = {**signed, **{name.replace("_", "-"): value for name, value in headers.items()}}
        if isinstance(body, bytes) or body is None:
            return await self.http.request(method, self.url + path, content=body, headers=sent)
        return await self.http.request(method, self.url + path, content=body, headers=sent)

    async def put(self, path: str, body: Any = b"", **headers: str) -> httpx.Response:
        return await self.request("PUT", path, body, **headers)

    async def get(self, path: str, **options: Any) -> httpx.Response:
        return await self.request("GET", path, **options)

    async def mkdir(self, path: str) -> None:
        made = await self.put(path, **DIRECTORY)
        assert made.status_code == 204, made.text

    async def raw(self, data: bytes, *, end: bool = False) -> bytes:
        """Send bytes as they are, and read until the gateway closes. `end` shuts down our side after them."""
        port = httpx.URL(self.url).port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(data)
            await writer.drain()
            if end:
                writer.write_eof()
            return await asyncio.wait_for(reader.read(), 10)
        finally:
            writer.close()

    async def records(self) -> list[tuple[Any, ...]]:
        """All names, whole: equal before and after means that nothing changed."""

        def look(c: Connection) -> list[tuple[Any, ...]]:
            return [tuple(row) for row in c.plain("SELECT * FROM entries ORDER BY dir, name")]

        return await self.context.db.read(look)

    def blobs(self) -> set[str]:
        return set(self.context.blobs.older_than(1 << 60))


def clock() -> int:
    return time.time_ns() // 1_000_000


@contextmanager
def store_in(directory: Path) -> Iterator[tuple[Database, BlobStore]]:
    """Fresh records and objects."""
    db, blobs = open_new(directory / "remora.db"), BlobStore(directory / "blobs")
    try:
        yield db, blobs
    finally:
        db.close()
        blobs.close()


def context_of(db: Database, blobs: BlobStore, **more: Any) -> Context:
    return Context(db, blobs, clock, b"secret", "test", "agent secret", **more)


@asynccontextmanager
async def serving(context: Context) -> AsyncIterator[Gateway]:
    """A gateway with its accounts."""

    def people(c: Connection) -> None:
        for login in ("jill", "bob"):
            accounts.create(c, login, context.clock())
        for key in KEYS.values():
            accounts.add_key(c, "jill", public_line(key))
        accounts.add_key(c, "bob", public_line(KEYS["rsa"]))

    await context.db.write(people)
    async with listening(context) as gateway:
        yield gateway


@asynccontextmanager
async def listening(context: Context) -> AsyncIterator[Gateway]:
    """A gateway whose accounts are there."""
    runner = Runner(context)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with httpx.AsyncClient(timeout=20, verify=TRUST) as http:
            yield Gateway(context, f"http://127.0.0.1:{runner.addresses[0][1]}", http)
    finally:
        await runner.cleanup()


@asynccontextmanager
async def running(directory: Path, **more: Any) -> AsyncIterator[Gateway]:
    """A gateway on a fresh state directory; `more` are members of its context."""
    with store_in(directory) as (db, blobs):
        async with serving(context_of(db, blobs, **more)) as started:
            yield started


@asynccontextmanager
async def running_jobs(directory: Path, **more: Any) -> AsyncIterator[Gateway]:
    """A gateway with the jobs API and a supervisor; agents are the caller's. `more` are members of its context."""
    tokens = Tokens(b"secret")
    with store_in(directory) as (db, blobs):
        supervisor = Supervisor(db, blobs, clock, lambda login, job, node: tokens.issue(login, clock(), job, node=node))
        recorded_jobs = RecordedJobService(db, clock)
        service = LocalFirstJobService(recorded_jobs, lambda: supervisor)
        async with serving(context_of(db, blobs, service=service, supervisor=lambda: supervisor, **more)) as started:
            recorded_jobs.open()
            await supervisor.start()
            try:
                yield started
            finally:
                recorded_jobs.close()
                await supervisor.stop()


def md5(body: bytes) -> str:
    """The `content-md5` of a body."""
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()


def error(reply: httpx.Response) -> tuple[int, str, str]:
    """Status, code and message of an error reply, which has exactly these two keys."""
    body = reply.json()
    assert set(body) == {"code", "message"}
    return reply.status_code, body["code"], body["message"]
