"""A client that is told to slow down waits and asks again, where the request can be sent again."""

from __future__ import annotations

import pytest

from cli.client.problem import Refused
from cli.client.session import Session
from cli.client.settings import Settings
from cli.client.transport.throttling import SECONDS, seconds, unthrottled
from tests.support.services.plain_manta import Reply, manta

SLOW_DOWN = Reply(429, b'{"code": "TooManyRequests", "message": "slow down"}', {"Retry-After": "0"})


@pytest.mark.parametrize(("said", "wait"), [("0", 0.1), ("7", 7), ("", 1), ("soon", 1), ("99999", 60), ("1" * 400, 1)])
def test_the_time_that_a_service_asks_for_is_bounded(said, wait):
    assert seconds(said) == wait


def test_another_refusal_is_no_reason_to_wait():
    def ask() -> None:
        raise Refused(403, "AuthorizationFailedError", "no")

    with pytest.raises(Refused, match="no"):
        unthrottled(ask, pytest.fail)


def test_it_gives_up_in_the_end(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("cli.client.transport.throttling.time.monotonic", lambda: now[0])
    slept = []

    def sleep(duration: float) -> None:
        slept.append(duration)
        now[0] += duration

    def ask() -> None:
        raise Refused(429, "TooManyRequestsError", "slow down", "50")

    with pytest.raises(Refused, match="slow down"):
        unthrottled(ask, sleep)
    assert SECONDS <= sum(slept) <= SECONDS + 50


def test_requests_are_sent_again_but_for_a_body_that_is_gone():
    with manta() as service:
        service.replies["PUT /jill/stor/a"] = [SLOW_DOWN, SLOW_DOWN, Reply(204)]
        service.replies["PUT /jill/stor/b"] = [SLOW_DOWN, Reply(204)]
        settings = Settings(service.url, "jill", "jill", no_auth=True)
        with Session(settings) as session:
            assert session.call("PUT", "/jill/stor/a", body=b"x").status_code == 204
            with pytest.raises(Refused, match="slow down"):
                session.call("PUT", "/jill/stor/b", body=iter([b"x"]))
