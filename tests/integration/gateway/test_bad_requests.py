"""Requests that are wrong: each gets its documented error, and changes nothing."""

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.support.eventually import eventually
from tests.support.services.gateway import DIRECTORY, KEYS, Signer, error, running

MD5_OF_NOTHING = "1B2M2Y8AsgTpgAmY7PhCfg=="
BAD_SIGNATURE = "Invalid Signature Authorization header: "
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory):
    async with running(tmp_path_factory.mktemp("gateway")) as started:
        await started.put("/jill/stor/a", b"0123456789")
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def unchanged(gateway):
    """Whatever the test did, names and blobs are as they were."""
    records, blobs = await gateway.records(), gateway.blobs()
    yield
    assert await gateway.records() == records
    await eventually(lambda: gateway.blobs() == blobs, "what was not named is removed")


# Who.


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    ("signer", "expected"),
    [
        (Signer("nobody", KEYS["rsa"]), (403, "KeyDoesNotExist", None)),
        (Signer("jill/sub", KEYS["rsa"]), (403, "UserDoesNotExist", "jill/sub does not exist")),
        (Signer("bob", KEYS["ed25519"]), (403, "KeyDoesNotExist", None)),
        (Signer("jill", Ed25519PrivateKey.generate()), (403, "KeyDoesNotExist", None)),
        (Signer("a/b/c", KEYS["rsa"]), (403, "InvalidKeyId", "the KeyId token you provided is invalid")),
        (
            Signer("jill", KEYS["rsa"], ahead=400),
            (400, "InvalidHeader", BAD_SIGNATURE + "clock skew of 399s was greater than 300s"),
        ),
        (
            Signer("jill", KEYS["rsa"], ahead=-400),
            (400, "InvalidHeader", BAD_SIGNATURE + "clock skew of 400s was greater than 300s"),
        ),
        (Signer("jill", KEYS["rsa"], ahead=-700), (400, "RequestExpired", None)),
    ],
)
async def test_a_signer_that_cannot_be(gateway, signer, expected):
    status, code, message = error(await gateway.put("/jill/stor/b", b"x", by=signer))
    assert (status, code) == expected[:2]
    if expected[2] is None:
        return
    # A second may pass between signing and checking.
    assert message in (expected[2], expected[2].replace("399s", "398s").replace("400s", "401s"))


@pytest.mark.usefixtures("unchanged")
async def test_a_wrong_signature(gateway):
    signed = gateway.jill.headers()
    signed["Authorization"] = gateway.jill.headers(listed=("date", "host"))["Authorization"].replace(
        "date host", "date"
    )
    assert error(await gateway.put("/jill/stor/b", b"x", by=None, **signed)) == (
        403, "InvalidSignature", "The signature we calculated does not match the one you sent",
    )  # fmt: skip


@pytest.mark.usefixtures("unchanged")
async def test_a_key_of_another_kind_than_the_algorithm(gateway):
    signed = gateway.jill.headers()
    signed["Authorization"] = signed["Authorization"].replace("ed25519-sha512", "rsa-sha256")
    assert error(await gateway.put("/jill/stor/b", b"x", by=None, **signed))[1] == "InvalidSignature"


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    ("authorization", "expected"),
    [
        ("Signature", (400, "InvalidHeader", "Invalid Authorization header")),
        ("Signature x", (400, "InvalidHeader", BAD_SIGNATURE + "bad param format")),
        ('Signature keyId="a"', (400, "InvalidHeader", BAD_SIGNATURE + "algorithm was not specified")),
        ('Signature algorithm="a"', (400, "InvalidHeader", BAD_SIGNATURE + "keyId was not specified")),
        ('Signature keyId="a",algorithm="b"', (400, "InvalidHeader", BAD_SIGNATURE + "signature was not specified")),
        ("Basic amlsbDpw", (403, "AuthorizationSchemeNotAllowed", "Basic is not allowed (use 'signature')")),
        ("Token forged", (403, "InvalidAuthenticationToken", "the authentication token you provided is malformed")),
        (
            'Signature keyId="/jill/keys/a",algorithm="rsa-sha256",headers="host",signature="eA=="',
            (400, "InvalidHeader", BAD_SIGNATURE + "date was not in the request"),
        ),
        (
            'Signature keyId="/jill/keys/a",algorithm="rsa-sha256",headers="date x-none",signature="eA=="',
            (400, "InvalidHeader", BAD_SIGNATURE + "date was not in the request"),
        ),
    ],
)
async def test_an_authorization_that_cannot_be_read(gateway, authorization, expected):
    reply = await gateway.put("/jill/stor/b", b"x", by=None, authorization=authorization)
    if "host" in authorization:
        expected = (400, "InvalidHeader", BAD_SIGNATURE + "date was not a signed header")
    assert error(reply) == expected


