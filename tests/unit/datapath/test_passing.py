"""Packets with descriptors: what goes in comes out, and nonsense is refused with a sentence."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest
from datapath._core import ffi
from hypothesis import given
from hypothesis import strategies as st

from datapath.passing import (
    MAX_BYTES,
    MAX_FDS,
    Channel,
    DoneFlag,
    Holds,
    Kind,
    Open,
    OpenFlag,
    OpenKind,
    accept,
    decode_done,
    decode_environment,
    decode_open,
    decode_ready,
    encode_environment,
    encode_open,
    listen,
    open_beneath,
    pair,
)

NAMES = st.text(st.characters(exclude_characters="=\0", exclude_categories=["Cs"]), min_size=1)
VALUES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@pytest.fixture
def ends():
    ours, theirs = pair()
    os.set_blocking(theirs, False)
    other = Channel(theirs)
    yield ours, other
    ours.close()
    other.close()


def test_a_message_arrives_as_it_was_sent(ends):
    ours, other = ends
    ours.send(Kind.RUN, task=2**63, flags=7, payload=b"a\0b")
    assert other.receive() == (Kind.RUN, 2**63, 7, b"a\0b", ())


def test_descriptors_arrive_as_duplicates_that_are_not_inherited(ends):
    ours, other = ends
    reader, writer = os.pipe()
    ours.send(Kind.RUN, fds=(reader, writer))
    os.close(reader)
    os.close(writer)
    message = other.receive()
    assert not any(os.get_inheritable(fd) for fd in message.fds)
    os.write(message.fds[1], b"x")
    assert os.read(message.fds[0], 10) == b"x"
    for fd in message.fds:
        os.close(fd)


def test_as_many_descriptors_as_are_allowed_arrive(ends):
    ours, other = ends
    ours.send(Kind.GRANT, fds=[0] * MAX_FDS)
    message = other.receive()
    assert len(set(message.fds)) == MAX_FDS
    for fd in message.fds:
        os.close(fd)
    with pytest.raises(OSError, match="Message too long"):
        ours.send(Kind.GRANT, fds=[0] * (MAX_FDS + 1))


def test_an_empty_channel_would_block_and_a_closed_one_ends(ends):
    ours, other = ends
    with pytest.raises(BlockingIOError):
        other.receive()
    ours.close()
    ours.close()
    assert other.receive() is None
    with pytest.raises(BrokenPipeError):
        other.send(Kind.OK)


def test_a_full_channel_would_block(ends):
    ours, _ = ends
    with pytest.raises(BlockingIOError):
        for _ in range(10_000):
            ours.send(Kind.OK, payload=b"x" * 1000)


def test_a_packet_beyond_the_limit_is_not_sent(ends):
    ours, _ = ends
    ours.send(Kind.SCRIPT, payload=b"x" * 100_000)
    with pytest.raises(OSError, match="Message too long"):
        ours.send(Kind.SCRIPT, payload=b"x" * MAX_BYTES)


@pytest.mark.parametrize("size", [1, 15])
def test_a_packet_shorter_than_a_header_is_refused(ends, size):
    ours, other = ends
    raw = socket.socket(fileno=os.dup(other.fileno()))
    with raw:
        raw.send(b"x" * size)
    with pytest.raises(ValueError, match="too short"):
        ours.receive()


def test_a_packet_longer_than_the_receiver_takes_is_refused():
    ours, theirs = pair()
    other = Channel(theirs, capacity=10)
    ours.send(Kind.OK, payload=b"x" * 11)
    with pytest.raises(ValueError, match="too long"):
        other.receive()
    ours.close()
    other.close()


@given(st.dictionaries(NAMES, VALUES))
def test_an_environment_survives_the_way(variables):
    assert decode_environment(encode_environment(variables)) == variables


@pytest.mark.parametrize("variables", [{"": "x"}, {"A=B": "x"}, {"A\0": "x"}, {"A": "x\0y"}])
def test_what_no_environment_can_hold_is_refused(variables):
    with pytest.raises(ValueError, match="environment variable"):
        encode_environment(variables)


@pytest.mark.parametrize("payload", [b"A=b", b"A\0", b"=b\0", b"A=b\0\0"])
def test_an_environment_of_another_shape_is_refused(payload):
    with pytest.raises(ValueError, match="environment"):
        decode_environment(payload)


def test_done_is_read_field_by_field():
    fields = {"status": 9, "flags": 3, "started_ns": 1, "ended_ns": 2, "user_us": 3, "sys_us": 4, "max_rss_kb": 5}
    done = ffi.new("struct pass_done *", {**fields, "core": b"root/.core.1", "program": b"p" * 32})
    decoded = decode_done(bytes(ffi.buffer(done)))
    assert decoded == (9, DoneFlag.CORE | DoneFlag.STOPPED, 1, 2, 3, 4, 5, "root/.core.1", "p" * 32)


def test_ready_is_read_field_by_field():
    ready = ffi.new("struct pass_ready *", {"namespaces": 0, "pid": 7, "holds": 5, "why": b"because"})
    assert decode_ready(bytes(ffi.buffer(ready))) == (False, 7, Holds.CALLS | Holds.SOCKETS, "because")


@pytest.mark.parametrize("decode", [decode_done, decode_ready])
@pytest.mark.parametrize("payload", [b"", b"x", b"x" * 1000])
def test_a_payload_of_the_wrong_size_is_refused(decode, payload):
    with pytest.raises(ValueError, match="cannot be a struct"):
        decode(payload)


@given(st.sampled_from(OpenKind), st.none() | st.integers(0, 2**31 - 1), st.integers(1, MAX_FDS), VALUES, VALUES)
def test_an_open_survives_the_way(kind, reducer, count, name, headers):
    request = Open(kind, OpenFlag.PARENTS, reducer, count, name, headers)
    assert decode_open(encode_open(request)) == request


@given(st.binary(max_size=100))
def test_any_bytes_are_an_open_or_refused(payload):
    try:
        request = decode_open(payload)
    except ValueError as error:
        assert str(error)
    else:
        assert encode_open(request) == payload


GOOD = {"kind": 1, "flags": 0, "reducer": -1, "count": 1, "name_len": 2, "headers_len": 0}


@pytest.mark.parametrize(
    ("change", "text", "sentence"),
    [
        ({"kind": 0}, b"/a", "unknown kind of output"),
        ({"kind": 5}, b"/a", "unknown kind of output"),
        ({"flags": 2}, b"/a", "unknown flags"),
        ({"reducer": -2}, b"/a", "negative reducer"),
        ({"kind": 4, "count": 0}, b"/a", "number of reducers is out of range"),
        ({"kind": 4, "count": MAX_FDS + 1}, b"/a", "number of reducers is out of range"),
        ({"name_len": 3}, b"/a", "lengths of name and headers do not fill the request"),
        ({"name_len": 2**32 - 1, "headers_len": 3}, b"/a", "lengths of name and headers do not fill the request"),
        ({}, b"/a/", "lengths of name and headers do not fill the request"),
        ({}, b"/\0", "name or headers hold a NUL byte"),
        ({}, b"/\xff", "name or headers are not UTF-8"),
    ],
)
def test_a_hostile_open_is_refused_with_its_reason(change, text, sentence):
    payload = bytes(ffi.buffer(ffi.new("struct pass_open *", {**GOOD, **change}))) + text
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        decode_open(payload)


def test_a_socket_with_a_long_path_is_reachable_and_open_to_all(tmp_path: Path):
    directory = tmp_path / ("d" * 150)
    directory.mkdir()
    with listen(directory / "agent.sock") as listener:
        assert stat.S_IMODE((directory / "agent.sock").stat().st_mode) == 0o666
        with pytest.raises(BlockingIOError):
            accept(listener)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
            place = os.open(directory, os.O_PATH)
            client.connect(f"/proc/self/fd/{place}/agent.sock")
            os.close(place)
            channel = accept(listener)
            channel.send(Kind.OK)
            assert len(client.recv(100)) == 16
            channel.close()


def test_a_file_that_a_task_left_is_opened_only_below_its_directory(tmp_path: Path):
    (tmp_path / "core").write_text("dump")
    (tmp_path / "link").symlink_to("/etc/passwd")
    with os.fdopen(open_beneath(tmp_path, "core")) as core:
        assert core.read() == "dump"
    for hostile in ("link", "../x", "/etc/passwd", "missing", "."):
        with pytest.raises(OSError):
            open_beneath(tmp_path, hostile)
