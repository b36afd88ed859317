"""What a gateway and a supervisor do while PostgreSQL is away: they say so, wait, and go on."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import httpx

from scheduler.model.job import parse_job
from scheduler.records import accounts
from scheduler.service import parts
from scheduler.supervisor.cache.live_jobs import LiveJob
from scheduler.supervisor.job_services import JobService, LocalFirstJobService
from scheduler.supervisor.runner import SupervisorRunner
from tests.support.services.house import MAP
from tests.support.services.postgres import server

SECRETS = parts.Secrets(b"a secret of tokens", "a key of agents")


async def test_health_says_that_the_database_is_away_and_jobs_go_on_once_it_is_back(tmp_path: Path) -> None:
    with server() as postgres:
        runner = SupervisorRunner()
        async with contextlib.AsyncExitStack() as stack:
            store = stack.enter_context(parts.opened(postgres.create(), tmp_path / "blobs"))
            recorded = stack.enter_context(parts.recorded(store))
            service = LocalFirstJobService(recorded, lambda: runner.current)
            context = parts.context_of(store, SECRETS, service=service, supervisor=lambda: runner.current)
            url = await stack.enter_async_context(parts.listening(context, "127.0.0.1", 0))
            await stack.enter_async_context(parts.supervising(context, runner, url, alone=False))
            await context.db.write(lambda c: accounts.create(c, "jill", 1))
            assert await health(url) == (200, "ok")
            first = runner.supervisor.id
            uuid = await service.create_job("jill", parse_job({"phases": [MAP]}))
            live = runner.supervisor.jobs.by_uuid(uuid)

            await asyncio.to_thread(postgres.stop)
            assert await health(url) == (503, "the database has not answered for 2 seconds")
            writing = asyncio.ensure_future(finish(service, live))
            await asyncio.to_thread(postgres.start)

            async with asyncio.timeout(60):
                await writing
                while (await health(url))[0] != 200:
                    pass
                while await service.runs(uuid):
                    await service.wait_for_change(live, 1.0)
            assert runner.supervisor.id == first, "nobody else was there to call it lost"


async def health(url: str) -> tuple[int, str]:
    async with httpx.AsyncClient(timeout=30) as http:
        reply = await http.get(f"{url}/healthz")
    return reply.status_code, reply.json()["database"]


async def finish(service: JobService, live: LiveJob) -> None:
    await service.add_inputs(live, ["/jill/stor/none"])
    await service.end_input(live)
