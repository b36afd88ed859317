import pytest

from scheduler.model.errors import WireError
from scheduler.objects.conditions import Conditions, matches
from scheduler.objects.entries import Entry

ETAG = "0a4f4c40-7c1e-4a1b-9f2e-1b2c3d4e5f60"
AT = 1_369_244_383_714
SAME = "Wed, 22 May 2013 17:39:43 GMT"
BEFORE = "Wed, 22 May 2013 17:39:42 GMT"


def entry(kind: str = "o") -> Entry:
    return Entry("/jill/stor", "a", kind, ETAG, 1, "", "", 2, {}, 0, 0, AT)


def read(**headers: str) -> str:
    try:
        return "send" if Conditions(**headers).check_read(entry()) else "not modified"
    except WireError as error:
        return f"{error.status} {error.message}"


def write(there: Entry | None, **headers: str) -> str:
    try:
        Conditions(**headers).check_write(there)
    except WireError as error:
        return f"{error.status} {error.message}"
    return "write"


@pytest.mark.parametrize(
    ("listed", "hit"),
    [
        (ETAG, True),
        (f'"{ETAG}"', True),
        (f"W/{ETAG}", True),
        (f'x, W/"{ETAG}"', True),
        ("*", True),
        ("x", False),
        ("", False),
    ],
)
def test_an_etag_is_recognised_however_it_is_quoted(listed, hit):
    assert matches(listed, ETAG) is hit


@pytest.mark.parametrize(
    ("headers", "outcome"),
    [
        ({}, "send"),
        ({"if_match": ETAG}, "send"),
        ({"if_match": "x"}, f"412 if-match 'x' didn't match etag '{ETAG}'"),
        ({"if_none_match": ETAG}, "not modified"),
        ({"if_none_match": "x"}, "send"),
        ({"if_none_match": "x", "if_modified_since": SAME}, "send"),
        ({"if_modified_since": SAME}, "not modified"),
        ({"if_modified_since": BEFORE}, "send"),
        ({"if_modified_since": "whenever"}, "send"),
        ({"if_unmodified_since": SAME}, "send"),
        (
            {"if_unmodified_since": BEFORE},
            f"412 object was modified at '2013-05-22T17:39:43.714Z'; if-unmodified-since '{BEFORE}'",
        ),
    ],
)
def test_reading(headers, outcome):
    assert read(**headers) == outcome


@pytest.mark.parametrize(
    ("there", "headers", "outcome"),
    [
        (True, {}, "write"),
        (True, {"if_match": ETAG}, "write"),
        (True, {"if_match": '""'}, f"412 if-match '\"\"' didn't match etag '{ETAG}'"),
        (False, {"if_match": '""'}, "write"),
        (False, {"if_match": ETAG}, f"412 if-match '{ETAG}' didn't match etag ''"),
        (False, {"if_match": "*"}, "write"),
        (True, {"if_none_match": "*"}, f"412 if-none-match '*' matched etag '{ETAG}'"),
        (False, {"if_none_match": "*"}, "write"),
        (
            True,
            {"if_modified_since": SAME},
            f"412 object was modified at '2013-05-22T17:39:43.714Z'; if-modified-since '{SAME}'",
        ),
        (True, {"if_unmodified_since": SAME}, "write"),
        (False, {"if_unmodified_since": BEFORE}, "write"),
    ],
)
def test_writing(there, headers, outcome):
    assert write(entry() if there else None, **headers) == outcome


def test_conditions_say_nothing_about_directories():
    assert write(entry("d"), if_match="x", if_none_match="*") == "write"


def test_a_condition_that_held_before_and_fails_now_is_somebody_elses_write():
    with pytest.raises(WireError) as caught:
        Conditions(if_match="x").recheck_write(entry())
    assert (caught.value.status, caught.value.code) == (409, "ConcurrentRequest")
    assert caught.value.message == "/jill/stor/a was being concurrently updated"
