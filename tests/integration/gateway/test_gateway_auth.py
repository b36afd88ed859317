"""Who asks, and may he: signed requests, presigned URLs, tokens, and nobody."""

import asyncio
import time
from types import SimpleNamespace

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from scheduler.gateway.access.tokens import LIFETIME_MS, Note, Tokens
from scheduler.gateway.app import Runner, admits_our_version
from scheduler.http.replies import json_reply
from scheduler.model.credentials import httpsig
from scheduler.records import accounts
from tests.support.services.gateway import DIRECTORY, KEYS, Signer, error, link_to, presign, public_line, running

DAY = 24 * 3600


# Signed requests.


@pytest.mark.parametrize(
    ("kind", "algorithm"),
    [
        ("rsa", "rsa-sha1"),
        ("rsa", "rsa-sha256"),
        ("rsa", "rsa-sha384"),
        ("rsa", "rsa-sha512"),
        ("rsa", "RSA-SHA256"),
        ("ecdsa", "ecdsa-sha256"),
        ("ecdsa", "ecdsa-sha512"),
        ("ed25519", "ed25519-sha512"),
    ],
)
async def test_every_algorithm_of_the_stock_clients_is_understood(gateway, kind, algorithm):
    assert (await gateway.get("/jill/stor", by=Signer("jill", KEYS[kind], algorithm))).status_code == 200


@pytest.mark.parametrize("listed", [("date",), ("(request-target)", "date"), ("request-line", "date")])
async def test_more_than_the_date_may_be_signed(gateway, listed):
    signed = gateway.jill.headers("GET", "/jill/stor?limit=1", listed)
    assert (await gateway.get("/jill/stor?limit=1", by=None, **signed)).status_code == 200


async def test_a_signed_target_holds_for_that_target_only(gateway):
    signed = gateway.jill.headers("GET", "/jill/stor?limit=1", ("(request-target)", "date"))
    assert error(await gateway.get("/jill/stor?limit=2", by=None, **signed))[1] == "InvalidSignature"


async def test_an_old_client_that_does_not_list_headers_signs_its_date(gateway):
    signed = gateway.jill.headers()
    signed["Authorization"] = signed["Authorization"].replace('headers="date",', "")
    assert (await gateway.get("/jill/stor", by=None, **signed)).status_code == 200


async def test_x_date_is_signed_instead_of_date_where_it_is_sent(gateway):
    date = gateway.jill.date()
    signature = httpsig.sign(gateway.jill.key, f"x-date: {date}".encode())
    signed = httpsig.authorization(gateway.jill.key_id, "ed25519-sha512", ["x-date"], signature)
    assert (await gateway.get("/jill/stor", by=None, x_date=date, Authorization=signed)).status_code == 200
    reply = await gateway.get("/jill/stor", x_date=date)
    assert error(reply)[2] == "Invalid Signature Authorization header: x-date was not a signed header"


async def test_the_clock_may_be_wrong_by_less_than_five_minutes(gateway):
    for ahead in (-290, 290):
        assert (await gateway.get("/jill/stor", by=Signer("jill", KEYS["rsa"], ahead=ahead))).status_code == 200


async def test_a_removed_key_opens_nothing_any_more(gateway):
    url = presign(gateway.jill, "/jill/stor")
    assert (await gateway.get("/jill/stor")).status_code == 200
    await gateway.context.db.write(lambda c: accounts.remove_key(c, "jill", gateway.jill.fingerprint))
    assert error(await gateway.get("/jill/stor"))[1] == "KeyDoesNotExist"
    assert error(await presigned(gateway, "GET", url))[1] == "KeyDoesNotExist"


async def test_a_new_key_opens_at_once(gateway):
    key = Ed25519PrivateKey.generate()
    carl = Signer("jill", key)
    assert error(await gateway.get("/jill/stor", by=carl))[1] == "KeyDoesNotExist"
    await gateway.context.db.write(lambda c: accounts.add_key(c, "jill", public_line(key)))
    assert (await gateway.get("/jill/stor", by=carl)).status_code == 200


