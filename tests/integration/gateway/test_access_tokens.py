"""A job's token is as good as its job is alive, through restarts too."""

from __future__ import annotations

import time
from pathlib import Path

import httpx

from scheduler.gateway.access.tokens import Tokens
from tests.support.services.objects import client
from tests.support.services.service import Service
from tests.support.services.user import User

REFUSED = (403, "InvalidAuthenticationToken")
DAY_MS = 24 * 3600 * 1000


def asked(service: Service, login: str, job: str) -> tuple[int, str]:
    """What the service answers to the token that it gave a job a month ago."""
    tokens = Tokens((service.state_dir / "token.secret").read_text().encode())
    token = tokens.issue(login, time.time_ns() // 1_000_000 - 30 * DAY_MS, job)
    reply = httpx.get(f"{service.url}/{login}/stor", headers={"Authorization": f"Token {token}"})
    return reply.status_code, reply.json()["code"] if reply.status_code >= 400 else ""


def test_a_jobs_token_outlives_a_restart_and_not_its_job(tmp_path: Path) -> None:
    service = Service(tmp_path / "state").start()
    try:
        with client(service) as session:
            user = User(session)
            ended, cancelled, open_one = (user.create("true") for _ in range(3))
            assert [asked(service, user.login, job) for job in (ended, cancelled, open_one)] == [(200, "")] * 3
            user.finish(ended)
            user.jobs.cancel(cancelled)
            assert [asked(service, user.login, job) for job in (ended, cancelled)] == [REFUSED] * 2
        service.kill()
        service.start()
        with client(service) as session:
            user = User(session)
            assert [asked(service, user.login, job) for job in (ended, cancelled)] == [REFUSED] * 2
            assert asked(service, user.login, open_one) == (200, "")
            user.finish(open_one)
            assert asked(service, user.login, open_one) == REFUSED
    finally:
        service.stop()
