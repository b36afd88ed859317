"""Objects and directories over HTTP, as the fact sheet of the storage API has them."""

import json
import os
import random

import pytest

from scheduler.objects import namespace
from scheduler.objects.entries import NewObject
from tests.support.services.gateway import DIRECTORY, error, link_to, md5

MD5_OF_NOTHING = "1B2M2Y8AsgTpgAmY7PhCfg=="


def lines(reply) -> list[dict]:
    return [json.loads(line) for line in reply.text.splitlines()]


# Every reply.


async def test_every_reply_has_the_common_headers(gateway):
    for path in ("/ping", "/jill/stor", "/jill/stor/missing"):
        reply = await gateway.get(path, x_request_id="my-own-id")
        assert reply.headers["Server"] == "Manta"
        assert reply.headers["x-request-id"] == "my-own-id"
        assert reply.headers["x-server-name"] == "test"
        assert int(reply.headers["x-response-time"]) >= 0
        assert reply.headers["Date"].endswith(" GMT")


async def test_error_bodies_have_two_keys_and_their_md5(gateway):
    reply = await gateway.get("/jill/stor/missing")
    assert error(reply) == (404, "ResourceNotFound", "/jill/stor/missing was not found")
    assert reply.headers["Content-Type"].startswith("application/json")
    assert reply.headers["Content-MD5"] == md5(reply.content)


async def test_ping_health_and_metrics_ask_for_no_signature(gateway):
    assert (await gateway.get("/ping", by=None)).content == b""
    health = await gateway.get("/healthz", by=None)
    assert (health.status_code, health.json()["status"]) == (200, "ok")
    assert (
        'remora_http_requests_total{code="200",method="GET",route="ping"} 1.0'
        in (await gateway.get("/metrics", by=None)).text
    )


async def test_health_says_what_does_not_work(gateway, monkeypatch):
    def full():
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(gateway.context.blobs, "create", full)
    health = await gateway.get("/healthz", by=None)
    assert health.status_code == 503
    assert health.json() == {
        "status": "failing",
        "database": "ok",
        "blobs": "cannot create a blob: No space left on device",
        "disk": "ok",
    }


async def test_connections_of_curl_are_closed(gateway):
    assert (await gateway.get("/ping", user_agent="curl/8.1")).headers["Connection"] == "close"
    assert (await gateway.get("/ping", user_agent="other")).headers.get("Connection") != "close"


# Writing and reading.


async def test_an_object_comes_back_as_it_was_put(gateway):
    put = await gateway.put(
        "/jill/stor/a", b"hello\n", content_type="text/plain", m_color="red", cache_control="no-store"
    )
    assert put.status_code == 204
    assert put.headers["Computed-MD5"] == md5(b"hello\n")
    got = await gateway.get("/jill/stor/a")
    assert (got.status_code, got.content) == (200, b"hello\n")
    expected = {
        "Etag": put.headers["Etag"],
        "Last-Modified": put.headers["Last-Modified"],
        "Content-Length": "6",
        "Content-MD5": md5(b"hello\n"),
        "Content-Type": "text/plain",
        "Durability-Level": "2",
        "Accept-Ranges": "bytes",
        "m-color": "red",
        "cache-control": "no-store",
    }
    assert {name: got.headers[name] for name in expected} == expected
    head = await gateway.request("HEAD", "/jill/stor/a")
    assert {name: head.headers[name] for name in expected} == expected
    assert head.content == b""


@pytest.mark.parametrize("size", [0, 1, 65536, 65537, 3_000_000])
async def test_bodies_of_all_sizes_come_back_whole_chunked_or_not(gateway, size):
    body = random.Random(size).randbytes(size)

    async def pieces():
        for at in range(0, size, 10_000):
            yield body[at : at + 10_000]

    for path, content in (("/jill/stor/known", body), ("/jill/stor/chunked", pieces())):
        put = await gateway.put(path, content)
        assert (put.status_code, put.headers["Computed-MD5"]) == (204, md5(body))
        got = await gateway.get(path)
        assert got.content == body
        assert got.headers["Content-Length"] == str(size)


async def test_an_empty_object_has_no_blob(gateway):
    put = await gateway.put("/jill/stor/nothing")
    assert put.headers["Computed-MD5"] == MD5_OF_NOTHING
    assert gateway.blobs() == set()
    got = await gateway.get("/jill/stor/nothing")
    assert (got.content, got.headers["Content-MD5"]) == (b"", MD5_OF_NOTHING)


async def test_a_replaced_or_deleted_object_leaves_no_blob(gateway):
    first = (await gateway.put("/jill/stor/a", b"one")).headers["Etag"]
    assert gateway.blobs() == {first}
    second = (await gateway.put("/jill/stor/a", b"two")).headers["Etag"]
    gone = await gateway.request("DELETE", "/jill/stor/a")
    assert (gone.status_code, gone.headers["Etag"]) == (204, second)
    assert (await gateway.get("/jill/stor/a")).status_code == 404
    while gateway.blobs():  # files go in the background, soon after the reply
        await gateway.get("/ping")


