"""Every way in which Nomad may fail us is one sentence, or passes."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import json
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import requests
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from scheduler.nomad.api import (
    TIMEOUT,
    Access,
    ConflictError,
    MissingError,
    NomadApi,
    NomadError,
)
from scheduler.nomad.errors import silent
from scheduler.nomad.events import News, Watch
from scheduler.nomad.job_documents import GROUP, document
from tests.support.eventually import eventually
from tests.support.nomad.fake_nomad import DEAF, HALF_CLOSE, HANG, FakeNomad
from tests.support.nomad.fake_scheduler import Node
from tests.support.nomad.nomad_scenarios import ANY, RECORDINGS, SLEEP

TROUBLE = {one["name"]: one for one in json.loads((RECORDINGS / "trouble.json").read_text())["exchanges"]}
DOCUMENT = document(ANY, 2, SLEEP)


@contextlib.asynccontextmanager
async def opened(nomad: FakeNomad, timeout: float = TIMEOUT, **more: object) -> AsyncIterator[NomadApi]:
    api = NomadApi(replace(Access(nomad.url), **more), pause=0.01, timeout=timeout)
    try:
        yield api
    finally:
        await api.close()


@pytest.fixture
async def nomad() -> AsyncIterator[FakeNomad]:
    async with FakeNomad(Node("n1", 8000)) as nomad:
        yield nomad


@pytest.fixture
async def api(nomad: FakeNomad) -> AsyncIterator[NomadApi]:
    async with opened(nomad) as api:
        yield api


@pytest.fixture
async def hasty(nomad: FakeNomad) -> AsyncIterator[NomadApi]:
    """For a Nomad that does not answer; to one that does, a busy machine may be as slow."""
    async with opened(nomad, timeout=0.3) as api:
        yield api


CALLS = {
    "register": lambda api: api.register(DOCUMENT),
    "scale": lambda api: api.scale(ANY.id, GROUP, 3, 1),
    "list": lambda api: api.jobs("remora."),
    "stop": lambda api: api.stop(ANY.id, purge=True),
}


def sentence(error: BaseException) -> str:
    """The text of an error, which must be one line and short."""
    text = str(error)
    assert text.startswith("Nomad did not ")
    assert "\n" not in text
    assert len(text) < 600
    return text


@pytest.mark.parametrize("call", CALLS)
async def test_a_403_is_one_sentence_and_is_not_asked_again(nomad, api, call):
    nomad.fail(".*", 403, TROUBLE["forbidden: list"]["text"])
    async with opened(nomad, token="t") as with_token:
        for client, why in (
            (with_token, "the token in NOMAD_TOKEN does not allow it (Permission denied)"),
            (api, "it asks for a token, and NOMAD_TOKEN is not set"),
        ):
            with pytest.raises(NomadError) as raised:
                await CALLS[call](client)
            assert why in sentence(raised.value)
            assert not raised.value.passing
    assert len(nomad.log) == 2


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (429, TROUBLE["too many connections"]["text"]),
        (500, TROUBLE["no leader: list"]["text"]),
        (503, "No cluster leader"),
        (500, "rpc error: something\n\nof several lines\t"),
    ],
)
@pytest.mark.parametrize("call", CALLS)
async def test_what_passes_is_tried_again_until_it_has(nomad, api, call, status, text):
    if call == "scale":
        await api.register(DOCUMENT)
    nomad.fail("(GET|POST|DELETE) /v1/job.*", status, text, times=2)
    work = CALLS[call](api) if call != "scale" else api.scale(ANY.id, GROUP, 3)
    await work
    assert len([said for said in nomad.log if said.split()[0] in ("GET", "POST", "DELETE")]) >= 3


@pytest.mark.parametrize(("status", "text"), [(429, "slower"), (500, "No cluster leader"), (503, "")])
@pytest.mark.parametrize("call", CALLS)
async def test_what_does_not_pass_is_one_sentence(nomad, api, call, status, text):
    nomad.fail(".*", status, text)
    with pytest.raises(NomadError) as raised:
        await CALLS[call](api)
    assert f": {status}, {text or 'nothing more'}" in sentence(raised.value)
    assert raised.value.passing


@pytest.mark.parametrize("kind", [HANG, HALF_CLOSE])
@pytest.mark.parametrize("call", CALLS)
async def test_a_nomad_that_hangs_or_hangs_up_is_one_sentence(nomad, hasty, call, kind):
    nomad.fail(".*", kind)
    with pytest.raises(NomadError) as raised:
        await CALLS[call](hasty)
    sentence(raised.value)
    assert raised.value.passing


async def test_nobody_listening_is_one_sentence():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        api = NomadApi(Access(f"http://127.0.0.1:{bound.getsockname()[1]}"), pause=0.01, timeout=0.3)
        for call in CALLS.values():
            with pytest.raises(NomadError) as raised:
                await call(api)
            assert raised.value.passing
            sentence(raised.value)
        await api.close()


@pytest.mark.parametrize("fault", [DEAF, HANG])
async def test_a_registration_whose_answer_was_lost_is_not_made_twice(nomad, hasty, fault):
    nomad.fail("POST .*", fault, times=1)
    if fault == DEAF:
        with pytest.raises(ConflictError):  # it was made, as one finds when one asks again
            await hasty.register(DOCUMENT)
    else:
        await hasty.register(DOCUMENT)
    assert nomad.registered == [ANY.id]
    assert len(nomad.live()) == 2


async def test_two_who_register_at_once_have_registered_once(nomad):
    async with opened(nomad) as one, opened(nomad) as other:
        results = await asyncio.gather(*(api.register(DOCUMENT) for api in (one, other)), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["ConflictError", "str"]
    assert nomad.registered == [ANY.id]


async def test_scaling_from_a_version_that_is_old_is_a_conflict(nomad, api):
    await api.register(DOCUMENT)
    index = (await api.job(ANY.id))["JobModifyIndex"]
    await api.scale(ANY.id, GROUP, 3, index)
    with pytest.raises(ConflictError):
        await api.scale(ANY.id, GROUP, 4, index)
    assert (await api.job(ANY.id))["TaskGroups"][0]["Count"] == 3


async def test_what_is_missing_is_said_to_be(nomad, api):
    with pytest.raises(MissingError, match="Nomad did not show job nonesuch: job not found"):
        await api.job("nonesuch")
    with pytest.raises(MissingError):
        await api.scale("nonesuch", GROUP, 1)
    await api.stop("nonesuch", purge=True)  # it is as it should be


async def test_a_bad_document_is_one_sentence_and_is_not_asked_again(nomad, api):
    bad = {"Job": {**DOCUMENT["Job"], "ID": "a b"}}
    with pytest.raises(NomadError, match="500, 1 error occurred: Job ID contains a space") as raised:
        await api.register(bad)
    assert not raised.value.passing
    assert len(nomad.log) == 1


async def test_what_a_variable_holds_is_in_no_error(nomad, api):
    await api.put_variable("remora/x", {"key": "hidden"})
    with pytest.raises(ConflictError) as raised:
        await api.put_variable("remora/x", {"key": "other"}, 0)
    assert "hidden" not in str(raised.value) and raised.value.__cause__ is None
    assert (await api.variable("remora/x")).items == {"key": "hidden"}


async def test_token_namespace_and_region_go_with_every_request(nomad):
    seen = []

    async def spy(request):
        seen.append((request.path, request.headers.get("X-Nomad-Token"), dict(request.query)))
        return await nomad._route(request)

    async with spied(spy) as url:
        api = NomadApi(Access(url, "s3cret", "compute", "north"), pause=0.01)
        await api.register(DOCUMENT)
        await api.jobs("remora.")
        await api.scale(ANY.id, GROUP, 1)
        await api.wait("/v1/jobs", 1, 1)
        async for _ in api.events(["Job"]):
            break
        await api.close()
    assert len(seen) == 5
    for path, token, query in seen:
        assert token == "s3cret", path
        assert (query["namespace"], query["region"]) == ("compute", "north"), path


@contextlib.asynccontextmanager
async def spied(handler) -> AsyncIterator[str]:
    app = web.Application()
    app.add_routes([web.route("*", "/{path:.*}", handler)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


def certificate(directory: Path) -> Path:
    """A file with a key and what certifies it to be the name that all servers of a region have."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server.global.nomad")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("server.global.nomad")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = directory / "nomad.pem"
    plain = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(plain + made.public_bytes(Encoding.PEM))
    return path


