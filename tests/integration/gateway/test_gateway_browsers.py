"""Pages of browsers: what the headers of cross-origin requests let them read and write."""

import pytest

from tests.support.services.gateway import DIRECTORY, link_to, md5


async def test_public_objects_may_be_read_by_pages_of_any_origin(gateway):
    await gateway.put("/jill/public/a", b"x")
    got = await gateway.get("/jill/public/a", by=None, origin="http://page")
    assert got.headers["Access-Control-Allow-Origin"] == "http://page"
    assert (await gateway.get("/jill/public/a", by=None)).headers["Access-Control-Allow-Origin"] == "*"


async def test_a_preflight_is_answered_from_what_is_stored(gateway):
    await gateway.put(
        "/jill/public/a", b"x",
        access_control_allow_origin="http://page", access_control_allow_methods="GET, HEAD",
        access_control_allow_headers="x-one",
    )  # fmt: skip
    asked = {"origin": "http://page", "access_control_request_method": "GET", "access_control_request_headers": "x-one"}
    allowed = await gateway.request("OPTIONS", "/jill/public/a", by=None, **asked)
    assert (allowed.status_code, allowed.headers["Access-Control-Allow-Origin"]) == (200, "http://page")
    changes = (
        {"origin": "http://other"},
        {"access_control_request_method": "DELETE"},
        {"access_control_request_headers": "x-one, x-two"},
    )
    for change in changes:
        refused = await gateway.request("OPTIONS", "/jill/public/a", by=None, **{**asked, **change})
        assert (refused.status_code, "Access-Control-Allow-Origin" in refused.headers) == (200, False)


PAGE = "http://page"


async def test_a_preflight_of_a_put_is_answered_from_the_directory(gateway):
    await gateway.put(
        "/jill/public/open", access_control_allow_origin="*", access_control_allow_methods="GET, PUT",
        access_control_max_age="60", **DIRECTORY,
    )  # fmt: skip
    asked = {"origin": PAGE, "access_control_request_method": "PUT"}
    allowed = await gateway.request("OPTIONS", "/jill/public/open/new", by=None, **asked)
    assert (allowed.status_code, allowed.content) == (200, b"")
    assert {name: value for name, value in allowed.headers.items() if name.startswith("access-control")} == {
        "access-control-allow-origin": PAGE, "access-control-allow-methods": "GET, PUT", "access-control-max-age": "60",
    }  # fmt: skip


@pytest.mark.parametrize("path", ["/nobody/stor/a", "/nobody", "/jill", "/jill/stor/missing", "/jill/foo", "/jill/jobs",
                                  "/jill/jobs/x/live/in", "/jill/tokens", "/jill/stor/missing/b"])  # fmt: skip
async def test_a_preflight_of_anything_else_is_answered_with_nothing(gateway, path):
    asked = {"origin": PAGE, "access_control_request_method": "GET"}
    reply = await gateway.request("OPTIONS", path, by=None, **asked)
    assert (reply.status_code, reply.content) == (200, b"")
    assert not [name for name in reply.headers if name.startswith("access-control")]


def seen_by(reply) -> tuple[str | None, str | None, str | None]:
    """What a browser looks at in a reply: origin, exposed headers, max-age."""
    return tuple(reply.headers.get(f"access-control-{name}") for name in ("allow-origin", "expose-headers", "max-age"))


async def test_a_page_sees_what_the_stored_policy_lets_it(gateway):
    stored = {"access_control_allow_origin": f"http://other, {PAGE}", "access_control_allow_methods": "GET, DELETE",
              "access_control_expose_headers": "etag", "access_control_max_age": "60"}  # fmt: skip
    await gateway.put("/jill/stor/a", b"x" * 100_000, **stored)
    assert seen_by(await gateway.get("/jill/stor/a")) == (f"http://other, {PAGE}", "etag", "60")
    for path, more, status in (
        ("a", {}, 200),
        ("a", {"range": "bytes=0-5"}, 206),
        ("a", {"range": "bytes=900000-"}, 416),
        ("a", {"if_match": "x"}, 412),
        ("a", {"if_modified_since": "Fri, 20 Nov 2099 17:13:23 GMT"}, 304),
        ("a", {"accept": "text/html"}, 406),
    ):
        reply = await gateway.get(f"/jill/stor/{path}", origin=PAGE, **more)
        assert (reply.status_code, seen_by(reply)) == (status, (PAGE, "etag", None))
        assert seen_by(await gateway.get(f"/jill/stor/{path}", origin="http://third", **more)) == (None,) * 3
    head = await gateway.request("HEAD", "/jill/stor/a", origin=PAGE)  # is not among the methods
    assert (head.status_code, seen_by(head)) == (200, (None,) * 3)
    deleted = await gateway.request("DELETE", "/jill/stor/a", origin=PAGE)
    assert (deleted.status_code, seen_by(deleted)) == (204, (PAGE, "etag", None))


async def test_a_page_sees_of_what_it_writes_what_the_directory_lets_it(gateway):
    stored = {"access_control_allow_origin": PAGE, "access_control_expose_headers": "computed-md5"}
    await gateway.put("/jill/stor/open", **stored, **DIRECTORY)
    for path, more, status in (
        ("open/a", {}, 204),
        ("open/a", {"content_md5": md5(b"other")}, 400),
        ("open/a/b", {}, 400),
        ("open/d", DIRECTORY, 204),
        ("open/l", link_to("/jill/stor/missing"), 404),
    ):
        reply = await gateway.put(f"/jill/stor/{path}", b"x", origin=PAGE, **more)
        seen = (PAGE, "computed-md5", None) if path != "open/a/b" else (None,) * 3
        assert (reply.status_code, seen_by(reply)) == (status, seen), path
    missing = await gateway.get("/jill/stor/open/missing", origin=PAGE)
    assert (missing.status_code, seen_by(missing)) == (404, (PAGE, "computed-md5", None))
