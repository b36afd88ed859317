"""What was asked of a real Nomad and recorded, and is asked of the fake one to see whether it answers alike.

A scenario is a list of questions in order, each waiting first until Nomad is so far. `perform` asks
them at any address; the answers, scrubbed, are the exchanges of a recording (a JSON file):

    {"nomad": "2.0.6", "scenario": …, "exchanges": [{"name", "method", "path", "status", "type", "body" | "text"}]}

Recorded by `python -m tests.support.nomad.nomad_scenarios ADDRESS DIR` against a dev agent whose scheduler
nobody else uses.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from scheduler.nomad.job_documents import Booking, Template, document

RECORDINGS = Path(__file__).parents[2] / "recordings" / "nomad-2.0.6"
JOB = "5f0c91aa-7c1e-4d0e-8b7a-2f1f6a3e9d10"
PATIENCE = 20.0
# `launcher` of these documents is /bin/sleep, and its socket the seconds.
SLEEP = Template("c1u5te12", "/bin/sleep", "3", node_pool="all", version=(2, 0, 6))
ANY = Booking(7, JOB, 0, 128, 2)
Answer = Any


@dataclass(frozen=True)
class Question:
    """`until`: ask again until the answer is so. `{index}` in a body is the job's modify index."""

    name: str
    method: str
    path: str
    body: Any = None
    until: Callable[[Any], bool] = lambda answer: True
    raw: bytes | None = None


def statuses(*wanted: str) -> Callable[[Any], bool]:
    return lambda answer: sorted(one["ClientStatus"] for one in answer) == sorted(wanted)


def blocked(answer: Any) -> bool:
    """One waits for room, and the one that found none says which."""
    return any(one["Status"] == "blocked" for one in answer) and any(one.get("BlockedEval") for one in answer)


def settled(answer: Any) -> bool:
    return bool(answer) and all(one["Status"] in ("complete", "canceled") for one in answer)


def register(booking: Booking, count: int, template: Template = SLEEP, name: str = "register") -> Question:
    return Question(name, "POST", f"/v1/job/{booking.id}", document(booking, count, template))


def purge(booking: Booking, name: str = "purge") -> Question:
    return Question(name, "DELETE", f"/v1/job/{booking.id}?purge=true")


def look(booking: Booking, what: str, until: Callable[[Any], bool], name: str = "") -> Question:
    return Question(name or what, "GET", f"/v1/job/{booking.id}/{what}", until=until)


def scale(booking: Booking, count: int, name: str, index: Any = "{index}", group: str = "instance") -> Question:
    body = {"Count": count, "Target": {"Group": group}, "Message": "", "JobModifyIndex": index}
    return Question(name, "POST", f"/v1/job/{booking.id}/scale", body)


BIG, WIDE = replace(ANY, memory_mb=9_000_000), replace(ANY, disk_gb=9_000_000)
ELSEWHERE = replace(ANY, node="nowhere")
BAD = replace(SLEEP, launcher="/bin/false")
GONE = replace(SLEEP, launcher="/opt/nonesuch/launcher")

SCENARIOS: dict[str, list[Question]] = {
    "life": [
        Question("self", "GET", "/v1/agent/self"),
        Question("leader", "GET", "/v1/status/leader"),
        Question("nodes", "GET", "/v1/nodes"),
        Question("plan", "POST", f"/v1/job/{ANY.id}/plan", {"Job": document(ANY, 2, SLEEP)["Job"], "Diff": True}),
        register(ANY, 2),
        register(ANY, 2, name="register again"),
        look(ANY, "allocations", statuses("running", "running"), "running"),
        Question("job", "GET", f"/v1/job/{ANY.id}"),
        Question("jobs", "GET", "/v1/jobs?prefix=remora.&meta=true"),
        look(ANY, "evaluations", settled),
        look(ANY, "allocations", statuses("complete", "complete"), "complete"),
        scale(ANY, 2, "scale to what has ended"),
        look(ANY, "allocations", statuses("complete", "complete", "running", "running"), "new version"),
        scale(ANY, 3, "scale from another version", index=1),
        scale(ANY, 3, "scale another group", group="nonesuch"),
        scale(ANY, 1, "scale down"),
        purge(ANY),
        purge(ANY, "purge again"),
        Question("job that is gone", "GET", f"/v1/job/{ANY.id}"),
        scale(ANY, 1, "scale what is gone", index=1),
        Question("no jobs", "GET", "/v1/jobs?prefix=remora.&meta=true"),
    ],
    "no_room": [
        register(BIG, 1, name="register big"),
        look(BIG, "evaluations", blocked, "no memory"),
        purge(BIG, "purge big"),
        register(WIDE, 1, name="register wide"),
        look(WIDE, "evaluations", blocked, "no disk"),
        purge(WIDE, "purge wide"),
        register(ELSEWHERE, 1, name="register elsewhere"),
        look(ELSEWHERE, "evaluations", blocked, "no such node"),
        scale(ELSEWHERE, 0, "withdraw"),
        look(ELSEWHERE, "evaluations", settled, "withdrawn"),
        purge(ELSEWHERE, "purge elsewhere"),
    ],
    "failures": [
        register(ANY, 1, BAD),
        look(ANY, "allocations", statuses("failed"), "exit code"),
        purge(ANY),
        register(ANY, 1, GONE, "register what is not there"),
        look(ANY, "allocations", statuses("failed"), "driver failure"),
        purge(ANY),
    ],
    "refusals": [
        Question("bad id", "POST", "/v1/jobs", {"Job": {**document(ANY, 1, SLEEP)["Job"], "ID": "a b"}}),
        Question("not JSON", "POST", "/v1/jobs", raw=b"{nonsense"),
        Question("no such path", "GET", "/v1/nonesuch"),
        Question("no such method", "PUT", "/v1/agent/self"),
        Question("no such evaluation", "GET", "/v1/evaluation/00000000-0000-0000-0000-000000000000"),
        Question("no such variable", "GET", "/v1/var/remora/nonesuch"),
    ],
    "drain": [
        Question("drain", "POST", "/v1/node/{node}/drain",
                 {"DrainSpec": {"Deadline": 60_000_000_000, "IgnoreSystemJobs": True}}),
        Question("drained", "GET", "/v1/nodes", until=lambda nodes: nodes[0]["SchedulingEligibility"] == "ineligible"
                 and not nodes[0]["Drain"]),
        Question("eligible", "POST", "/v1/node/{node}/eligibility", {"Eligibility": "eligible"}),
        Question("nodes", "GET", "/v1/nodes"),
    ],
}  # fmt: skip