@pytest.mark.usefixtures("unchanged")
async def test_an_unknown_algorithm_and_a_date_that_is_none(gateway):
    signed = gateway.jill.headers()
    wrong = signed | {"Authorization": signed["Authorization"].replace("ed25519-sha512", "hmac-sha256")}
    status, code, message = error(await gateway.put("/jill/stor/b", b"x", by=None, **wrong))
    assert (status, code) == (401, "InvalidAlgorithm")
    assert message.startswith("hmac-sha256 is not a supported signing algorithm. Supported algorithms are rsa-sha1,")
    undated = signed | {"Date": "yesterday"}
    reply = await gateway.put("/jill/stor/b", b"x", by=None, **undated)
    assert error(reply) == (400, "InvalidHeader", BAD_SIGNATURE + "yesterday is not a date")


@pytest.mark.usefixtures("unchanged")
async def test_an_owner_who_does_not_exist(gateway):
    assert error(await gateway.put("/carl/stor/b", b"x")) == (403, "AccountDoesNotExist", "carl does not exist")


# Where.


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize(
    "path",
    ["/jill/stor/..", "/jill/stor/../../bob/stor/b", "/jill/stor/%2e%2e/b", "/jill/./stor/b", "/jill/stor/a%00b",
     "/jill/stor/%ff", "/jill/stor/%c3%28", "/jill/stor%2fb", "/jill/stor/" + "x" * 4096],
)  # fmt: skip
async def test_a_path_that_no_client_sends(gateway, method, path):
    signed = [f"{name}: {value}" for name, value in gateway.jill.headers().items()]
    lines = [f"{method} {path} HTTP/1.1", "Host: x", "Content-Length: 0", "Connection: close", *signed, "", ""]
    reply = await gateway.raw("\r\n".join(lines).encode())
    assert reply.startswith(b"HTTP/1.1 400 ")
    assert reply.endswith(f'{{"code":"InvalidResource","message":"\\"{path}\\" is invalid"}}'.encode())


@pytest.mark.usefixtures("unchanged")
async def test_a_path_that_leads_nowhere(gateway):
    for path in ("/jill/foo", "/jill/foo/bar", "/jill/uploads"):
        assert error(await gateway.get(path + "?x=1")) == (404, "ResourceNotFound", f"{path}?x=1 does not exist")
    assert error(await gateway.get("/")) == (404, "ResourceNotFound", "/ does not exist")
    assert error(await gateway.get("/_agent/v1/poll"))[:2] == (403, "InvalidAgentSecret")  # whatever is below


@pytest.mark.usefixtures("unchanged")
async def test_a_method_that_is_not_there(gateway):
    for method, path in (("POST", "/jill/stor/a"), ("PATCH", "/jill/stor/a"), ("POST", "/ping"), ("PUT", "/metrics")):
        assert error(await gateway.request(method, path)) == (405, "MethodNotAllowedError", f"{method} is not allowed")


# What.


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    ("path", "body", "headers", "expected"),
    [
        ("/jill/stor/b", b"x", {"content_md5": MD5_OF_NOTHING},
         (400, "ContentMD5Mismatch", f"Content-MD5 expected {MD5_OF_NOTHING}, but was ndTkYSaMgDT1yFZOFVxnpg==")),
        ("/jill/stor/b", b"x", {"content_md5": "short"}, (400, "BadRequestError", "Content-MD5 invalid")),
        ("/jill/stor/b", b"x", {"max_content_length": "many"},
         (400, "InvalidMaxContentLength", "many is an invalid max-content-length value")),
        ("/jill/stor/b", b"x", {"durability_level": "99"},
         (400, "InvalidDurabilityLevel", "durability-level must be between 1 and 6")),
        ("/jill/stor/b", b"x", {"content_disposition": "in line"}, (400, "BadRequestError", None)),
        ("/jill/stor/b", b"x", {"accept_version": "7"},
         (400, "InvalidVersion", "7 is not supported by PUT /jill/stor/b")),
        ("/jill/stor/no/b", b"x", {}, (404, "DirectoryDoesNotExist", "/jill/stor/no does not exist")),
        ("/jill/stor/a/b", b"x", {}, (400, "ParentNotDirectory", "/jill/stor/a is not a directory")),
        ("/jill/stor", b"x", {}, (400, "OperationNotAllowedOnRootDirectory", "PUT is not allowed on /jill/stor")),
        ("/jill", b"", DIRECTORY, (400, "OperationNotAllowedOnRootDirectory", "PUT is not allowed on /jill")),
        ("/jill/stor/a", b"x", {"if_match": "x"}, (412, "PreconditionFailed", None)),
    ],
)  # fmt: skip
async def test_a_put_that_cannot_be(gateway, path, body, headers, expected):
    status, code, message = error(await gateway.put(path, body, **headers))
    assert (status, code) == expected[:2]
    assert expected[2] in (None, message)


