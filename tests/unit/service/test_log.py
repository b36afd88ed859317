"""What is logged again and again is bounded, and says how much of it was left out."""

from __future__ import annotations

import logging
import sys

import pytest

from scheduler.log import (
    AUDIT,
    FORMAT_VARIABLE,
    MINUTE,
    MOST_WARNINGS,
    JsonLines,
    Sparing,
    TextLines,
    formatter,
)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def record(text: str, *words: object, level: int = logging.WARNING, name: str = "remora", error=None):
    info = (type(error), error, error.__traceback__) if error else None
    return logging.LogRecord(name, level, "file", 1, text, words, info)


def test_messages_of_one_kind_are_bounded_per_minute():
    clock = Clock()
    sparing = Sparing(clock)
    records = [record("agent %s lost", number) for number in range(MOST_WARNINGS + 5)]
    passed = [each for each in records if sparing.filter(each)]
    assert passed == records[:MOST_WARNINGS]
    assert passed[-1].more == "left out for 60 s"
    clock.now += MINUTE
    following = record("agent %s lost", 99)
    assert sparing.filter(following) and following.left_out == 5
    another = record("agent %s lost", 100)
    assert sparing.filter(another) and not hasattr(another, "left_out")


def test_kinds_do_not_share_their_bound():
    sparing = Sparing(Clock())
    for _ in range(MOST_WARNINGS + 1):
        sparing.filter(record("one"))
    assert not sparing.filter(record("one"))
    assert sparing.filter(record("another"))
    assert sparing.filter(record("one", level=logging.ERROR))
    assert sparing.filter(record("one", name="other"))


def test_errors_are_told_from_each_other_by_where_they_come_from():
    def raised(kind: type[Exception]) -> Exception:
        try:
            raise kind("x")
        except Exception as error:
            return error

    sparing = Sparing(Clock())
    for _ in range(MOST_WARNINGS + 1):
        sparing.filter(record("request failed", error=raised(ValueError)))
    assert not sparing.filter(record("request failed", error=raised(ValueError)))
    assert sparing.filter(record("request failed", error=raised(KeyError)))


def test_what_asyncio_repeats_about_its_surroundings_is_said_once_a_minute():
    sparing = Sparing(Clock())
    text = "socket.accept() out of system resource\nsocket: <socket fd={}>"
    kept = [number for number in range(1000) if sparing.filter(record(text.format(number), name="asyncio"))]
    assert kept == [0]


def test_the_audit_log_is_complete():
    sparing = Sparing(Clock())
    assert all(sparing.filter(record("key added", name=AUDIT)) for _ in range(5000))


def test_on_a_terminal_a_record_is_a_line_of_text():
    about = record("agent lost")
    about.node = "n7\x1b[31m"
    line = TextLines().format(about)
    assert line.endswith(r" warning: agent lost (node=n7\x1b[31m)")


@pytest.mark.parametrize(
    ("said", "terminal", "form"),
    [("auto", True, TextLines), ("auto", False, JsonLines), ("json", True, JsonLines), ("text", False, TextLines)],
)
def test_the_form_goes_by_the_terminal_unless_it_is_said(monkeypatch, said, terminal, form):
    monkeypatch.setenv(FORMAT_VARIABLE, said)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    assert type(formatter()) is form