async def perform(address: str, scenario: str) -> list[dict[str, Any]]:
    """Ask the questions of a scenario; the exchanges."""
    async with httpx.AsyncClient(base_url=address, timeout=30, trust_env=False) as http:
        node = (await http.get("/v1/nodes")).json()[0]["ID"]
        return [await _ask(http, question, node) for question in SCENARIOS[scenario]]


async def _ask(http: httpx.AsyncClient, question: Question, node: str) -> dict[str, Any]:
    body = question.body
    if isinstance(body, dict) and body.get("JobModifyIndex") == "{index}":
        job = (await http.get(question.path.removesuffix("/scale"))).json()
        body = {**body, "JobModifyIndex": job["JobModifyIndex"]}
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PATIENCE
    while True:
        sent: dict[str, Any] = {"content": question.raw} if question.raw else {"json": body} if body else {}
        answer = await http.request(question.method, question.path.replace("{node}", node), **sent)
        found = exchange(question, answer)
        if answer.status_code != 200 or "body" not in found or question.until(found["body"]):
            return found
        if loop.time() > deadline:
            raise TimeoutError(f"{question.name}: {answer.text[:500]}")
        await asyncio.sleep(0.05)


def exchange(question: Question, answer: httpx.Response) -> dict[str, Any]:
    kind = answer.headers.get("content-type", "").partition(";")[0]
    try:
        said: dict[str, Any] = {"body": answer.json()} if kind == "application/json" else {"text": answer.text}
    except ValueError:  # refusals of the event stream say that they are JSON
        said = {"text": answer.text}
    return {
        "name": question.name,
        "method": question.method,
        "path": question.path,
        "status": answer.status_code,
        "type": kind,
        **said,
    }


async def events(address: str, count: int) -> list[Any]:
    """The first frames after a registration, whatever they are about."""
    topics = [("topic", topic) for topic in ("Job", "Allocation", "Evaluation", "Node")]
    found: list[Any] = []
    async with httpx.AsyncClient(base_url=address, timeout=30, trust_env=False) as http:
        index = int((await http.get("/v1/jobs")).headers["x-nomad-index"])
        async with http.stream("GET", "/v1/event/stream", params=[*topics, ("index", str(index + 1))]) as stream:
            asked = False
            async for line in stream.aiter_lines():
                found.append(json.loads(line))
                if not asked:
                    question = register(ANY, 1, replace(SLEEP, socket="0"))
                    await http.post(question.path, json=question.body)
                    asked = True
                if len(found) >= count:
                    break
        await http.delete(purge(ANY).path)
    return found


def shape(value: Any, kinds: bool = True) -> Any:
    """What of an answer is compared: names and types, not values."""
    if isinstance(value, dict):
        return {key: shape(one) for key, one in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__ if kinds else None


HOSTILE = re.compile(r"(?i)token|secret|\bip[-_]?address\b|hostname")
ADDRESS = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b")
UUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
# Of nodes and agents only what somebody reads: the rest tells of the machine.
NODE = ("ID", "Name", "Status", "SchedulingEligibility", "Drain", "Version", "Datacenter", "NodePool", "NodeClass")


def scrub(value: Any, ids: dict[str, str]) -> Any:
    """No addresses, names of machines, paths or secrets; ids by number."""
    if isinstance(value, dict):
        if "SchedulingEligibility" in value:
            value = {key: one for key, one in value.items() if key in NODE} | {"Name": "n1"}
        if "config" in value and "stats" in value:
            value = {"config": {"Version": value["config"]["Version"]}}
        return {
            key: "n1" if key == "NodeName" else scrub(one, ids) for key, one in value.items() if not HOSTILE.search(key)
        }
    if isinstance(value, list):
        return [scrub(one, ids) for one in value]
    if isinstance(value, str):

        def number(match: re.Match[str]) -> str:
            if match[0] == JOB:
                return JOB
            return ids.setdefault(match[0], f"00000000-0000-0000-0000-{len(ids) + 1:012}")

        return UUID.sub(number, ADDRESS.sub("127.0.0.1:4646", value))
    return value


async def record(address: str, directory: Path) -> None:
    ids: dict[str, str] = {}
    for scenario in SCENARIOS:
        exchanges = await perform(address, scenario)
        save(directory / f"{scenario}.json", scenario, exchanges, ids)
    save(directory / "events.json", "events", await events(address, 8), ids)


def save(path: Path, scenario: str, exchanges: list[Any], ids: dict[str, str]) -> None:
    document = {"nomad": "2.0.6", "scenario": scenario, "exchanges": scrub(exchanges, ids)}
    path.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    asyncio.run(record(sys.argv[1], Path(sys.argv[2])))
