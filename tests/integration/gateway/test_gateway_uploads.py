"""Uploads that wait and uploads that break, and readers whom writers and deletions overtake."""

import asyncio
import os

import pytest

from scheduler.common.disk_reserve import Space
from scheduler.objects import namespace
from tests.support.services.gateway import error


def put_head(gateway, path: str, *lines: str) -> bytes:
    signed = [f"{name}: {value}" for name, value in gateway.jill.headers().items()]
    return "\r\n".join([f"PUT {path} HTTP/1.1", "Host: x", *signed, *lines, "", ""]).encode()


async def test_a_client_that_waits_is_told_to_continue_once_all_is_well(gateway):
    reader, writer = await connect(gateway)
    writer.write(put_head(gateway, "/jill/stor/a", "Content-Length: 5", "Expect: 100-continue"))
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"hello")
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 204 ")
    writer.close()
    assert (await gateway.get("/jill/stor/a")).content == b"hello"


@pytest.mark.parametrize(
    ("path", "header", "expected"),
    [
        (
            "/jill/stor/no/a",
            "If-Match: *",
            b'"DirectoryDoesNotExist","message":"/jill/stor/no does not exist"',
        ),
        (
            "/jill/stor/a",
            "If-Match: x",
            b'"PreconditionFailed"',
        ),
        ("/bob/stor/a", "If-Match: *", b'"code":"AuthorizationFailed"'),
    ],
)
async def test_a_client_that_waits_is_refused_without_100_and_hung_up_on(gateway, path, header, expected):
    head = put_head(gateway, path, "Content-Length: 5", "Expect: 100-continue", header)
    reply = await gateway.raw(head)
    assert b"100 Continue" not in reply
    assert b"\r\nConnection: close\r\n" in reply
    assert expected in reply


async def connect(gateway):
    return await asyncio.open_connection("127.0.0.1", int(gateway.url.rsplit(":", 1)[1]))


async def test_an_upload_cut_off_leaves_nothing(gateway):
    before = await gateway.records()
    for sent in (b"x" * 10, b"x" * 3_000_000):
        head = put_head(gateway, "/jill/stor/a", "Content-Length: 4000000")
        reply = await gateway.raw(head + sent, end=True)
        assert reply.startswith(b"HTTP/1.1 499 ")
        assert b'"code":"UploadAbandoned"' in reply
    assert await gateway.records() == before
    assert gateway.blobs() == set()


async def test_a_silent_upload_is_given_up(gateway, monkeypatch):
    monkeypatch.setattr("scheduler.http.body.INACTIVITY_SECONDS", 0.05)
    reply = await gateway.raw(put_head(gateway, "/jill/stor/a", "Content-Length: 5") + b"he")
    assert b"HTTP/1.1 408 " in reply
    assert b'{"code":"UploadTimeout","message":"request took too long to send data"}' in reply


async def test_a_full_disk_is_said_to_be_full_and_leaves_nothing(gateway, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    before = await gateway.records()
    monkeypatch.setattr("os.pwritev", full)
    for size, said in ((5, "5 bytes"), (3 << 20, "3 MB")):
        reply = await gateway.put("/jill/stor/a", b"x" * size)
        assert error(reply) == (507, "NotEnoughSpace", f"not enough free space for {said}")
    monkeypatch.setattr(gateway.context.blobs, "space", lambda: Space(4, 64))
    assert (await gateway.put("/jill/stor/a", b"hello")).status_code == 507
    assert await gateway.records() == before
    assert gateway.blobs() == set()


async def test_a_failed_transaction_takes_its_blob_away(gateway, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("the database is broken")

    monkeypatch.setattr(namespace, "put_objects", broken)
    reply = await gateway.put("/jill/stor/a", b"hello")
    assert error(reply) == (500, "InternalError", "an unexpected error occurred")
    while gateway.blobs():
        await gateway.get("/ping")


async def test_a_reader_keeps_what_it_opened_when_the_object_is_deleted(gateway):
    body = os.urandom(8 << 20)
    await gateway.put("/jill/stor/a", body)
    async with gateway.http.stream("GET", gateway.url + "/jill/stor/a", headers=gateway.jill.headers()) as reply:
        await gateway.request("DELETE", "/jill/stor/a")
        assert b"".join([piece async for piece in reply.aiter_raw()]) == body


async def test_a_reader_who_was_overtaken_by_a_writer_gets_the_new_contents(gateway, monkeypatch):
    old = (await gateway.put("/jill/stor/a", b"old")).headers["Etag"]
    stale = await gateway.context.db.read(lambda c: namespace.lookup(c, "/jill/stor/a"))
    await gateway.put("/jill/stor/a", b"new")
    gateway.context.blobs.discard([old])
    answers = [stale]
    look = namespace.lookup
    monkeypatch.setattr(namespace, "lookup", lambda c, path: answers.pop() if answers else look(c, path))
    got = await gateway.get("/jill/stor/a")
    assert (got.status_code, got.content) == (200, b"new")


async def test_a_missing_blob_is_an_error_of_ours_and_not_an_endless_search(gateway):
    etag = (await gateway.put("/jill/stor/a", b"x")).headers["Etag"]
    gateway.context.blobs.discard([etag])
    assert error(await gateway.get("/jill/stor/a"))[1] == "InternalError"