async def test_names_may_hold_anything_but_a_slash(gateway):
    for name in ("a b", "ü", 'quote"', "new\nline", "per%cent", "plus+", "..."):
        path = "/jill/stor/" + "".join(f"%{byte:02X}" for byte in name.encode())
        assert (await gateway.put(path, name.encode())).status_code == 204
        assert (await gateway.get(path)).content == name.encode()
    listed = [entry["name"] for entry in lines(await gateway.get("/jill/stor"))]
    assert listed == sorted(["a b", "ü", 'quote"', "new\nline", "per%cent", "plus+", "..."], key=str.encode)


async def test_repeated_and_trailing_slashes_do_not_matter(gateway):
    await gateway.put("/jill//stor/a/", b"x")
    assert (await gateway.get("/jill/stor/a")).content == b"x"


async def test_a_type_without_a_slash_is_a_file_extension(gateway):
    await gateway.put("/jill/stor/a", b"x", content_type="jpg")
    assert (await gateway.get("/jill/stor/a")).headers["Content-Type"] == "image/jpeg"


async def test_user_metadata_beyond_its_limit_is_left_out_silently(gateway):
    await gateway.put("/jill/stor/a", b"x", m_one="1" * 3000, m_two="2" * 1096, m_three="3")
    got = await gateway.get("/jill/stor/a")
    assert got.headers["m-one"] == "1" * 3000
    assert "m-two" not in got.headers
    assert "m-three" not in got.headers


async def test_durability_is_stored_and_limited(gateway):
    await gateway.put("/jill/stor/a", b"x", x_durability_level="3")
    assert (await gateway.get("/jill/stor/a")).headers["Durability-Level"] == "3"
    for wrong in ("0", "7", "two"):
        reply = await gateway.put("/jill/stor/b", b"x", durability_level=wrong)
        assert error(reply) == (400, "InvalidDurabilityLevel", "durability-level must be between 1 and 6")


async def test_what_a_client_does_not_accept_is_refused_but_never_a_listing(gateway):
    await gateway.put("/jill/stor/a", b"x", content_type="text/plain")
    reply = await gateway.get("/jill/stor/a", accept="image/png")
    assert error(reply) == (406, "NotAcceptable", "/jill/stor/a accepts text/plain")
    assert (await gateway.get("/jill/stor/a", accept="text/*;q=0.5, image/png")).status_code == 200
    assert (await gateway.get("/jill/stor", accept="image/png")).status_code == 200


# Ranges.


@pytest.mark.parametrize(
    ("asked", "answered", "body"),
    [
        ("bytes=2-4", "bytes 2-4/10", b"234"),
        ("bytes=7-", "bytes 7-9/10", b"789"),
        ("bytes=-3", "bytes 7-9/10", b"789"),
        ("bytes=8-10", "bytes 8-9/10", b"89"),
        ("bytes=-99", "bytes 0-9/10", b"0123456789"),
    ],
)
async def test_a_range_is_answered_with_its_part(gateway, asked, answered, body):
    await gateway.put("/jill/stor/a", b"0123456789")
    got = await gateway.get("/jill/stor/a", range=asked)
    assert (got.status_code, got.content, got.headers["Content-Range"]) == (206, body, answered)
    assert got.headers["Content-Length"] == str(len(body))
    assert "Content-MD5" not in got.headers


async def test_a_range_of_an_empty_object_is_the_whole_of_it(gateway):
    await gateway.put("/jill/stor/a", b"")
    got = await gateway.get("/jill/stor/a", range="bytes=0-10240")
    assert (got.status_code, got.content) == (200, b"")
    assert "Content-Range" not in got.headers


async def test_a_large_range_goes_out_by_sendfile(gateway):
    body = os.urandom(3 << 20)
    await gateway.put("/jill/stor/a", body)
    got = await gateway.get("/jill/stor/a", range="bytes=1000-3000000")
    assert got.content == body[1000:3000001]


# Directories.


async def test_a_directory_is_made_once_and_lists_what_is_in_it(gateway):
    await gateway.mkdir("/jill/stor/d")
    again = await gateway.put("/jill/stor/d", **DIRECTORY)
    assert again.status_code == 204
    assert "Etag" not in again.headers
    await gateway.mkdir("/jill/stor/d/sub")
    etag = (await gateway.put("/jill/stor/d/a", b"hello", content_type="text/plain")).headers["Etag"]
    listing = await gateway.get("/jill/stor/d")
    assert listing.headers["Content-Type"] == "application/x-json-stream; type=directory"
    assert listing.headers["Result-Set-Size"] == "2"
    assert "Etag" not in listing.headers
    entry, sub = lines(listing)
    assert list(entry) == ["name", "etag", "size", "type", "contentType", "contentMD5", "mtime", "durability"]
    assert (entry["name"], entry["etag"], entry["size"], entry["type"]) == ("a", etag, 5, "object")
    assert list(sub) == ["name", "type", "mtime"]
    head = await gateway.request("HEAD", "/jill/stor/d")
    assert (head.headers["Result-Set-Size"], head.content) == ("2", b"")


