"""Reservations in Nomad, set up from the environment (`nomad.settings`), for the length of a block."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from functools import partial

from scheduler.records.database import Connection, Database
from scheduler.service.state import StateError
from scheduler.supervisor.agents.service import AgentService
from scheduler.supervisor.cache.live_jobs import LiveJobs
from scheduler.supervisor.supervisor import Reserve


@contextlib.asynccontextmanager
async def reserving(key: str, environment: Mapping[str, str] = os.environ) -> AsyncIterator[Reserve]:
    """The loop by which a supervisor reserves instances in Nomad; `key` is the agents' oldest. Raises StateError."""
    try:
        from scheduler.nomad.api import Access, NomadApi, NomadError
        from scheduler.nomad.job_documents import Template
        from scheduler.nomad.settings import mark_of, template_of
        from scheduler.supervisor.instances.instance_loop import InstanceLoop
    except ImportError as error:
        raise StateError(f'--nomad needs packages that are not installed ({error.name}): "remora[cluster]"') from None
    try:
        access = Access.from_environment(environment)
        template = template_of(environment, access)
        api = NomadApi(access)
    except NomadError as error:
        raise StateError(f"--nomad: {error}") from None

    logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs every request

    async def reserve(
        template: Template, supervisor: int, db: Database, jobs: LiveJobs, agent_service: AgentService
    ) -> None:
        mark = await db.write(partial(_mark, proposed=mark_of(key)))
        await InstanceLoop(supervisor, db, jobs, agent_service, api, replace(template, cluster=mark)).run()

    try:
        yield partial(reserve, template)
    finally:
        await api.close()


def _mark(c: Connection, proposed: str) -> str:
    """The word by which this cluster's reservations are told from others', recorded once: keys may be replaced."""
    c.run("mark_cluster", mark=proposed)
    row = c.one("find_mark")
    assert row is not None
    return str(row["mark"])