@pytest.mark.parametrize(
    ("trusted", "server_name", "fine"),
    [
        (True, "server.global.nomad", True),
        (True, None, False),  # it is not the address's
        (True, "client.global.nomad", False),
        (False, "server.global.nomad", False),
    ],
)
async def test_whom_we_talk_to_is_checked_on_every_way(tmp_path, trusted, server_name, fine):
    pem = certificate(tmp_path)
    nomad = FakeNomad(Node("n1", 8000))
    nomad.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    nomad.tls.load_cert_chain(pem)
    async with nomad, opened(nomad, verify=str(pem) if trusted else True, server_name=server_name) as api:
        for call in (
            api.register(DOCUMENT),
            api.scale(ANY.id, GROUP, 3),
            api.wait("/v1/jobs", 1, 1),
            anext(api.events([])),
        ):
            if fine:
                await call
            else:
                with pytest.raises(NomadError, match="its certificate is not trusted"):
                    await call
    assert bool(nomad.log) is fine


async def test_a_socket_is_spoken_to_in_every_way_and_named_when_it_is_not_there(nomad, tmp_path):
    path = tmp_path / "api.sock"
    access = {"address": f"unix://{path}", "token": "t"}
    async with opened(nomad, **access) as api:
        with pytest.raises(NomadError, match="Nomad did not list jobs: No such file or directory") as raised:
            await api.jobs("remora.")
        assert raised.value.passing
    async with by_socket(nomad, path), opened(nomad, **access) as api:
        await api.register(DOCUMENT)
        await api.scale(ANY.id, GROUP, 3, (await api.job(ANY.id))["JobModifyIndex"])
        await api.wait("/v1/jobs", 1, 1)
        await anext(api.events([]))
    assert nomad.jobs[ANY.id]["TaskGroups"][0]["Count"] == 3


