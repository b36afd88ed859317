"""The fake Nomad, with what only an operator asks for: job files, deployments, policies, settings.

A job file is not understood, but known: its name is looked up, and the document is the one that the real Nomad
made of it (`tests/golden`), with the counts that the file has now. A job's allocations are placed by
hand: `come_up` runs so many of the newest version, and Nomad's deployment says that they are healthy.
"""

from __future__ import annotations

import json
import re
import uuid
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.support.nomad.fake_nomad import FakeNomad
from tests.support.nomad.fake_scheduler import Node

GOLDEN = Path(__file__).parents[2] / "golden"
Json = dict[str, Any]


class OperatedNomad(FakeNomad):
    """`ups`: jobs come up by themselves once they are registered. `trouble`: what their tasks say instead, by job."""

    def __init__(self, *nodes: Node, ups: bool = True, acl: bool = False, oversubscription: bool = True) -> None:
        super().__init__(*nodes)
        self.ups = ups
        self.acl = acl
        self.oversubscription = oversubscription
        self.trouble: dict[str, str] = {}
        self.failed: dict[str, str] = {}  # deployments that Nomad gave up, and why
        self.said = ""  # the log of every task
        self.policies: dict[str, Json] = {}
        self.spaces = ["default"]

    async def _route(self, request: web.Request) -> web.StreamResponse:
        for pattern, handler in OPERATORS.items():
            if match := re.fullmatch(pattern, f"{request.method} {request.path}"):
                answer: web.StreamResponse = await handler(self, request, *match.groups())
                return answer
        return await super()._route(request)

    async def parse(self, request: web.Request) -> web.Response:
        text = (await request.json())["JobHCL"]
        name = re.search(r'(?m)^job "remora-(\w+)"', text)
        if name is None:
            return web.Response(status=400, text="Failed to parse job: input.hcl:1,1: Argument or block required")
        job: Json = json.loads((GOLDEN / f"nomad_{name[1]}.json").read_text())["Job"]
        count = re.search(rf'(?m)^variable "{name[1]}s" {{\n.*\n +default = (\d+)', text)
        if count:
            job["TaskGroups"][0]["Count"] = int(count[1])
        return self._json(job)

    async def plan(self, request: web.Request, job_id: str) -> web.Response:
        job, had = (await request.json())["Job"], self.jobs.get(job_id)
        count, before = (one and one["TaskGroups"][0].get("Count") for one in (job, had))
        diff: Json = {"Type": "Added" if had is None else "None", "ID": job_id}
        if had is not None and job.get("Meta") != had.get("Meta"):
            diff["Type"] = "Edited"
        if had is not None and count != before:
            field = {"Type": "Edited", "Name": "Count", "Old": str(before), "New": str(count)}
            group = {"Type": "Edited", "Name": job["TaskGroups"][0]["Name"], "Fields": [field]}
            diff |= {"Type": "Edited", "TaskGroups": [group]}
        lacking = {} if self.nodes else {job["TaskGroups"][0]["Name"]: {"NodesEvaluated": 0}}
        return self._json(
            {"Diff": diff, "FailedTGAllocs": lacking, "JobModifyIndex": had["JobModifyIndex"] if had else 0}
        )

    def _evaluate(self, job_id: str, why: str) -> Json:
        """Our own jobs are placed by `come_up`."""
        if not job_id.startswith("remora-"):
            return super()._evaluate(job_id, why)
        if self.ups:
            self.come_up(job_id)
        return {
            "EvalID": str(uuid.uuid4()),
            "EvalCreateIndex": self.index,
            "Index": self.index,
            "JobModifyIndex": self.index,
        }

    def wanted(self, job: Json) -> int:
        return len(self.nodes) if job["Type"] == "system" else int(job["TaskGroups"][0]["Count"])

    def come_up(self, job_id: str) -> None:
        """The newest version runs, as often as it should; the version before does not."""
        job = self.jobs[job_id]
        self.allocations = [one for one in self.allocations if one["JobID"] != job_id]
        names = sorted(self.nodes)
        for number in range(self.wanted(job)):
            self.allocations.append(self.allocation(job, self.nodes[names[number % len(names)]]))

    def allocation(self, job: Json, node: Node) -> Json:
        said = self.trouble.get(job["ID"])
        event = {
            "Type": "Terminated" if said else "Started",
            "DisplayMessage": said or "Task started",
            "Time": self.index,
        }
        return {
            "ID": str(uuid.uuid4()), "JobID": job["ID"], "JobVersion": job["Version"], "NodeID": node.id,
            "NodeName": node.name, "DesiredStatus": "run", "ClientStatus": "pending" if said else "running",
            "DeploymentStatus": {"Healthy": not said}, "TaskStates": {"task": {"Events": [event]}},
            "ModifyIndex": self.index,
        }  # fmt: skip

    async def deployment(self, request: web.Request, job_id: str) -> web.Response:
        job = self.jobs[job_id]
        failed = self.failed.get(job_id, "")
        group = {"DesiredTotal": self.wanted(job)}
        return self._json({"JobVersion": job["Version"], "TaskGroups": {"group": group},
                           "Status": "failed" if failed else "running", "StatusDescription": failed})  # fmt: skip

    async def settings(self, request: web.Request) -> web.Response:
        return self._json({"SchedulerConfig": {"MemoryOversubscriptionEnabled": self.oversubscription}})

    async def about(self, request: web.Request) -> web.Response:
        version = {"Version": self._version, "VersionPrerelease": "", "VersionMetadata": ""}
        return self._json({"config": {"Version": version, "ACL": {"Enabled": self.acl}}})

    async def policy(self, request: web.Request, name: str) -> web.Response:
        if request.method == "GET":
            return (
                self._json(self.policies[name])
                if name in self.policies
                else web.Response(status=404, text="ACL policy not found")
            )
        self.policies[name] = await request.json()
        return web.Response()

    async def logs(self, request: web.Request, allocation: str) -> web.Response:
        return web.Response(text=self.said)

    async def service(self, request: web.Request, name: str) -> web.Response:
        running = [one for one in self.of(name) if one["ClientStatus"] == "running"]
        return self._json([{"Address": f"{one['NodeName']}.example", "Port": 8080} for one in running])

    async def namespaces(self, request: web.Request, name: str = "") -> web.Response:
        if request.method == "GET":
            return self._json([{"Name": name} for name in self.spaces])
        self.spaces.append((await request.json())["Name"])
        return web.Response()


OPERATORS = {
    "(?:POST|PUT) /v1/jobs/parse": OperatedNomad.parse,
    "(?:POST|PUT) /v1/job/(remora-[a-z]+)/plan": OperatedNomad.plan,
    "GET /v1/job/([^/]+)/deployment": OperatedNomad.deployment,
    "GET /v1/operator/scheduler/configuration": OperatedNomad.settings,
    "GET /v1/agent/self": OperatedNomad.about,
    "(?:GET|POST) /v1/acl/policy/([^/]+)": OperatedNomad.policy,
    "GET /v1/client/fs/logs/([^/]+)": OperatedNomad.logs,
    "GET /v1/service/([^/]+)": OperatedNomad.service,
    "(?:GET|POST|PUT) /v1/namespaces?": OperatedNomad.namespaces,
}
