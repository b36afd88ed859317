"""A presigned URL does what was signed: what its holder adds to the request changes nothing."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from scheduler.records import accounts
from tests.support.services.gateway import DIRECTORY, Gateway, error, link_to, presign, public_line, running_jobs

HOST = "example:8081"
SECRET = "/jill/stor/secret"
CODE = "InvalidQueryStringAuthentication"


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with running_jobs(tmp_path) as started:
        await started.put(SECRET, b"secret data")
        await started.put("/jill/public/dropbox", b"empty")
        yield started


async def ask(gateway: Gateway, method: str, url: str, body: bytes | None = None, **headers: str) -> httpx.Response:
    if method == "PUT" and body is None:
        body = b""
    return await gateway.request(method, url, body, by=None, Host=HOST, **headers)


async def nothing_changed(gateway: Gateway, reply: httpx.Response, code: str) -> None:
    assert (reply.status_code, reply.json()["code"]) == (403, code), reply.text
    assert (await gateway.get("/jill/public/dropbox", by=None)).content == b"empty"
    assert (await gateway.get(SECRET)).content == b"secret data"


async def test_a_url_to_store_an_object_makes_no_link(gateway: Gateway) -> None:
    for methods in ("PUT", "GET,PUT", "DELETE,GET,HEAD,OPTIONS,POST,PUT"):
        for kind in ("application/json; type=link", "application/json;type=link", 'APPLICATION/JSON ; Type="link"'):
            url = presign(gateway.jill, "/jill/public/dropbox", methods)
            reply = await ask(gateway, "PUT", url, Content_Type=kind, Location=SECRET)
            await nothing_changed(gateway, reply, CODE)


async def test_a_url_to_store_an_object_makes_no_directory(gateway: Gateway) -> None:
    reply = await ask(gateway, "PUT", presign(gateway.jill, "/jill/public/dropbox", "PUT"), **DIRECTORY)
    await nothing_changed(gateway, reply, CODE)
    assert error(reply)[2] == "type=directory was not a signed parameter"


async def test_a_parameter_that_is_added_breaks_the_signature(gateway: Gateway) -> None:
    for added in ("&type=link", f"&type=link&location={SECRET}", "&metadata=true", "&a=b", "&type"):
        url = presign(gateway.jill, "/jill/public/dropbox", "PUT") + added
        reply = await ask(gateway, "PUT", url, **link_to(SECRET))
        await nothing_changed(gateway, reply, "InvalidSignature")


async def test_a_signed_link_is_one_to_the_source_that_was_signed(gateway: Gateway) -> None:
    await gateway.put("/jill/stor/a%20b", b"for all")
    signed = {"type": "link", "location": "/jill/stor/a%20b"}
    url = presign(gateway.jill, "/jill/public/dropbox", "PUT", **signed)
    assert (await ask(gateway, "PUT", url, Location=SECRET)).status_code == 204
    assert (await gateway.get("/jill/public/dropbox", by=None)).content == b"for all"
    assert (await ask(gateway, "PUT", url, **link_to(SECRET))).status_code == 204
    assert (await gateway.get("/jill/public/dropbox", by=None)).content == b"for all"
    await nothing_signed(gateway, signed)


async def nothing_signed(gateway: Gateway, signed: dict[str, str]) -> None:
    """Half of it is not enough, and neither is another kind."""
    half = presign(gateway.jill, "/jill/public/x", "PUT", type="link")
    assert error(await ask(gateway, "PUT", half, **link_to(SECRET)))[1] == "LocationRequired"
    source_only = presign(gateway.jill, "/jill/public/x", "PUT", location=signed["location"])
    assert error(await ask(gateway, "PUT", source_only, **link_to(SECRET)))[1] == CODE
    assert (
        error(await ask(gateway, "PUT", presign(gateway.jill, "/jill/public/x", "PUT", **signed), **DIRECTORY))[1]
        == CODE
    )
    foreign = presign(gateway.bob, "/bob/public/x", "PUT", type="link", location=SECRET)
    assert error(await ask(gateway, "PUT", foreign))[1] == "AuthorizationFailed"


async def test_a_signed_directory_is_made(gateway: Gateway) -> None:
    url = presign(gateway.jill, "/jill/stor/made", "PUT", type="directory")
    assert (await ask(gateway, "PUT", url)).status_code == 204
    assert "x-json-stream" in (await gateway.get("/jill/stor/made")).headers["Content-Type"]


POSTS = {"/jill/tokens": {}, "/jill/jobs": {}, "{job}/live/in": {}, "{job}/live/in/end": {}, "{job}/live/cancel": {},
         "{job}/live/in?": {"end": "true"}}  # fmt: skip


async def test_no_url_creates_or_changes_jobs_or_gets_tokens(gateway: Gateway) -> None:
    body = json.dumps({"phases": [{"exec": "cat"}]}).encode()
    job = (await gateway.request("POST", "/jill/jobs", body, Content_Type="application/json")).headers["Location"]
    for path, query in POSTS.items():
        for methods in ("POST", "GET,POST"):
            url = presign(gateway.jill, path.replace("{job}", job).rstrip("?"), methods, **query)
            reply = await ask(gateway, "POST", url, body, Content_Type="application/json")
            await nothing_changed(gateway, reply, "AuthorizationFailed")
    assert (await gateway.get("/jill/jobs?state=running")).text.count("\n") == 1
    status = (await gateway.get(f"{job}/live/status")).json()
    assert (status["inputDone"], status["cancelled"]) == (False, False)


async def test_no_header_makes_another_method_of_it(gateway: Gateway) -> None:
    url = presign(gateway.jill, SECRET, "GET")
    for name in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
        assert (await ask(gateway, "GET", url, **{name: "DELETE"})).content == b"secret data"
        reply = await ask(gateway, "DELETE", url, **{name: "GET"})
        await nothing_changed(gateway, reply, "InvalidSignature")


async def test_what_was_signed_for_one_method_is_good_for_no_other(gateway: Gateway) -> None:
    methods = ("GET", "HEAD", "PUT", "DELETE", "OPTIONS", "POST")
    for signed in (*methods, "GET,HEAD", "HEAD,PUT"):
        for tried in methods:
            if tried not in signed.split(","):
                reply = await ask(gateway, tried, presign(gateway.jill, SECRET, signed))
                assert (reply.status_code, b"secret" in reply.content) == (403, False), (signed, tried)
    assert (await gateway.get(SECRET)).content == b"secret data"


EXPIRIES = ["", "-1", "0", "1e12", "9" * 13, "inf", "NaN", "nan", "0x7fffffff", "1.5", " 9999999999", "+9999999999",
            "9999999999 ", "٩٩٩٩٩٩٩٩٩٩", "9_999_999_999", "9999999999\n", "true", "never"]  # fmt: skip


async def test_a_url_without_an_end_opens_nothing(gateway: Gateway) -> None:
    """Not even if its signer wrote it so."""
    for expires in EXPIRIES:
        url = presign(gateway.jill, SECRET, expires=expires)  # type: ignore[arg-type]
        assert error(await ask(gateway, "GET", url))[:2] == (403, CODE), expires


async def test_a_url_that_lacks_a_parameter_opens_nothing(gateway: Gateway) -> None:
    path, _, query = presign(gateway.jill, SECRET).partition("?")
    for name in ("algorithm", "expires", "keyId", "signature"):
        left = "&".join(pair for pair in query.split("&") if not pair.startswith(f"{name}="))
        assert error(await ask(gateway, "GET", f"{path}?{left}"))[:2] == (403, CODE)


async def test_a_parameter_that_comes_twice_opens_nothing(gateway: Gateway) -> None:
    """Also one that was signed twice: the order is not signed, and it would decide."""
    url = presign(gateway.jill, SECRET)
    for name in ("expires", "keyId", "signature", "algorithm", "method"):
        reply = await ask(gateway, "GET", f"{url}&{name}=x&{name}=y")
        await nothing_changed(gateway, reply, CODE)
    later = int(time.time()) + 3600
    for more in (f"&expires={later}", f"&Expires={later}", f"&%65xpires={later}"):
        assert (await ask(gateway, "GET", url + more)).status_code == 403


async def test_a_url_ends_with_its_key(gateway: Gateway) -> None:
    url = presign(gateway.jill, SECRET)
    assert (await ask(gateway, "GET", url)).content == b"secret data"
    await gateway.context.db.write(lambda c: accounts.remove_key(c, "jill", gateway.jill.fingerprint))
    assert error(await ask(gateway, "GET", url))[1] == "KeyDoesNotExist"


async def test_urls_of_a_revoked_account_end_and_those_of_a_new_key_begin(gateway: Gateway) -> None:
    url = presign(gateway.jill, SECRET)
    await revoke(gateway)
    assert error(await ask(gateway, "GET", url)) == (403, CODE, "request was revoked")
    assert (await gateway.get(SECRET)).status_code == 200, "the key goes on signing requests"
    line = public_line(gateway.jill.key)
    await gateway.context.db.write(lambda c: accounts.add_key(c, "jill", line))
    assert (await ask(gateway, "GET", url)).status_code == 403, "it was there all the time"
    await gateway.context.db.write(lambda c: accounts.remove_key(c, "jill", gateway.jill.fingerprint))
    await gateway.context.db.write(lambda c: accounts.add_key(c, "jill", line))
    assert (await ask(gateway, "GET", presign(gateway.jill, SECRET))).content == b"secret data"


async def revoke(gateway: Gateway) -> None:
    """A moment after what was given out before, however fast the test is."""
    before = await gateway.context.db.read(lambda c: c.now())
    while await gateway.context.db.read(lambda c: c.now()) == before:
        pass
    await gateway.context.db.write(lambda c: accounts.revoke(c, "jill"))


async def test_what_names_of_parameters_look_like_signed_ones_are_not(gateway: Gateway) -> None:
    """`Type` is another parameter than `type`, and what is decoded twice is another value."""
    for signed in ({"Type": "link", "Location": SECRET}, {"type": "LINK", "location": SECRET}):
        url = presign(gateway.jill, "/jill/public/x", "PUT", **signed)
        assert (await ask(gateway, "PUT", url, Location=SECRET)).status_code == 204
        assert (await gateway.get("/jill/public/x", by=None)).content == b""
    twice = presign(gateway.jill, "/jill/public/x", "PUT", type=quote("link"), location=quote(quote(SECRET, ""), ""))
    assert error(await ask(gateway, "PUT", twice))[1] == "InvalidLink"