@pytest.mark.usefixtures("unchanged")
async def test_a_chunked_body_that_is_too_long(gateway):
    async def endless():
        for _ in range(1000):
            yield b"x" * 1000

    reply = await gateway.put("/jill/stor/b", endless(), max_content_length="2000")
    assert error(reply) == (413, "MaxContentLengthExceeded", "request has exceeded 2000 bytes")


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("bytes=10-", (416, "RequestedRangeNotSatisfiable", "bytes=10- is an invalid range")),
        ("bytes=5-2", (416, "RequestedRangeNotSatisfiable", "bytes=5-2 is an invalid range")),
        ("bytes=-0", (416, "RequestedRangeNotSatisfiable", "bytes=-0 is an invalid range")),
        ("lines=1-2", (416, "RequestedRangeNotSatisfiable", "lines=1-2 is an invalid range")),
        ("bytes=1-2,4-5", (501, "NotImplemented", "multi-range requests not supported")),
    ],
)
async def test_a_range_that_cannot_be(gateway, asked, expected):
    reply = await gateway.get("/jill/stor/a", range=asked)
    assert error(reply) == expected
    if reply.status_code == 416:
        assert reply.headers["Content-Range"] == "bytes */10"


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("limit=0", (400, "InvalidArgumentError", "limit=0 is invalid: must be between [1, 1024]")),
        ("limit=1025", (400, "InvalidArgumentError", "limit=1025 is invalid: must be between [1, 1024]")),
        ("limit=ten", (400, "InvalidArgumentError", "limit=ten is invalid: must be between [1, 1024]")),
        ("limit=-1", (400, "InvalidArgumentError", "limit=-1 is invalid: must be between [1, 1024]")),
        ("sort=mtime&marker=now", (400, "InvalidParameter", '"now" is invalid for "marker"')),
        ("sort=size", (400, "InvalidParameter", '"size" is invalid for "sort"')),
        ("sort=none", (403, "QueryParameterForbidden", None)),
        ("skip_owner_check=true", (403, "QueryParameterForbidden", None)),
    ],
)
async def test_a_listing_that_cannot_be(gateway, query, expected):
    status, code, message = error(await gateway.get(f"/jill/stor?{query}"))
    assert (status, code) == expected[:2]
    assert expected[2] in (None, message)


# How: HTTP itself is broken.


def request_lines(gateway, *lines: str, method: str = "PUT", signed: bool = True) -> bytes:
    mine = [f"{name}: {value}" for name, value in gateway.jill.headers().items()] if signed else []
    return "\r\n".join([f"{method} /jill/stor/b HTTP/1.1", "Host: x", *mine, *lines, "", ""]).encode()


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    ("lines", "status", "code"),
    [
        (["X-Long: " + "x" * 10_000], 431, "RequestHeaderFieldsTooLargeError"),
        (["Content-Length: -5"], 400, "BadRequestError"),
        (["Content-Length: five"], 400, "BadRequestError"),
        (["Content-Length: 5", "Content-Length: 6"], 400, "BadRequestError"),
        (["Content-Length: 5", "Transfer-Encoding: chunked"], 400, "BadRequestError"),
        (["no colon here"], 400, "BadRequestError"),
        (["Bad Name: x"], 400, "BadRequestError"),
        ([f"X-{number}: x" for number in range(200)], 400, "BadRequestError"),
    ],
)
async def test_headers_that_cannot_be(gateway, lines, status, code):
    reply = await gateway.raw(request_lines(gateway, *lines))
    assert reply.split()[1] == str(status).encode()
    assert b"\r\nServer: Manta\r\n" in reply
    assert b"\r\nContent-Type: application/json" in reply
    assert f'{{"code":"{code}","message":"'.encode() in reply


@pytest.mark.usefixtures("unchanged")
async def test_something_that_is_not_http(gateway):
    reply = await gateway.raw(b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n")
    assert b'{"code":"BadRequestError","message":"not a valid HTTP request: ' in reply


@pytest.mark.usefixtures("unchanged")
async def test_a_put_without_a_length(gateway):
    reply = await gateway.raw(request_lines(gateway, "Connection: close"))
    assert reply.startswith(b"HTTP/1.1 411 ")
    assert reply.endswith(b'{"code":"ContentLengthRequired","message":"Content-Length must be >= 0"}')


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("start", ["Content-Length: 100\r\n\r\nshort", "Transfer-Encoding: chunked\r\n\r\nff\r\nshort"])
async def test_a_body_shorter_than_its_length(gateway, start):
    head = request_lines(gateway)[:-2]
    reply = await gateway.raw(head + start.encode(), end=True)
    assert reply.startswith(b"HTTP/1.1 499 ")
    assert reply.endswith(b'{"code":"UploadAbandoned","message":"the body ended before it was complete"}')


@pytest.mark.usefixtures("unchanged")
async def test_a_chunk_that_is_none(gateway):
    head = request_lines(gateway, "Transfer-Encoding: chunked")
    reply = await gateway.raw(head + b"zz\r\nxx\r\n0\r\n\r\n")
    assert reply.split()[1] == b"400"
    assert b'{"code":"BadRequestError","message":"not a valid HTTP request: Invalid character in chunk size' in reply


@pytest.mark.usefixtures("unchanged")
async def test_an_error_inside_is_not_shown_outside(gateway, monkeypatch):
    def broken(*_):
        raise RuntimeError("the inside")

    monkeypatch.setattr("scheduler.objects.namespace.lookup", broken)
    assert error(await gateway.get("/jill/stor/a")) == (500, "InternalError", "an unexpected error occurred")
