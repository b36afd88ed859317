import pytest
from multidict import CIMultiDict

from scheduler.gateway.storage import headers
from scheduler.http.ranges import Part, parse_range
from scheduler.model.errors import WireError
from scheduler.objects import headers as kept


def test_nothing_is_kept_that_could_not_be_a_header():
    hostile = {
        "m-a": "x\r\nSet-Cookie: y",
        "m-b\r\nx": "1",
        "m-c d": "1",
        "content-length": "5",
        "m-ok": "tab\tis fine",
    }
    assert kept.stored(hostile) == {"m-ok": "tab\tis fine"}
    assert kept.content_type({"content-type": "text/plain\r\nx: y"}) == "application/octet-stream"


def sent(**fields: str) -> CIMultiDict[str]:
    return CIMultiDict({name.replace("_", "-"): value for name, value in fields.items()})


def test_what_is_kept_of_a_request():
    request = sent(M_Color="red", Cache_Control="no-store", Surrogate_Key="k", Host="h", M_="x", X_m_y="z", m="n")
    assert kept.stored(request) == {"m-color": "red", "cache-control": "no-store", "surrogate-key": "k"}


def test_public_objects_are_open_to_pages_unless_told_otherwise():
    origin = "access-control-allow-origin"
    assert kept.stored(sent(), public=True) == {origin: "*"}
    assert kept.stored(sent(access_control_allow_origin="http://p"), public=True) == {origin: "http://p"}
    assert kept.stored(sent(), public=True, directory=True) == {}


def test_user_metadata_stops_at_its_limit_in_bytes():
    assert set(kept.user_metadata(sent(m_a="ü" * 2047, m_b="x", m_c="x"))) == {"m-a", "m-b"}


@pytest.mark.parametrize(
    ("value", "canonical"),
    [
        ("Attachment", "attachment"),
        ('attachment; FileName="a b.txt"', 'attachment; filename="a b.txt"'),
        ("inline ;x=1;  y=2", "inline; x=1; y=2"),
    ],
)
def test_a_disposition_is_made_canonical(value, canonical):
    assert kept.disposition(value) == canonical


@pytest.mark.parametrize("value", ["", "in line", "attachment; filename", 'attachment; filename="a', "a; =b", "a;;"])
def test_a_disposition_that_is_none_is_refused(value):
    with pytest.raises(WireError) as caught:
        kept.disposition(value)
    assert (caught.value.status, caught.value.code) == (400, "BadRequestError")


@pytest.mark.parametrize(
    ("value", "result"),
    [("text/plain; charset=utf-8", "text/plain; charset=utf-8"), ("jpg", "image/jpeg"), (".txt", "text/plain"),
     ("nonsense", "application/octet-stream"), ("", "application/octet-stream")],
)  # fmt: skip
def test_the_type_that_is_kept(value, result):
    assert kept.content_type(sent(Content_Type=value)) == result


@pytest.mark.parametrize(
    ("accept", "taken"),
    [(None, True), ("*/*", True), ("text/*", True), ("image/png, text/plain;q=0.1", True), ("text/plain;q=0", False),
     ("image/*", False), ("application/json, */*", True)],
)  # fmt: skip
def test_what_a_client_accepts(accept, taken):
    assert headers.acceptable(accept, "text/plain; charset=utf-8") is taken


def test_a_page_that_may_not_read_sees_no_cors_header():
    stored = {"m-x": "1", "access-control-allow-origin": "http://a, http://b", "access-control-max-age": "5",
            "access-control-expose-headers": "m-x", "access-control-allow-methods": "GET"}  # fmt: skip
    assert headers.allowed_to_origin(stored, "GET", None) == stored
    assert headers.allowed_to_origin(stored, "GET", "http://b") == {
        "m-x": "1", "access-control-allow-origin": "http://b", "access-control-expose-headers": "m-x",
    }  # fmt: skip
    assert headers.allowed_to_origin(stored, "GET", "http://c") == {"m-x": "1"}
    assert headers.allowed_to_origin(stored, "PUT", "http://b") == {"m-x": "1"}


@pytest.mark.parametrize(
    ("value", "part"),
    [("bytes=0-0", Part(0, 1)), ("bytes= 2 - 4", Part(2, 3)), ("bytes=9-", Part(9, 1)), ("bytes=-4", Part(6, 4)),
     ("bytes=5-999999", Part(5, 5))],
)  # fmt: skip
def test_a_range_is_a_part_inside_the_object(value, part):
    assert parse_range(value, 10) == part


@pytest.mark.parametrize("value", ["bytes=10-", "bytes=-", "bytes=a-b", "bytes=-0", "bytes=4-3", "bytes", "bytes=1-²"])
def test_a_range_outside_the_object_is_refused(value):
    with pytest.raises(WireError) as caught:
        parse_range(value, 10)
    assert (caught.value.status, caught.value.headers) == (416, {"Content-Range": "bytes */10"})


def test_nothing_of_an_empty_object_can_be_asked_for():
    for value in ("bytes=0-", "bytes=-1"):
        with pytest.raises(WireError):
            parse_range(value, 0)
