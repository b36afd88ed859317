"""Who may talk to whom by TLS, and what is seen on the wire between them."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from scheduler.agent.blobs.feed_sources import Sources
from scheduler.agent.blobs.fetch import BlobGoneError, ask, fetch, pieces
from scheduler.agent.blobs.stores import Stores
from scheduler.agent.blobs.transfer_metrics import Traffic
from scheduler.agent.client import Client, UnavailableError, connector
from scheduler.agent.gateways import Gateways
from scheduler.agent.transport import Reach
from scheduler.common.ids import new_id
from scheduler.gateway import node_credentials
from scheduler.model.wire import BlobRef, FeedSource
from scheduler.objects.blobs import BlobStore
from scheduler.service import parts
from scheduler.tls.identity import Identity, TlsFiles
from scheduler.tls.names import AGENT
from tests.support.certificates import Certificates, shows
from tests.support.eventually import eventually
from tests.support.lines.noise import noise
from tests.support.nodes.peers import Peer, crook, keeps_open, peer

KEY = "the key of agents' credentials"
NO_SUPERVISORS = "supervisors=[] revoked=[]"
DATA = noise(3_000_000)
SECONDS = 10.0


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("ours"))


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("others"))


# Supervisors and gateways.


@asynccontextmanager
async def serving(directory: Path, files: TlsFiles) -> AsyncIterator[str]:
    """What serves agents and users with this certificate; its URL."""
    secrets = parts.Secrets(b"a secret of tokens", KEY)
    with parts.opened(directory / "records.db", directory / "objects") as store:
        context = parts.context_of(store, secrets)
        async with (
            parts.identified(context, files) as identity,
            parts.listening(context, "127.0.0.1", 0, tls=identity) as url,
        ):
            yield url


async def who_lives(url: str, trust: ssl.SSLContext, node: str = "n1") -> str:
    """Ask as the agent of a node: the answer, or why there is none."""
    async with aiohttp.ClientSession(connector=connector(Reach(asking=trust))) as session:
        try:
            return str(await Client(url, lambda: node_credentials.issue(KEY, node), session).supervisors())
        except UnavailableError as error:
            return str(error)


@pytest.fixture
async def url(ours: Certificates, tmp_path: Path) -> AsyncIterator[str]:
    async with serving(tmp_path, ours.issue("hub")) as started:
        yield started


async def test_a_node_is_served_with_its_credential_and_its_certificate(url: str, ours: Certificates) -> None:
    assert await who_lives(url, shows(ours.issue("n1", roles=[AGENT]))) == NO_SUPERVISORS


async def test_a_credential_is_worth_nothing_without_a_certificate(url: str, ours: Certificates) -> None:
    assert "takes a connection with its certificate" in await who_lives(url, ours.trust())


async def test_a_credential_is_worth_nothing_with_another_node_s_certificate(url: str, ours: Certificates) -> None:
    assert "takes a connection with its certificate" in await who_lives(url, shows(ours.issue("n2")), node="n1")


async def test_a_gateway_s_certificate_is_not_that_of_an_agent(url: str, ours: Certificates) -> None:
    assert "takes a connection with its" in await who_lives(url, shows(ours.issue("n1", roles=["gateway"])))


async def test_a_certificate_is_worth_nothing_without_the_credential(url: str, ours: Certificates) -> None:
    trust = shows(ours.issue("n1"))
    async with aiohttp.ClientSession(connector=connector(Reach(asking=trust))) as session:
        with pytest.raises(UnavailableError, match="not the credential of a node"):
            await Client(url, lambda: node_credentials.issue("another key", "n1"), session).supervisors()


async def test_another_authority_s_certificate_is_refused(url: str, ours: Certificates, others: Certificates) -> None:
    said = await who_lives(url, shows(others.issue("n1"), believes=ours.authority))
    assert said.startswith("supervisors: ")
    assert "[]" not in said


async def test_an_expired_certificate_is_refused(url: str, ours: Certificates) -> None:
    said = await who_lives(url, shows(ours.issue("n1", expired=True)))
    assert said.startswith("supervisors: ")
    assert "[]" not in said


async def test_a_service_of_another_authority_is_not_told_the_credential(url: str, others: Certificates) -> None:
    assert "certificate verify failed" in await who_lives(url, shows(others.issue("n1")))


async def test_a_service_of_another_name_is_not_told_the_credential(ours: Certificates, tmp_path: Path) -> None:
    async with serving(tmp_path, ours.issue("hub", "hub.example")) as url:
        assert "IP address mismatch" in await who_lives(url, shows(ours.issue("n1")))


async def test_health_needs_no_certificate(url: str, ours: Certificates) -> None:
    async with (
        aiohttp.ClientSession(connector=connector(Reach(asking=ours.trust()))) as session,
        session.get(f"{url}/metrics") as reply,
    ):
        assert "remora_tls_expiry_seconds 8" in await reply.text()


async def test_nobody_is_answered_without_tls(url: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    writer.write(b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n")
    said = await asyncio.wait_for(reader.read(), SECONDS)
    writer.close()
    assert b"HTTP" not in said


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_resumed_session_is_not_believed(url: str, ours: Certificates, version: ssl.TLSVersion) -> None:
    """The certificate with which it began may be revoked since."""
    trust = shows(ours.issue("n1"))
    trust.maximum_version = version
    first = await asyncio.to_thread(ask_once, url, trust, None)
    assert first[0] == 200
    again = await asyncio.to_thread(ask_once, url, trust, first[1])
    assert again[2] is False or again[0] == 403


def ask_once(
    url: str, trust: ssl.SSLContext, session: ssl.SSLSession | None
) -> tuple[int, ssl.SSLSession | None, bool]:
    """The status of an answer, its session, and whether that was the one before."""
    port = int(url.rpartition(":")[2])
    with (
        socket.create_connection(("127.0.0.1", port), SECONDS) as bare,
        trust.wrap_socket(bare, server_hostname="127.0.0.1", session=session) as tls,
    ):
        credential = node_credentials.issue(KEY, "n1")
        head = f"POST /_agent/v1/supervisors HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {credential}\r\n"
        tls.sendall(f"{head}Content-Length: 2\r\n\r\n{{}}".encode())
        return int(tls.recv(4096).split()[1]), tls.session, bool(tls.session_reused)


# New files.


def serial(url: str, trust: ssl.SSLContext) -> str:
    """Of the certificate that is shown to who connects now."""
    with (
        socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), SECONDS) as bare,
        trust.wrap_socket(bare, server_hostname="127.0.0.1") as tls,
    ):
        return str((tls.getpeercert() or {})["serialNumber"])


async def hang_up(until: Callable[[], bool]) -> None:
    """SIGHUP to ourselves, who are the service."""
    os.kill(os.getpid(), signal.SIGHUP)
    await eventually(until, "the files are read again")


async def test_new_files_are_used_after_a_hangup_and_connections_go_on(
    ours: Certificates, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    files = ours.issue("hub")
    async with serving(tmp_path, files) as url:
        trust = ours.trust()
        before = await asyncio.to_thread(serial, url, trust)
        async with aiohttp.ClientSession(connector=connector(Reach(asking=trust))) as session:
            async with session.get(f"{url}/ping") as reply:
                connection = reply.connection
                await reply.read()
            files.key.write_text("broken\n")
            await hang_up(lambda: "the new certificate is not used" in caplog.messages)
            assert await asyncio.to_thread(serial, url, trust) == before
            ours.issue("hub")
            await hang_up(lambda: "certificate read" in caplog.messages)
            assert await asyncio.to_thread(serial, url, trust) != before
            async with session.get(f"{url}/ping") as reply:
                assert reply.status == 200
            assert connection is None or len(session.connector._conns) == 1  # the same one


async def test_an_authority_is_exchanged_while_all_goes_on(
    ours: Certificates, others: Certificates, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    files = ours.issue("hub")
    assert files.authority is not None
    old, new = ours.issue("n1"), others.issue("n1")
    older, newer = shows(old), shows(new, believes=ours.authority)
    async with serving(tmp_path, files) as url:
        assert (await who_lives(url, older), NO_SUPERVISORS in await who_lives(url, newer)) == (NO_SUPERVISORS, False)
        files.authority.write_bytes(others.authority.read_bytes() + ours.authority.read_bytes())
        await hang_up(lambda: len(caplog.messages) == 1)
        assert (await who_lives(url, older), await who_lives(url, newer)) == (NO_SUPERVISORS, NO_SUPERVISORS)
        files.authority.write_bytes(others.authority.read_bytes())
        await hang_up(lambda: len(caplog.messages) == 2)
        assert (NO_SUPERVISORS in await who_lives(url, older), await who_lives(url, newer)) == (False, NO_SUPERVISORS)


# The exchange.


@pytest.fixture(scope="module")
def there(ours: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    with peer(tmp_path_factory.mktemp("there"), Identity(ours.issue("far")).exchange) as started:
        yield started


def reach_of(files: TlsFiles) -> Reach:
    identity = Identity(files)
    return Reach(identity.asking, identity.fetching, plain=False)


def fetched(directory: Path, blob: BlobRef, reach: Reach) -> bytes:
    path = directory / "fetched"
    with open(path, "wb") as file:
        fetch(blob, file.fileno(), Traffic(), threading.Event(), reach)
    return path.read_bytes()


def refused(blob: BlobRef, reach: Reach) -> str:
    """Why a single request for a blob fails."""
    with pytest.raises((OSError, BlobGoneError)) as error:
        answer = ask(blob, 0, SECONDS, reach)
        with answer.socket:  # in TLS 1.3 who connects learns only now that it is refused
            assert b"".join(pieces(answer, blob.size)) == b"", "bytes came"
            raise OSError("hung up")
    return str(error.value)


@pytest.mark.parametrize("size", [1, 1000, len(DATA)])
def test_a_blob_comes_whole_to_a_node_with_a_certificate(
    there: Peer, ours: Certificates, tmp_path: Path, size: int
) -> None:
    assert fetched(tmp_path, there.put(DATA[:size]), reach_of(ours.issue("n1"))) == DATA[:size]


def test_a_feed_reads_a_blob_from_any_byte_on(there: Peer, ours: Certificates, tmp_path: Path) -> None:
    stores = Stores(own := BlobStore(tmp_path), own, "near", reach=reach_of(ours.issue("n1")))
    sources = Sources(stores)
    blob, little = (FeedSource(seq=1, blob=there.put(data)) for data in (DATA, b"little"))
    try:
        for offset in (0, 999):
            with open(sources.open(blob, offset), "rb") as file:
                assert file.read() == DATA[offset:]
        for _ in range(2):  # by one connection
            with open(sources.open(little, 0), "rb") as file:
                assert os.pread(file.fileno(), 100, 0) == b"little"
    finally:
        sources.close()
        own.close()


def test_a_connection_that_breaks_is_gone_on_with(there: Peer, ours: Certificates, tmp_path: Path) -> None:
    blob = there.put(DATA)
    with crook(keeps_open(there.port, most=1_000_000), keeps_open(there.port)) as way:
        assert fetched(tmp_path, way.ref(blob), reach_of(ours.issue("n1"))) == DATA
        assert way.connections == 2


def test_a_ticket_is_worth_nothing_without_a_certificate(there: Peer, ours: Certificates) -> None:
    trust = ssl.create_default_context(cafile=ours.authority)
    trust.sslsocket_class = Identity(ours.issue("n1")).fetching.newest.sslsocket_class
    assert "bytes came" not in refused(there.put(b"secret"), Reach(fetching=trust))


def test_a_ticket_is_worth_nothing_with_a_gateway_s_certificate(there: Peer, ours: Certificates) -> None:
    assert "403" in refused(there.put(b"secret"), reach_of(ours.issue("n1", roles=["gateway"])))


def test_another_authority_s_certificate_gets_no_blob(there: Peer, ours: Certificates, others: Certificates) -> None:
    files = others.issue("n1")
    assert files.authority is not None
    files.authority.write_bytes(ours.authority.read_bytes())
    assert "bytes came" not in refused(there.put(b"secret"), reach_of(files))


def test_bytes_are_not_taken_from_another_authority_s_node(there: Peer, others: Certificates) -> None:
    assert "certificate verify failed" in refused(there.put(b"x"), reach_of(others.issue("n1")))


def test_bytes_are_not_taken_from_a_node_of_another_name(ours: Certificates, tmp_path: Path) -> None:
    with peer(tmp_path / "there", Identity(ours.issue("far", "far.example")).exchange) as elsewhere:
        assert "IP address mismatch" in refused(elsewhere.put(b"x"), reach_of(ours.issue("n1")))


def test_a_blob_is_not_fetched_plainly_from_another_machine(ours: Certificates) -> None:
    blob = BlobRef(id=new_id(), size=1, node="far", source="http://10.0.0.1:1/blobs/x?ticket=secret")
    assert "is plain HTTP to another machine" in refused(blob, reach_of(ours.issue("n1")))
    assert "is plain HTTP to another machine" in refused(blob, Reach(plain=False))


async def test_a_supervisor_is_not_asked_plainly_on_another_machine() -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(UnavailableError, match="is plain HTTP to another machine"):
            await Client("http://10.0.0.1:1", lambda: "n1.secret", session, Reach(plain=False)).supervisors()


def test_a_gateway_in_a_file_is_not_asked_plainly_on_another_machine(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "gateways"
    file.write_text("http://10.0.0.1:80\nhttps://10.0.0.2:80\nhttp://127.0.0.1:80\n")
    assert list(Gateways([f"@{file}"], Reach(plain=False))) == ["https://10.0.0.2:80", "http://127.0.0.1:80"]
    refused = [record.message for record in caplog.records if record.levelname == "ERROR"]
    assert refused == ["a gateway is not used"]


# What somebody sees who reads along.


@contextmanager
def read_along(port: int) -> Iterator[tuple[int, bytearray]]:
    """A way to a port that keeps all that passes, both ways: its own port, and that."""
    seen = bytearray()
    with crook(keeps_open(port, seen=seen)) as way:
        yield way.port, seen


async def test_no_credential_and_no_answer_is_read_along(url: str, ours: Certificates) -> None:
    with read_along(int(url.rpartition(":")[2])) as (port, seen):
        assert await who_lives(f"https://127.0.0.1:{port}", shows(ours.issue("n1"))) == NO_SUPERVISORS
    assert len(seen) > 1000
    for word in (node_credentials.issue(KEY, "n1").encode(), b"Bearer", b"_agent", b"supervisors"):
        assert word not in seen


def test_no_ticket_and_no_byte_of_a_blob_is_read_along(there: Peer, ours: Certificates, tmp_path: Path) -> None:
    blob = there.put(b"what a task has printed, " * 4000)
    with read_along(there.port) as (port, seen):
        way = replace(blob, source=(blob.source or "").replace(str(there.port), str(port)))
        assert fetched(tmp_path, way, reach_of(ours.issue("n1"))) == b"what a task has printed, " * 4000
    assert len(seen) > 100_000
    for word in (b"ticket", blob.id.encode(), b"what a task"):
        assert word not in seen


def test_the_same_is_seen_where_it_is_plain(tmp_path: Path) -> None:
    """So that the tests before this one can fail."""
    with peer(tmp_path / "there") as there:
        blob = there.put(b"what a task has printed")
        with read_along(there.port) as (port, seen):
            way = replace(blob, source=(blob.source or "").replace(str(there.port), str(port)))
            fetched(tmp_path, way, Reach())
    assert b"ticket" in seen
    assert b"what a task" in seen