# Who may do what.


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
@pytest.mark.parametrize("path", ["/jill/stor/a", "/jill/stor/missing", "/jill/jobs", "/jill"])
async def test_strangers_may_do_nothing_with_private_paths(gateway, method, path):
    await gateway.put("/jill/stor/a", b"secret")
    before = await gateway.records()
    for who, name in ((gateway.bob, "bob"), (None, "anonymous")):
        reply = await gateway.request(method, path, by=who)
        assert reply.status_code == 403
        if method != "HEAD":
            assert error(reply) == (403, "AuthorizationFailed", f"{name} is not allowed to access {path}")
    assert await gateway.records() == before


async def test_everybody_may_read_what_is_public_and_nobody_else_may_write_it(gateway):
    await gateway.put("/jill/public/a", b"open")
    for who in (gateway.bob, None):
        assert (await gateway.get("/jill/public/a", by=who)).content == b"open"
        assert (await gateway.get("/jill/public", by=who)).status_code == 200
        for method in ("PUT", "DELETE"):
            assert error(await gateway.request(method, "/jill/public/a", by=who))[1] == "AuthorizationFailed"
    assert (await gateway.get("/jill/public/a")).content == b"open"


async def test_a_public_prefix_does_not_open_what_lies_beside_it(gateway):
    reply = await gateway.get("/jill/public/../stor", by=None)
    assert reply.status_code in (400, 403)
    raw = await gateway.raw(b"GET /jill/public/%2e%2e/stor HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert b'"code":"InvalidResource"' in raw


# Presigned URLs.


async def presigned(gateway, method: str, url: str):
    return await gateway.request(method, url, b"x" if method == "PUT" else None, by=None, Host="example:8081")


async def test_a_presigned_url_opens_what_was_signed(gateway):
    await gateway.put("/jill/stor/a%20b", b"secret")
    got = await presigned(gateway, "GET", presign(gateway.jill, "/jill/stor/a%20b", other="x y"))
    assert got.content == b"secret"
    both = presign(gateway.jill, "/jill/stor/a%20b", "GET,PUT")
    assert (await presigned(gateway, "PUT", both)).status_code == 204
    assert (await presigned(gateway, "GET", both)).content == b"x"


async def test_a_presigned_url_opens_nothing_else(gateway):
    await gateway.put("/jill/stor/a", b"secret")
    url = presign(gateway.jill, "/jill/stor/a")
    code = "InvalidQueryStringAuthentication"
    expired = presign(gateway.jill, "/jill/stor/a", expires=int(time.time()) - 1)
    cases = [
        ("PUT", presign(gateway.jill, "/jill/stor/a", "GET,HEAD"), code, "PUT was not a signed method"),
        ("GET", expired, code, "request expired"),
        ("GET", presign(gateway.jill, "/jill/stor/a", expires=-5), code, "expires is invalid"),
        ("GET", url.replace("ED25519-SHA512", "RSA-MD5"), code, "RSA-MD5 is not a supported signing algorithm"),
        ("GET", "/jill/stor/a?expires=1&keyId=x", code, 'parameters "algorithm, signature" are required'),
        ("PUT", url, "InvalidSignature", "The signature we calculated does not match the one you sent"),
        ("GET", url.replace("/stor/a?", "/stor/b?"), "InvalidSignature", None),
        ("GET", url + "&role=admin", "InvalidSignature", None),
        ("GET", url + "&limit=1", "InvalidSignature", None),
        ("PUT", presign(gateway.jill, "/jill/stor/a", "GET,PUT") + "&metadata=true", "InvalidSignature", None),
        ("GET", url.replace("expires=1", "expires=2"), "InvalidSignature", None),
        ("GET", url + "&expires=9999999999", code, 'parameters "expires" were given twice'),
        ("GET", url.replace("/stor/a?", "/stor/%61?"), "InvalidSignature", None),
        ("GET", url.replace("/stor/a?", "//stor/a?"), "InvalidSignature", None),
        ("GET", url.replace("jill%2Fkeys", "bob%2Fkeys"), "KeyDoesNotExist", None),
        ("GET", url.replace("%2Fjill%2Fkeys", "keys"), "InvalidKeyId", None),
        ("OPTIONS", presign(gateway.jill, "/jill/stor/a", "GET,PUT"), code, "OPTIONS was not a signed method"),
        ("GET", presign(gateway.jill, "/jill/stor/a", "HEAD,PUT"), code, "GET was not a signed method"),
    ]
    for method, target, expected, message in cases:
        status, found, text = error(await presigned(gateway, method, target))
        assert (status, found) == (403, expected), target
        assert message in (None, text)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
async def test_a_presigned_url_may_be_for_any_method(gateway, method):
    await gateway.put("/jill/stor/a", b"secret")
    reply = await presigned(gateway, method, presign(gateway.jill, "/jill/stor/a", method))
    assert reply.status_code in (200, 204)


@pytest.mark.parametrize("name", ["a%2Bb", "a+b", "%F0%9F%90%9F", "a%26b%3Dc", "a'b(c)!*", "x%0Ay", "100%25"])
async def test_a_presigned_url_of_any_name_opens_it_as_it_was_encoded(gateway, name):
    await gateway.put(f"/jill/stor/{name}", b"secret")
    got = await presigned(gateway, "GET", presign(gateway.jill, f"/jill/stor/{name}"))
    assert (got.status_code, got.content) == (200, b"secret")


async def test_a_presigned_url_covers_what_else_the_query_asks_for(gateway):
    for name in "abc":
        await gateway.put(f"/jill/stor/{name}", b"")
    listing = await presigned(gateway, "GET", presign(gateway.jill, "/jill/stor", limit="1", marker="b"))
    assert '"name":"b"' in listing.text and listing.text.count("\n") == 1
    changed = await presigned(gateway, "PUT", presign(gateway.jill, "/jill/stor/a", "PUT", metadata="true"))
    assert error(changed) == (400, "InvalidUpdate", 'overwrite of "content-length" forbidden')
    changed = await presigned(gateway, "PUT", presign(gateway.jill, "/jill/stor/d", "PUT", metadata="true"))
    assert error(changed)[:2] == (404, "ResourceNotFound")


async def test_a_presigned_url_holds_for_the_host_that_was_signed(gateway):
    await gateway.put("/jill/stor/a", b"secret")
    url = presign(gateway.jill, "/jill/stor/a")
    reply = await gateway.request("GET", url, by=None, Host="other:8081", X_Forwarded_Host="example:8081")
    assert error(reply)[1] == "InvalidSignature"


async def test_a_presigned_url_does_not_make_its_signer_the_owner(gateway):
    reply = await presigned(gateway, "GET", presign(gateway.bob, "/jill/stor/a"))
    assert error(reply)[1] == "AuthorizationFailed"


# Tokens.


async def test_a_token_stands_for_who_asked_for_it(gateway):
    issued = await gateway.request("POST", "/jill/tokens")
    assert issued.status_code == 201
    token = issued.json()["token"]
    assert (await gateway.get("/jill/stor", by=None, Authorization=f"Token {token}")).status_code == 200
    assert (await gateway.get("/bob/stor", by=None, Authorization=f"Token {token}")).status_code == 403
    assert error(await gateway.request("POST", "/jill/tokens", by=None))[1] == "AuthorizationFailed"
    assert error(await gateway.request("POST", "/jill/tokens", by=gateway.bob))[1] == "AuthorizationFailed"
    assert error(await gateway.get("/jill/tokens"))[:2] == (405, "MethodNotAllowedError")


async def test_a_token_that_is_forged_or_old_opens_nothing(gateway):
    now = gateway.context.clock()
    tokens = Tokens(b"secret")
    key = gateway.jill.fingerprint
    await gateway.context.db.write(lambda c: c.plain("UPDATE keys SET added = 0 RETURNING login"))
    good = tokens.issue("jill", now - (LIFETIME_MS - 60_000), key=key)
    assert (await gateway.get("/jill/stor", by=None, Authorization=f"Token {good}")).status_code == 200
    bad = [
        tokens.issue("jill", now - (LIFETIME_MS + 60_000), key=key),
        tokens.issue("jill", now, "a job that is not there"),
        tokens.issue("jill", now),
        tokens.issue("bob", now, key=key),
        Tokens(b"another secret").issue("jill", now, key=key),
        good[:-8] + "AAAAAAA=",
        "x",
        "x" * 7000,
    ]
    for token in bad:
        reply = await gateway.get("/jill/stor", by=None, Authorization=f"Token {token}")
        assert error(reply) == (
            403, "InvalidAuthenticationToken", "the authentication token you provided is malformed",
        )  # fmt: skip


def test_a_token_carries_its_job_or_its_key():
    tokens = Tokens(b"secret")
    assert tokens.verify(tokens.issue("jill", 1000, job="a-job"), 2000) == Note("jill", 1000, job="a-job")
    assert tokens.verify(tokens.issue("jill", 1000, key="aa:bb"), 2000) == Note("jill", 1000, key="aa:bb")
    assert tokens.verify(tokens.issue("jill", 1000), 2000) is None


@pytest.fixture
async def one_job(tmp_path):
    """A gateway whose one job runs while its name is in the set."""
    jobs = {"a-job"}

    async def runs(uuid: str) -> bool:
        return uuid in jobs

    async with running(tmp_path, service=SimpleNamespace(runs=runs)) as started:
        yield started, jobs


async def test_a_jobs_token_is_as_good_as_its_job(one_job):
    """However long the job runs; and with it no token can be had that would go on."""
    gateway, jobs = one_job
    week = 7 * DAY * 1000
    token = "Token " + Tokens(b"secret").issue("jill", gateway.context.clock() - 4 * week, "a-job")
    assert (await gateway.get("/jill/stor", by=None, Authorization=token)).status_code == 200
    assert error(await gateway.get("/bob/stor", by=None, Authorization=token))[1] == "AuthorizationFailed"
    more = await gateway.request("POST", "/jill/tokens", by=None, Authorization=token)
    assert error(more) == (403, "AuthorizationFailed", "jill is not allowed to access /jill/tokens")
    jobs.clear()
    reply = await gateway.get("/jill/stor", by=None, Authorization=token)
    assert error(reply)[:2] == (403, "InvalidAuthenticationToken")


# Roles.


ROLE, TAG = "InvalidRole", "InvalidRoleTag"


@pytest.mark.parametrize(
    ("method", "headers", "expected"),
    [
        ("GET", {"role": "admin"}, (409, ROLE, 'Role "admin" is invalid.')),
        ("GET", {"role": ", b,a"}, (409, ROLE, 'Role "b" is invalid.')),
        ("GET", {"role": "*"}, (409, ROLE, 'Role "*" is invalid.')),
        ("GET", {"role": ""}, None),
        ("GET", {"role": ", ,"}, None),
        ("GET", {"role-tag": "a"}, None),
        ("DELETE", {"role": "a"}, (409, ROLE, 'Role "a" is invalid.')),
        ("POST", {"role": "a"}, (409, ROLE, 'Role "a" is invalid.')),
        ("PUT", {"role-tag": "a,b"}, (409, TAG, 'Role tag "a" is invalid.')),
        ("PUT", {"role-tag": "*"}, (409, TAG, 'Role tag "*" is invalid.')),
        ("PUT", {"role-tag": ""}, None),
        ("PUT", {"role-tag": "a", **DIRECTORY}, (409, TAG, 'Role tag "a" is invalid.')),
        ("PUT", {"role-tag": "a", **link_to("/jill/stor/a")}, (409, TAG, 'Role tag "a" is invalid.')),
    ],
)
async def test_a_role_that_nobody_has_is_refused_and_none_is_fine(gateway, method, headers, expected):
    await gateway.put("/jill/stor/a", b"x")
    before = await gateway.records()
    reply = await gateway.request(method, "/jill/stor/a", b"y" if method == "PUT" else None, **headers)
    assert reply.status_code in (200, 204) if expected is None else error(reply) == expected
    assert expected is None or await gateway.records() == before


async def test_role_tags_in_new_metadata_are_refused(gateway):
    await gateway.put("/jill/stor/a", b"x")
    reply = await gateway.put("/jill/stor/a?metadata=true", no_body(), role_tag="a")
    assert error(reply) == (409, TAG, 'Role tag "a" is invalid.')


async def no_body():
    return
    yield b""


async def test_roles_of_a_presigned_url_come_before_the_headers(gateway):
    await gateway.put("/jill/stor/a", b"x")
    for more, sent, expected in (
        ({"role": "r1"}, {}, 'Role "r1" is invalid.'),
        ({"role": "r1"}, {"role": "r2"}, 'Role "r1" is invalid.'),
        ({"role": ""}, {"role": "r2"}, None),
        ({}, {"role": "r2"}, 'Role "r2" is invalid.'),
        ({"role-tag": "t1"}, {"role-tag": "t2"}, 'Role tag "t1" is invalid.'),
    ):
        url = presign(gateway.jill, "/jill/stor/a", "PUT", **more)
        reply = await gateway.request("PUT", url, b"x", by=None, Host="example:8081", **sent)
        assert reply.status_code == 204 if expected is None else error(reply)[2] == expected


async def test_a_stranger_with_a_role_learns_of_the_role_only(gateway):
    reply = await gateway.get("/jill/stor/a", by=gateway.bob, role="a")
    assert error(reply) == (409, ROLE, 'Role "a" is invalid.')


# Versions of the API.


@pytest.mark.parametrize(
    "wanted", ["*", "1", "1.x", "1.0.0", "~1.0", "~1", "^1.0.0", ">=1.0.0", ">=0.9 <2", "0 || 1", ""]
)
async def test_a_client_that_takes_version_1_is_served(gateway, wanted):
    assert (await gateway.get("/jill/stor", accept_version=wanted)).status_code == 200


@pytest.mark.parametrize("wanted", ["2", "~2.0", ">1", "<1.0.0", "1.1.0", "one", "1" * 5000])
async def test_a_client_that_takes_other_versions_only_is_refused(gateway, wanted):
    reply = await gateway.get("/jill/stor?limit=1", accept_version=wanted)
    assert error(reply) == (400, "InvalidVersion", f"{wanted} is not supported by GET /jill/stor")
    assert not admits_our_version(wanted)


# Connections.


async def test_a_connection_without_a_request_is_closed(gateway):
    runner = Runner(gateway.context, idle_seconds=0.05)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    ping = b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n"
    try:
        for sent, answered in ((b"", 0), (ping, 1), (ping + b"GET /pi", 1)):
            reader, writer = await asyncio.open_connection(*runner.addresses[0])
            writer.write(sent)
            assert (await reader.read()).count(b" 200 OK") == answered
            writer.close()
    finally:
        await runner.cleanup()


# Routing to others.


async def test_job_calls_go_to_the_jobs_and_storage_calls_do_not(gateway, monkeypatch):
    async def jobs(call):
        return json_reply({"jobs": call.path, "by": str(call.caller)})

    monkeypatch.setattr("scheduler.gateway.app.jobs.handle", jobs)
    for method, path in (
        ("POST", "/jill/jobs"),
        ("GET", "/jill/jobs?state=running"),
        ("GET", "/jill/jobs?name="),
        ("GET", "/jill/jobs/x/live/status"),
        ("POST", "/jill/jobs/x/live/in/end"),
    ):
        reply = await gateway.request(method, path)
        assert reply.json() == {"jobs": path.partition("?")[0], "by": "jill"}
    for path in ("/jill/jobs", "/jill/jobs?limit=5", "/jill/jobs/x/live", "/jill/jobs/x/stor/live/x"):
        assert "x-json-stream" in (reply := await gateway.get(path)).headers["Content-Type"] or reply.status_code == 404
    assert error(await gateway.get("/jill/jobs/x/live/status", by=gateway.bob))[1] == "AuthorizationFailed"