async def test_pages_start_at_their_marker_inclusive(gateway):
    for name in "abcde":
        await gateway.put(f"/jill/stor/{name}", b"")
    names = lambda reply: "".join(entry["name"] for entry in lines(reply))  # noqa: E731
    assert names(await gateway.get("/jill/stor?limit=2")) == "ab"
    assert names(await gateway.get("/jill/stor?limit=3&marker=b")) == "bcd"
    assert names(await gateway.get("/jill/stor?sort_order=reverse&marker=c")) == "cba"
    assert names(await gateway.get("/jill/stor?dir")) == ""
    assert names(await gateway.get("/jill/stor?obj=true&limit=1")) == "a"


async def test_times_come_newest_first_and_their_marker_is_a_date(gateway):
    def put(c):
        for at, name in enumerate("abc", 1):
            namespace.put_object(c, NewObject(f"/jill/stor/{name}", name, 0, MD5_OF_NOTHING), at * 1000)

    await gateway.context.db.write(put)
    names = lambda reply: "".join(entry["name"] for entry in lines(reply))  # noqa: E731
    assert names(await gateway.get("/jill/stor?sort=mtime")) == "cba"
    assert names(await gateway.get("/jill/stor?sort=mtime&sort_order=reverse")) == "abc"
    assert names(await gateway.get("/jill/stor?sort=mtime&marker=1970-01-01T00:00:02.000Z")) == "ba"


async def test_the_login_lists_its_top_level_with_an_exclusive_marker(gateway):
    listing = await gateway.get("/jill")
    assert [entry["name"] for entry in lines(listing)] == ["jobs", "public", "reports", "stor"]
    assert listing.headers["Result-Set-Size"] == "4"
    assert [entry["name"] for entry in lines(await gateway.get("/jill?marker=public"))] == ["reports", "stor"]
    assert (await gateway.request("HEAD", "/jill")).status_code == 200


async def test_top_level_directories_can_be_put_and_never_deleted(gateway):
    assert (await gateway.put("/jill/stor", **DIRECTORY)).status_code == 204
    for method, path in (("DELETE", "/jill/stor"), ("DELETE", "/jill"), ("PUT", "/jill"), ("POST", "/jill")):
        assert error(await gateway.request(method, path)) == (
            400, "OperationNotAllowedOnRootDirectory", f"{method} is not allowed on {path}",
        )  # fmt: skip
    reply = await gateway.put("/jill/stor", b"object")
    assert error(reply)[1] == "OperationNotAllowedOnRootDirectory"


async def test_only_an_empty_directory_can_be_deleted(gateway):
    await gateway.mkdir("/jill/stor/d")
    await gateway.put("/jill/stor/d/a", b"x")
    reply = await gateway.request("DELETE", "/jill/stor/d")
    assert error(reply) == (400, "DirectoryNotEmpty", "/jill/stor/d is not empty")
    await gateway.request("DELETE", "/jill/stor/d/a")
    assert (await gateway.request("DELETE", "/jill/stor/d")).status_code == 204


async def test_a_directory_replaces_an_object_but_not_the_other_way_round(gateway):
    await gateway.put("/jill/stor/a", b"x")
    await gateway.mkdir("/jill/stor/a")
    assert lines(await gateway.get("/jill/stor"))[0]["type"] == "directory"
    reply = await gateway.put("/jill/stor/a", b"x")
    assert error(reply) == (400, "InvalidUpdate", 'overwrite of "content-length" forbidden on a directory')


async def test_the_parent_must_be_a_directory_that_exists(gateway):
    await gateway.put("/jill/stor/a", b"x")
    for headers in ({}, DIRECTORY, link_to("/jill/stor/a")):
        reply = await gateway.put("/jill/stor/missing/b", b"", **headers)
        assert error(reply) == (404, "DirectoryDoesNotExist", "/jill/stor/missing does not exist")
        reply = await gateway.put("/jill/stor/a/b", b"", **headers)
        assert error(reply) == (400, "ParentNotDirectory", "/jill/stor/a is not a directory")


# Links and metadata.


