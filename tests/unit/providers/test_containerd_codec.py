"""Messages of containerd's API as bytes, made by hand."""

from __future__ import annotations

import pytest

from scheduler.providers.containerd import api
from scheduler.providers.containerd.codec import Repeated, StringMap, decode, encode, varint

NUMBER = {"pid": (2, "int")}
NESTED = {"name": (1, "str"), "inner": (3, NUMBER), "all": (4, Repeated("str")), "labels": (5, StringMap("str"))}


@pytest.mark.parametrize(
    ("value", "data"),
    [(0, b"\0"), (127, b"\x7f"), (128, b"\x80\x01"), (300, b"\xac\x02"), (-1, b"\xff" * 9 + b"\x01")],
)
def test_a_number_has_seven_bits_a_byte(value: int, data: bytes) -> None:
    assert varint(value) == data


def test_a_message_is_its_fields_one_after_another() -> None:
    message = {"name": "é", "inner": {"pid": 300}, "all": ["a", ""], "labels": {"k": "v"}}
    data = b"\x0a\x02\xc3\xa9\x1a\x03\x10\xac\x02\x22\x01a\x22\x00\x2a\x06\x0a\x01k\x12\x01v"
    assert encode(NESTED, message) == data
    assert decode(NESTED, data) == message


def test_what_is_not_on_the_wire_is_zero() -> None:
    assert decode(NESTED, b"") == {"name": "", "inner": None, "all": [], "labels": {}}
    assert decode(NUMBER, b"") == {"pid": 0}


def test_fields_of_a_newer_containerd_are_passed_over() -> None:
    unknown = b"\x50\x07\x59" + bytes(8) + b"\x65" + bytes(4) + b"\x6a\x02hi"
    assert decode(NUMBER, unknown + b"\x10\x05" + unknown) == {"pid": 5}


def test_the_last_of_several_values_counts_and_packed_numbers_are_a_list() -> None:
    assert decode(NUMBER, b"\x10\x05\x10\x06") == {"pid": 6}
    assert decode({"ids": (1, Repeated("int"))}, b"\x0a\x03\x01\xac\x02\x08\x07") == {"ids": [1, 300, 7]}


@pytest.mark.parametrize(
    "data", [b"\x10", b"\x10\x80", b"\x0a\x05ab", b"\x0b", b"\x12\x00", b"\x59\0", b"\x10" + b"\xff" * 11]
)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"a message ends|wire type"):
        decode(NUMBER, data)


def test_a_field_that_nobody_has_heard_of_is_not_sent() -> None:
    with pytest.raises(KeyError):
        encode(NUMBER, {"pod": 1})


def test_a_call_names_its_service_as_containerd_does() -> None:
    assert api.VERSION.path == "/containerd.services.version.v1.Version/Version"
    assert api.WAIT_TASK.path == "/containerd.services.tasks.v1.Tasks/Wait"
    assert (
        encode(api.KILL_TASK.request, {"container_id": "c", "signal": 9, "all": True}) == b"\x0a\x01c\x18\x09\x20\x01"
    )
