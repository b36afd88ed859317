"""What a client sends again, and how long it waits for a service that was there a moment ago."""

from __future__ import annotations

import os
import threading

import pytest

from cli.client import transfer
from cli.client.problem import Problem, broken, refusal, unreachable
from cli.client.transport.retry import ATTEMPTS, AWAY_SECONDS, Patience

AWAY = unreachable("http://x", "Connection refused")
BROKEN = broken("http://x", "reset")


def test_a_service_that_is_restarted_is_waited_for() -> None:
    patience, now = Patience(), 0.0
    pauses = []
    for failure in (BROKEN, AWAY, AWAY, AWAY, AWAY):
        pause = patience.pause(failure, now, reached=True)
        assert pause is not None
        pauses.append(pause)
        now += pause
    assert pauses == [1.0, 2.0, 4.0, 8.0, 10.0]
    assert patience.pause(AWAY, now + AWAY_SECONDS, reached=True) is None


def test_a_service_that_has_never_answered_is_not_waited_for() -> None:
    assert Patience().pause(AWAY, 0.0, reached=False) is None


@pytest.mark.parametrize("failure", [BROKEN, refusal(503, None, None)])
def test_a_temporary_failure_is_tried_so_many_times(failure: Problem) -> None:
    patience = Patience()
    pauses = [patience.pause(failure, 0.0, reached=True) for _ in range(ATTEMPTS)]
    assert pauses == [1.0, 2.0, 4.0, None]


@pytest.mark.parametrize("status", [403, 412, 507])
def test_a_refusal_and_a_full_disk_are_final(status: int) -> None:
    assert Patience().pause(refusal(status, None, None), 0.0, reached=True) is None


def pieces_of(*written: bytes) -> list[bytes]:
    """What `steady` makes of a pipe that gets these one after another, each when the last one has been taken."""
    read, write = os.pipe()
    got = []
    try:
        pieces = transfer.steady(read, transfer.ignore)
        for data in written:
            os.write(write, data)
            if sum(map(len, written[: written.index(data) + 1])) > transfer.RESERVE:
                got.append(next(pieces))
        os.close(write)
        got += pieces
    finally:
        os.close(read)
    return got


def test_a_little_of_a_stream_is_kept_back_and_comes_at_the_end() -> None:
    first, rest = b"a" * 10_000, b"b" * 3
    got = pieces_of(first, rest)
    assert b"".join(got) == first + rest
    assert len(got[0]) == len(first) - transfer.RESERVE


def test_a_short_stream_is_one_piece_however_late_its_end_comes() -> None:
    assert pieces_of(b"first\n", b"late\n") == [b"first\nlate\n"]
    assert pieces_of() == []


def test_a_silent_stream_goes_on_byte_by_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "DRIP_SECONDS", 0.0)
    read, write = os.pipe()
    os.write(write, bytes(range(256)) * 20)
    pieces = transfer.steady(read, transfer.ignore)
    got = [next(pieces) for _ in range(100)]
    assert [len(piece) for piece in got[1:]] == [1] * 99
    threading.Thread(target=os.close, args=(write,)).start()
    got += pieces
    os.close(read)
    assert b"".join(got) == bytes(range(256)) * 20