async def test_a_link_is_a_second_name_of_the_same_contents(gateway):
    put = await gateway.put("/jill/stor/a b", b"one", m_color="red")
    linked = await gateway.put("/jill/stor/link", **link_to("/jill/stor/a%20b"))
    assert (linked.status_code, linked.headers["Etag"]) == (204, put.headers["Etag"])
    assert linked.headers["Last-Modified"] == put.headers["Last-Modified"]
    await gateway.put("/jill/stor/a b", b"two")
    got = await gateway.get("/jill/stor/link")
    assert (got.content, got.headers["m-color"]) == (b"one", "red")


async def test_a_link_needs_an_object_that_the_caller_may_read(gateway):
    cases = {
        "/jill/stor/missing": (404, "SourceObjectNotFound", "/jill/stor/missing was not found"),
        "/jill/stor": (400, "LinkNotObject", "/jill/stor is not an object"),
        "nowhere": (400, "InvalidLink", "nowhere is an invalid link"),
        "/jill/stor/%ff": (400, "InvalidLink", "/jill/stor/%ff is an invalid link"),
        "/bob/stor/secret": (403, "AuthorizationFailed", "jill is not allowed to access /bob/stor/secret"),
    }
    for location, expected in cases.items():
        assert error(await gateway.put("/jill/stor/link", **link_to(location))) == expected
    no_location = await gateway.put("/jill/stor/link", content_type="application/json; type=link")
    assert error(no_location) == (400, "LocationRequired", "An HTTP Location header must be specified")


async def chunked_nothing():
    for _ in ():
        yield b""


async def test_new_metadata_replaces_the_whole_set_and_keeps_the_contents(gateway):
    etag = (await gateway.put("/jill/stor/a", b"x", m_color="red", content_type="text/plain")).headers["Etag"]
    reply = await gateway.put("/jill/stor/a?metadata=true", chunked_nothing(), m_size="big")
    assert (reply.status_code, reply.headers["Etag"]) == (204, etag)
    got = await gateway.get("/jill/stor/a")
    assert (got.content, got.headers["m-size"], got.headers["Content-Type"]) == (b"x", "big", "text/plain")
    assert "m-color" not in got.headers


async def test_new_metadata_cannot_touch_the_contents(gateway):
    await gateway.put("/jill/stor/a", b"x")
    reply = await gateway.put("/jill/stor/a?metadata=true", b"y")
    assert error(reply) == (400, "InvalidUpdate", 'overwrite of "content-length" forbidden')
    reply = await gateway.put("/jill/stor/b?metadata=true", chunked_nothing())
    assert error(reply) == (404, "ResourceNotFound", "/jill/stor/b was not found")


# Conditions.


async def test_readers_get_what_they_have_not_got(gateway):
    put = await gateway.put("/jill/stor/a", b"x")
    etag, modified = put.headers["Etag"], put.headers["Last-Modified"]
    for headers in ({"if_none_match": etag}, {"if_none_match": f'"{etag}"'}, {"if_modified_since": modified}):
        got = await gateway.get("/jill/stor/a", **headers)
        assert (got.status_code, got.content, got.headers["Etag"]) == (304, b"", etag)
    reply = await gateway.get("/jill/stor/a", if_match="other")
    assert error(reply) == (412, "PreconditionFailed", f"if-match 'other' didn't match etag '{etag}'")
    assert (await gateway.get("/jill/stor/a", if_match=etag, if_unmodified_since=modified)).status_code == 200


async def test_writers_replace_only_what_they_know(gateway):
    etag = (await gateway.put("/jill/stor/a", b"x")).headers["Etag"]
    before = await gateway.records()
    reply = await gateway.put("/jill/stor/a", b"y", if_match="other")
    assert error(reply) == (412, "PreconditionFailed", f"if-match 'other' didn't match etag '{etag}'")
    reply = await gateway.request("DELETE", "/jill/stor/a", if_match="other")
    assert reply.status_code == 412
    assert await gateway.records() == before
    assert (await gateway.put("/jill/stor/a", b"y", if_match=etag)).status_code == 204


@pytest.mark.parametrize("condition", [{"if_match": '""'}, {"if_none_match": "*"}])
async def test_create_only(gateway, condition):
    assert (await gateway.put("/jill/stor/a", b"x", **condition)).status_code == 204
    assert (await gateway.put("/jill/stor/a", b"y", **condition)).status_code == 412
    assert (await gateway.get("/jill/stor/a")).content == b"x"


async def test_who_loses_a_race_with_a_condition_is_told_so(gateway):
    etag = (await gateway.put("/jill/stor/a", b"x")).headers["Etag"]

    async def slow():
        yield b"mine" * (4 << 20)  # more than is sent before the gateway reads, for which the condition has to hold
        await gateway.put("/jill/stor/a", b"theirs")

    reply = await gateway.put("/jill/stor/a", slow(), if_match=etag)
    assert error(reply) == (409, "ConcurrentRequest", "/jill/stor/a was being concurrently updated")
    assert (await gateway.get("/jill/stor/a")).content == b"theirs"
