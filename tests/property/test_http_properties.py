"""Whatever a client sends, and whatever a task sends: a good answer, and no harm.

The same properties as `tests/stress/http_fuzz.py` drives for as long as one likes; here each has a
few examples, the same ones every time, and those that once found something.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support.hostile import requests, world
from tests.support.hostile.requests import Request
from tests.support.hostile.world import World
from tests.support.services.objects import client
from tests.support.services.service import Service


def few(examples: int) -> Callable[..., Any]:
    return settings(
        max_examples=examples, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    running = world.start(tmp_path_factory.mktemp("service") / "state")
    try:
        yield running
    finally:
        status = running.stop()
    assert status == 0
    assert "Traceback" not in running.log.read_text()


@pytest.fixture(scope="module")
def at(service: Service) -> Iterator[World]:
    with client(service) as session, World(service, session) as at:
        yield at


@few(150)
@given(requests.REQUESTS)
@example(Request("X-Y", "/jill/stor/f"))
@example(Request("GET", "/jill/stor/f", (("content-type", b"a/b"), ("content-type", b"a/b"))))
def test_every_request_of_an_owner_has_a_good_reply(at: World, drawn: Request) -> None:
    at.request(drawn)


@few(60)
@given(requests.RAW)
@example(b"GET /ping HTTP/0.9\r\nHost: x\r\n\r\n")
@example(b"GET /ping HTTP/2.0\r\nHost: x\r\n\r\n")
def test_bytes_that_are_no_request_are_refused_or_dropped(at: World, drawn: bytes) -> None:
    at.raw(drawn)


@few(120)
@given(st.sampled_from(["GET", "PUT", "POST", "DELETE", "OPTIONS", "CONNECT"]), requests.FOREIGN_TARGETS)
def test_a_target_without_a_leading_slash_is_refused(at: World, method: str, target: str) -> None:
    at.foreign(method, target)


@few(60)
@given(requests.REQUESTS)
def test_nobody_reads_or_changes_what_is_private(at: World, drawn: Request) -> None:
    at.stranger(drawn)


@few(80)
@given(requests.FORGERIES)
def test_a_signature_of_which_a_part_was_replaced_proves_nothing(at: World, drawn: requests.Forgery) -> None:
    at.forged(drawn)


@pytest.mark.parametrize("authorization", requests.AUTHORIZATIONS)
def test_what_is_no_signature_proves_nothing(at: World, authorization: str) -> None:
    at.unknown(authorization)


@few(80)
@given(requests.JOB_BODIES)
def test_a_job_document_is_refused_or_taken_as_it_is(at: World, drawn: bytes) -> None:
    at.document(drawn)


@few(80)
@given(st.sampled_from(["GET", "HEAD", "POST", "POST", "PUT", "DELETE"]), requests.LIVE, requests.INPUT_BODIES)
def test_every_question_about_a_job_has_a_good_reply(at: World, method: str, what: str, body: bytes) -> None:
    at.live(method, what, body)


@few(60)
@given(requests.REQUESTS)
@example(Request("get", "/jill/stor/f"))
@example(Request("GET", "/jill/stor/f", (("content-type", b"a/b"), ("content-type", b"a/b"))))
@example(Request("GET", "/jill/stor/f", (("cache", b"x" * 20_000),)))
@example(Request("PUT", "/jill/stor/f", (("x-manta-stream", b"stdout"), ("if-match", b"\x80")), None, True))
def test_every_request_of_a_task_has_a_good_reply(at: World, drawn: Request) -> None:
    at.inside(drawn)


@few(100)
@given(requests.CONVERSATIONS)
@example((requests.Packet((32, 0, 0), (1, 0, 2**32 - 1, 0), name=b"\n"),))
def test_every_packet_of_a_task_is_answered_or_hung_up_on(at: World, drawn: tuple[requests.Packet, ...]) -> None:
    at.packets(drawn)
