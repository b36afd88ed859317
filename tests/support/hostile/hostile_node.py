"""A node that has a valid credential and says what it likes, over HTTP."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
from pydantic_core import to_jsonable_python

from scheduler.gateway.node_credentials import issue
from scheduler.model import wire
from scheduler.model.job import parse_job
from tests.support.services.gateway import Gateway


@dataclass
class HostileNode:
    """Messages are texts, mappings or the protocol's own; nothing is checked before it is sent."""

    gateway: Gateway
    name: str = "evil"
    agent: int = 0
    seen: int = 0
    granted: list[wire.PoolGrant] = field(default_factory=list)  # last, by `leased`

    async def say(self, what: str, message: wire.Wire | Mapping[str, Any] | str | bytes) -> httpx.Response:
        body = message.model_dump_json() if isinstance(message, wire.Wire) else message
        body = json.dumps(body) if isinstance(body, Mapping) else body
        credential = issue(self.gateway.context.agent_secret, self.name)
        headers = {"Authorization": f"Bearer {credential}"}
        return await self.gateway.http.post(f"{self.gateway.url}/_agent/v1/{what}", content=body, headers=headers)

    async def register(self, **changes: Any) -> int:
        request = {"node": self.name, "slots": 2, "memory_mb": 1 << 20, "provider": "none"} | changes
        reply = await self.say("register", wire.RegisterRequest(**request))
        assert reply.status_code == 200, reply.text
        self.agent, self.seen = reply.json()["agent"], 0
        return self.agent

    async def poll(self, **state: Any) -> wire.PollReply:
        asked = wire.AgentState(seen=self.seen, **state)
        reply = await self.say("poll", wire.PollRequest(agent=self.agent, state=asked))
        assert reply.status_code == 200, reply.text
        answer = wire.PollReply.model_validate_json(reply.content)
        self.seen = answer.number
        return answer

    async def leased(self, login: str, *phases: dict[str, Any], inputs: int = 1) -> tuple[str, list[wire.TaskLease]]:
        """A job of an account, and those of its tasks that this node gets, which has registered."""
        supervisor = self.gateway.supervisor
        job: str = await supervisor.create_job(login, parse_job({"phases": list(phases) or [{"exec": "true"}]}))
        lines = [f"/jill/public/in{number}" for number in range(inputs)]
        for line in lines:
            await self.gateway.put(line, b"")
        await supervisor.add_inputs(supervisor.jobs.by_uuid(job), lines)
        grants = self.granted = (await self.poll()).pools
        return job, [task for grant in grants for task in grant.tasks]

    async def report(self, *attempts: wire.AttemptReport | Mapping[str, Any]) -> httpx.Response:
        told = [to_jsonable_python(each) for each in attempts]
        return await self.say("report", {"agent": self.agent, "state": {"seen": self.seen}, "attempts": told})


def ok(lease: wire.TaskLease, *outputs: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """The report of an attempt that went well."""
    return {"task": lease.task, "attempt": lease.attempt, "outcome": "ok", "outputs": list(outputs)} | changes


def output(name: str, blob: str, size: int = 1, **changes: Any) -> dict[str, Any]:
    """An output that the script named."""
    told = {"id": blob, "size": size, "md5": "1B2M2Y8AsgTpgAmY7PhCfg=="}
    return {"name": name, "blob": told | changes, "named": True}
