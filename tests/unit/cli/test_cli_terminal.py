"""The user's side of a session, without a terminal: frames, and escapes among what is typed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.terminal.frames import Incoming, Kind, Message, close_of, close_with, seal
from cli.terminal.keys import Escape, Keyboard
from cli.terminal.places import BesideTask, NotBegunError, OwnJob
from cli.terminal.session import Wish, said_in, start_of

NO_JOBS: Any = None
SIZES = [0, 1, 125, 126, 65535, 65536]


def typed(*pieces: bytes, escape: bytes | None = b"~") -> list[bytes | Escape]:
    keyboard = Keyboard(escape)
    return [each for piece in pieces for each in keyboard.feed(piece)]


def from_server(kind: int, data: bytes, last: bool = True) -> bytes:
    """A frame as a server sends it."""
    size = len(data)
    length = bytes([size]) if size < 126 else b"\x7e" + (size & 0xFFFF).to_bytes(2, "big")
    if size >= 1 << 16:
        length = b"\x7f" + size.to_bytes(8, "big")
    return bytes([(0x80 if last else 0) | kind]) + length + data


def unmasked(frame: bytes) -> bytes:
    """The payload of a client's frame."""
    begin = {126: 4, 127: 10}.get(frame[1] & 0x7F, 2)
    mask, data = frame[begin : begin + 4], frame[begin + 4 :]
    return bytes(byte ^ mask[place % 4] for place, byte in enumerate(data))


@pytest.mark.parametrize("size", SIZES)
def test_a_message_is_masked_in_one_frame(size: int) -> None:
    data = bytes(place % 251 for place in range(size))
    frame = seal(Kind.BINARY, data)
    assert frame[0] == 0x82 and frame[1] & 0x80
    assert unmasked(frame) == data


@pytest.mark.parametrize("size", SIZES)
def test_a_message_is_put_together_from_any_pieces(size: int) -> None:
    sent = from_server(1, b"a") + from_server(2, bytes(size)) + from_server(9, b"?")
    for step in (1, 7, len(sent)):
        if len(sent) // step > 1000:
            continue
        incoming = Incoming()
        got = [message for at in range(0, len(sent), step) for message in incoming.feed(sent[at : at + step])]
        assert got == [Message(Kind.TEXT, b"a"), Message(Kind.BINARY, bytes(size)), Message(Kind.PING, b"?")]


def test_a_message_in_several_frames_is_one_around_a_ping() -> None:
    sent = from_server(2, b"ab", last=False) + from_server(9, b"") + from_server(0, b"c")
    assert list(Incoming().feed(sent)) == [Message(Kind.PING, b""), Message(Kind.BINARY, b"abc")]


@pytest.mark.parametrize(
    "sent",
    [seal(Kind.TEXT, b"x"), b"\xf1\x00", b"HTTP/1.1", b"\x82\x7f" + b"\xff" * 8],
    ids=["masked", "a reserved bit", "no frame", "endless"],
)
def test_what_is_no_frame_of_a_server_is_refused(sent: bytes) -> None:
    with pytest.raises(ValueError, match="came"):
        list(Incoming().feed(sent))


def test_a_close_has_a_code_and_a_reason() -> None:
    assert close_of(close_with("done")) == (1000, "done")
    assert close_of(b"") == (1005, "")


@pytest.mark.parametrize(
    ("pieces", "result"),
    [
        ([b"ls ~.\r"], [b"ls ~.\r"]),
        ([b"~."], [b"~."]),  # not at the beginning: nothing was typed before
        ([b"\r~."], [b"\r", Escape.END]),
        ([b"\n", b"~", b"."], [b"\n", Escape.END]),
        ([b"\r~i~?ls"], [b"\r", Escape.INFORMATION, Escape.HELP, b"ls"]),
        ([b"\r~~x"], [b"\r~x"]),
        ([b"\r~zx"], [b"\rx"]),
        ([b"\rx~."], [b"\rx~."]),
    ],
)
def test_escapes_count_after_the_end_of_a_line(pieces: list[bytes], result: list[bytes | Escape]) -> None:
    assert typed(*pieces) == result


def test_the_escape_character_is_chosen_or_there_is_none() -> None:
    assert typed(b"\r~.\r%.", escape=b"%") == [b"\r~.\r", Escape.END]
    assert typed(b"\r~.", escape=None) == [b"\r~."]


@given(st.binary(), st.integers(1, 5))
def test_without_an_escape_after_a_line_all_is_sent_in_any_pieces(data: bytes, step: int) -> None:
    data = data.replace(b"\r", b"").replace(b"\n", b"")
    assert b"".join(typed(*(data[at : at + step] for at in range(0, len(data), step)))) == data  # type: ignore[arg-type]


def test_the_job_is_a_map_on_the_object_or_a_reduce() -> None:
    place = OwnJob(NO_JOBS, "/jill/stor/a", {"memory": 256}, ["/jill/stor/tool"])
    assert said_in("x:" + place.document().decode()) == {
        "name": "interactive compute job",
        "phases": [
            {
                "exec": "/assets/poseidon/public/medusa/agent.sh",
                "type": "map",
                "assets": ["/poseidon/public/medusa/agent.sh", "/jill/stor/tool"],
                "memory": 256,
            }
        ],
    }
    assert '"type": "reduce"' in OwnJob(NO_JOBS, None, {}, []).document().decode()


def test_a_command_is_run_by_bash_and_the_size_is_that_of_the_window() -> None:
    said = said_in(start_of(Wish("ls -l", None, 60), "/", (132, 43)))
    assert (said["command"], said["arguments"], said["cwd"]) == ("/bin/bash", ["-c", "ls -l"], "/")
    assert (said["columns"], said["lines"]) == (132, 43)


def test_a_place_beside_a_task_may_turn_out_to_be_elsewhere() -> None:
    place = BesideTask("8bd3", 17)
    assert (place.query, place.over()) == ({"task": "17"}, None)
    with pytest.raises(NotBegunError, match="the task does not run now"):
        place.closed("the task does not run now")


@pytest.mark.parametrize("text", ["", "ping", "mlogin:", "mlogin:[1]", "mlogin:{"])
def test_what_is_no_object_says_nothing(text: str) -> None:
    assert said_in(text) == {}
