"""Reservations in Nomad, set up from the environment (`nomad.settings`), for the length of a block."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import AsyncIterator, Mapping
from functools import partial

from scheduler.records.database import Database
from scheduler.service.state import StateError
from scheduler.supervisor.agents.service import AgentService
from scheduler.supervisor.cache.live_jobs import LiveJobs
from scheduler.supervisor.supervisor import Reserve


@contextlib.asynccontextmanager
async def reserving(key: str, environment: Mapping[str, str] = os.environ) -> AsyncIterator[Reserve]:
    """The loop by which a supervisor reserves its instances in Nomad; `key` is the cluster's. Raises StateError."""
    try:
        from scheduler.nomad.api import Access, NomadApi, NomadError
        from scheduler.nomad.job_documents import Template
        from scheduler.nomad.settings import template_of
        from scheduler.supervisor.instances.loop import InstanceLoop
    except ImportError as error:
        raise StateError(f'--nomad needs packages that are not installed ({error.name}): "remora[cluster]"') from None
    try:
        access = Access.from_environment(environment)
        template = template_of(environment, access, key)
        api = NomadApi(access)
    except NomadError as error:
        raise StateError(f"--nomad: {error}") from None

    logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs every request

    async def reserve(template: Template, db: Database, jobs: LiveJobs, agent_service: AgentService) -> None:
        await InstanceLoop(db, jobs, agent_service, api, template).run()

    try:
        yield partial(reserve, template)
    finally:
        await api.close()
