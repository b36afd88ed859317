"""Many small objects put by one request."""

import json

import pytest

from scheduler.common.disk_reserve import Space
from scheduler.model import batch
from tests.support.services.gateway import DIRECTORY, error, md5, presign


def part(name: str, body: bytes = b"", **more) -> bytes:
    return json.dumps({"name": name, "size": len(body), **more}).encode() + b"\n" + body


async def post(gateway, *parts: bytes, to: str = "/jill/stor", **headers):
    return await gateway.request("POST", to, b"".join(parts), content_type=batch.CONTENT_TYPE, **headers)


def answers(reply) -> list[tuple[str, str]]:
    assert reply.status_code == 200, reply.text
    lines = [json.loads(line) for line in reply.text.splitlines()]
    return [(line["name"], line.get("code", "stored")) for line in lines]


def blobs(gateway) -> int:
    return sum(1 for _ in gateway.context.blobs.older_than(1 << 50))


async def test_all_are_there_with_what_a_put_would_have_stored(gateway):
    names = ["a.txt", "empty", "ü \n", "*"]
    bodies = [b"abc\n{", b"", b"u" * 70_000, b"\0"]
    parts = [part(name, body, md5=md5(body)) for name, body in zip(names, bodies, strict=True)]
    reply = await post(gateway, *parts, part("typed", b"1", type="text/plain"), m_colour="red", durability_level="3")
    assert answers(reply) == [(name, "stored") for name in [*names, "typed"]]
    etags = [json.loads(line)["etag"] for line in reply.text.splitlines()]
    for name, body, etag in zip(names, bodies, etags, strict=False):
        got = await gateway.get(f"/jill/stor/{name.replace(chr(10), '%0A').replace(' ', '%20')}")
        assert (got.content, got.headers["etag"], got.headers["content-md5"]) == (body, etag, md5(body))
        assert (got.headers["m-colour"], got.headers["durability-level"]) == ("red", "3")
    assert (await gateway.get("/jill/stor/typed")).headers["content-type"] == "text/plain"
    assert (await gateway.get("/jill/stor")).headers["result-set-size"] == "5"


async def test_one_that_is_refused_does_not_hinder_the_others(gateway):
    await gateway.put("/jill/stor/d", **{"Content-Type": DIRECTORY["Content-Type"]})
    bad = [
        part("d", b"1"),
        part("..", b"1"),
        part("x/y", b"1"),
        part("", b"1"),
        part("n" * 5000),
        part("m", b"1", md5=md5(b"2")),
    ]
    reply = await post(gateway, part("first", b"1"), *bad, part("last", b"2"))
    invalid = "InvalidResource"
    assert [code for _, code in answers(reply)] == [
        "stored", "OperationNotAllowedOnDirectory", invalid, invalid, invalid, invalid, "ContentMD5Mismatch", "stored",
    ]  # fmt: skip
    assert (await gateway.get("/jill/stor/last")).content == b"2"


async def test_what_is_replaced_or_refused_leaves_no_bytes(gateway):
    await post(gateway, part("a", b"old"), part("b", b"old"))
    await post(gateway, part("a", b"new"), part("b"))
    await post(gateway, part("a", b"1"), to="/jill/stor/missing")
    assert (await gateway.get("/jill/stor/a")).content == b"new"
    while blobs(gateway) > 1:  # files are removed in the background
        await gateway.get("/ping")


async def test_a_directory_that_is_not_there_is_the_answer_for_each(gateway):
    reply = await post(gateway, part("a", b"1"), part("b"), to="/jill/stor/missing")
    assert [code for _, code in answers(reply)] == ["DirectoryDoesNotExist"] * 2


@pytest.mark.parametrize(
    "body",
    [b"x", b"{}\n", part("a", b"1")[:-1], b'{"name":1,"size":0}\n', b'{"name":"a","size":-1}\n',
     b'{"name":"a","size":true}\n', b"[" * 10_000 + b"\n", b'"' + b"n" * batch.MAX_LINE + b'"\n',
     part("a") + part("a"), b"".join(part(str(n)) for n in range(batch.MAX_OBJECTS + 1))],
)  # fmt: skip
async def test_a_body_that_is_no_batch_is_refused_whole(gateway, body):
    assert error(await post(gateway, part("good", b"1"), body))[:2] == (400, "BadRequestError")
    assert error(await gateway.get("/jill/stor/good"))[0] == 404


async def test_bounds_conditions_and_tags(gateway):
    large = part("a", bytes(batch.MAX_BYTES))
    assert error(await post(gateway, large))[0] == 413
    assert error(await post(gateway, part("a"), if_match='""'))[:2] == (400, "BadRequestError")
    assert error(await post(gateway, part("a"), role_tag="x"))[1] == "InvalidRoleTag"
    assert error(await gateway.request("POST", "/jill/stor", b"{}", content_type="application/json"))[0] == 405


async def test_nothing_is_stored_on_a_disk_without_room(gateway, monkeypatch):
    monkeypatch.setattr(gateway.context.blobs, "space", lambda: Space(1, 1 << 30))
    assert error(await post(gateway, part("a", b"1")))[:2] == (507, "NotEnoughSpace")


async def test_only_the_owner_may_and_no_presigned_url(gateway):
    assert error(await post(gateway, part("a"), by=gateway.bob))[0] == 403
    assert error(await post(gateway, part("a"), by=None))[0] == 403
    host = gateway.url.removeprefix("http://")
    url = presign(gateway.jill, "/jill/stor", "POST", host=host, method="POST")
    assert error(await post(gateway, part("a"), to=url, by=None))[:2] == (403, "AuthorizationFailed")