@contextlib.asynccontextmanager
async def by_socket(nomad: FakeNomad, path: Path) -> AsyncIterator[None]:
    """The same Nomad at a Unix socket."""
    app = web.Application()
    app.add_routes([web.route("*", "/{path:.*}", nomad._route)])
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.UnixSite(runner, str(path)).start()
    yield
    await runner.cleanup()


@pytest.mark.parametrize(
    ("alert", "why"),
    [
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "it asks for a certificate (see NOMAD_CLIENT_CERT and NOMAD_CLIENT_KEY)"),
        ("TLSV1_ALERT_UNKNOWN_CA", "it does not trust the certificate in NOMAD_CLIENT_CERT (unknown ca)"),
        ("SSLV3_ALERT_BAD_CERTIFICATE", "it does not trust the certificate in NOMAD_CLIENT_CERT (bad certificate)"),
    ],
)
def test_a_nomad_that_does_not_know_us_says_so(alert, why):
    """In OpenSSL's words, as requests and httpx pass them on."""
    said = f"[SSL: {alert}] ssl/tls alert (_ssl.c:2580)"
    for error in (requests.exceptions.SSLError(f"HTTPSConnectionPool(…): {said}"), httpx.ReadError(said)):
        found = silent("list jobs", error)
        assert (str(found), found.passing) == (f"Nomad did not list jobs: {why}", False)


# -- events ------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def watched(api: NomadApi) -> AsyncIterator[tuple[News, Watch]]:
    news = News()
    watch = Watch(api, news, pause=0.01)
    task = asyncio.create_task(watch.run())
    try:
        yield news, watch
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(news: News, condition) -> None:
    async with asyncio.timeout(5):
        while not condition(news):
            await news.changed.wait()
            news.changed.clear()


async def streaming(news: News, watch: Watch) -> None:
    """Once a stream is open, with nothing noted."""
    async with asyncio.timeout(5):
        while not watch.live:
            await news.changed.wait()
            news.changed.clear()
    news.take()


async def test_events_say_which_job_to_look_at(nomad, api):
    async with watched(api) as (news, watch):
        await streaming(news, watch)
        await api.register(DOCUMENT)
        await until(news, lambda news: news.jobs == {ANY.id})
        assert not news.everything


async def test_a_stream_that_was_dropped_is_opened_again_and_everything_looked_at(nomad, api):
    async with watched(api) as (news, watch):
        await streaming(news, watch)
        nomad.drop_streams()
        await until(news, lambda news: news.everything)


async def test_an_index_that_goes_back_has_everything_looked_at(nomad, api):
    async with watched(api) as (news, watch):
        await streaming(news, watch)
        await api.register(DOCUMENT)
        await until(news, lambda news: news.jobs)
        news.take()
        nomad.go_back()
        nomad.drain("n1")
        await until(news, lambda news: news.everything and news.nodes)


async def test_a_stream_that_ends_at_once_is_not_asked_for_all_the_time(nomad, api):
    """So it is for who may not read it: 200, and nothing."""
    assert (TROUBLE["forbidden: events"]["status"], TROUBLE["forbidden: events"]["text"]) == (200, "")
    nomad.fail("GET /v1/event/stream", 200, "")
    async with watched(api) as (_, watch):
        await eventually(lambda: len(nomad.log) >= 4, "it asks again")
        assert not watch.live
        assert len(nomad.log) < 10
