"""The client of Nomad's API: some twenty calls, each of which returns an answer or raises a
one-sentence error.

Plain calls go through python-nomad, in threads, a client in each; it lacks scaling, blocking
queries and a reliable event stream, and these go through httpx. Both check the server's
certificate, send the token, and name namespace and region as the `NOMAD_*` variables of the
environment say (`access`).

Every failure is a `NomadError` (`errors`), a sentence that names what was wanted and what Nomad
answered. Transient errors (429, 5xx, a broken connection) are retried a few times with exponential
back-off: every request is safe to repeat, because registering and scaling name the version that
they start from.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
import nomad
import requests
from nomad.api.exceptions import BaseNomadException

from scheduler.common.backoff import Backoff
from scheduler.nomad.access import Access
from scheduler.nomad.errors import (
    FORBIDDEN,
    ConflictError,
    MissingError,
    NomadError,
    refusal,
    silent,
    tokenless,
    translated,
)
from scheduler.nomad.transport import adapter_of, context_of

__all__ = ["Access", "ConflictError", "Json", "MissingError", "NomadApi", "NomadError", "parse_version", "why_too_old"]

Json = dict[str, Any]

# Concurrent connections, of the hundred that Nomad grants an address.
THREADS = 4
STREAMS = 8
# Timeouts in seconds.
CONNECT_TIMEOUT = 3.0
TIMEOUT = 10.0
# A stream sends a sign of life every 30 seconds at least.
SILENCE = 75.0
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 2.0
TRIES = 4
OLDEST = (1, 7, 0)
LOG_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of Nomad's: its items, and its modify index."""

    items: dict[str, str]
    index: int


class NomadApi:
    """A client of Nomad. Used on one event loop. Call `close` at the end."""

    def __init__(self, access: Access, pause: float = FIRST_PAUSE, timeout: float = TIMEOUT) -> None:
        self.access = access
        self._pause = pause
        self._timeout = timeout
        self._threads = ThreadPoolExecutor(THREADS, "nomad")
        self._local = threading.local()
        self._sessions: list[requests.Session] = []
        self._http = self._open_http()

    async def close(self) -> None:
        await self._http.aclose()
        self._threads.shutdown(wait=False, cancel_futures=True)
        for session in self._sessions:
            session.close()

    # -- jobs --------------------------------------------------------------------------------

    async def register(self, document: Json) -> str:
        """Register a document of `job_documents`, with its condition; the evaluation's id. Raises ConflictError."""
        job = document["Job"]["ID"]
        answer = await self._plain(f"register job {job}", lambda n: n.job.register_job(job, dict(document)))
        return str(answer["EvalID"])

    async def plan(self, document: Json) -> Json:
        """The changes that a registration would make, and the instances that could not be placed."""
        job = document["Job"]["ID"]
        body = {"Job": document["Job"], "Diff": True}
        return await self._one(f"plan job {job}", lambda n: n.job.plan_job(job, dict(body)))

    async def parse(self, text: str, variables: str = "") -> Json:
        """The job in a file in HCL."""
        body = {"JobHCL": text, "Variables": variables, "Canonicalize": False}
        return await self._one("parse a job file", lambda n: _body(n.jobs.request("parse", json=body, method="post")))

    async def jobs(self, prefix: str = "") -> list[Json]:
        """Jobs whose ids begin with `prefix`, as summaries with `Meta`."""
        params = {"prefix": prefix, "meta": "true"}
        found = await self._plain("list jobs", lambda n: _body(n.jobs.request(method="get", params=dict(params))))
        return list(found)

    async def job(self, job: str) -> Json:
        """The job with this id. Raises MissingError."""
        return await self._one(f"show job {job}", lambda n: n.job.get_job(job))

    async def allocations(self, job: str) -> list[Json]:
        """All allocations of a job, ended ones included, as summaries."""
        return list(await self._plain(f"list allocations of job {job}", lambda n: n.job.get_allocations(job)))

    async def evaluations(self, job: str) -> list[Json]:
        return list(await self._plain(f"list evaluations of job {job}", lambda n: n.job.get_evaluations(job)))

    async def evaluation(self, evaluation: str) -> Json:
        """The evaluation with this id. Raises MissingError."""
        wanted = {"namespace": self.access.namespace}
        return await self._one(
            f"show evaluation {evaluation}",
            lambda n: _body(n.evaluation.request(evaluation, method="get", params=dict(wanted))),
        )

    async def scale(self, job: str, group: str, count: int, index: int | None = None, why: str = "") -> str:
        """Set a count, if the job's modify index is `index`; returns the evaluation's id.

        Raises ConflictError, MissingError.
        """
        body: Json = {"Count": count, "Target": {"Group": group}, "Message": why}
        if index is not None:
            body["JobModifyIndex"] = index
        answer = await self._http_json(f"scale job {job} to {count}", "POST", f"/v1/job/{quote(job, '')}/scale", body)
        return str(answer["EvalID"])

    async def stop(self, job: str, purge: bool = False) -> None:
        """Stop a job and, by `purge`, remove it. No error if there is none."""
        with contextlib.suppress(MissingError):
            await self._plain(f"stop job {job}", lambda n: n.job.deregister_job(job, purge=purge or None))

    # -- nodes and servers -------------------------------------------------------------------

    async def version(self) -> tuple[int, int, int]:
        """The version of the Nomad agent that answers."""
        answer = await self._plain("show its version", lambda n: n.agent.get_agent())
        return parse_version(str(answer["config"]["Version"]["Version"]))

    async def leader(self) -> str:
        return str(await self._plain("name its leader", lambda n: n.status.leader.get_leader()))

    async def nodes(self) -> list[Json]:
        """All nodes as summaries: `ID`, `Name`, `Status`, `SchedulingEligibility`, `Drain`, and their resources."""
        params = {"resources": "true"}
        return list(await self._plain("list nodes", lambda n: _body(n.nodes.request(method="get", params=params))))

    async def node(self, node: str) -> Json:
        """The node with this id. Raises MissingError."""
        return await self._one(f"show node {node}", lambda n: n.node.get_node(node))

    async def node_allocations(self, node: str) -> list[Json]:
        return list(await self._plain(f"list allocations of node {node}", lambda n: n.node.get_allocations(node)))

    async def drain(self, node: str, seconds: float | None, keep_system: bool = True) -> None:
        """Drain a node within so many seconds (None: no limit), or end the drain (0)."""
        spec = {"Deadline": -1 if seconds is None else int(seconds * 1e9), "IgnoreSystemJobs": keep_system}
        wanted = None if seconds == 0 else spec
        await self._plain(
            f"drain node {node}", lambda n: n.node.drain_node_with_spec(node, wanted, mark_eligible=seconds == 0)
        )

    async def set_eligible(self, node: str, eligible: bool) -> None:
        kind = {"eligible": True} if eligible else {"ineligible": True}
        await self._plain(f"make node {node} eligible or not", lambda n: n.node.eligible_node(node, **kind))

    async def ask(self, what: str, method: str, path: str, body: Json | None = None) -> Any:
        """Make any other request; `what` names it in the error's sentence. Raises MissingError."""
        return await self._http_json(what, method, path, body)

    async def log(self, allocation: str, task: str, size: int = LOG_BYTES) -> str:
        """The last bytes of what a task of an allocation has written to its standard error."""
        params = {"task": task, "type": "stderr", "origin": "end", "offset": str(size), "plain": "true"}
        what = f"show the log of allocation {allocation}"

        async def work() -> str:
            try:
                answer = await self._http.get(
                    f"/v1/client/fs/logs/{allocation}", params=self._merged(httpx.QueryParams(params))
                )
            except httpx.HTTPError as error:
                raise silent(what, error) from error
            if answer.status_code != httpx.codes.OK:
                raise refusal(what, answer.status_code, answer.text)
            return answer.text

        return str(await self._patiently(what, work))

    # -- namespaces and variables ------------------------------------------------------------

    async def namespaces(self) -> list[str]:
        found = await self._plain("list namespaces", lambda n: n.namespaces.get_namespaces())
        return [str(namespace["Name"]) for namespace in found]

    async def make_namespace(self, name: str, description: str = "") -> None:
        """Make a namespace. No error if it exists."""
        body = {"Name": name, "Description": description}
        await self._plain(f"make namespace {name}", lambda n: n.namespace.request(json=body, method="post"))

    async def variable(self, path: str) -> Variable:
        """The variable with this path. Raises MissingError."""
        space = self.access.namespace
        answer = await self._plain(f"show variable {path}", lambda n: n.variable.get_variable(path, namespace=space))
        return Variable(dict(answer["Items"]), int(answer["ModifyIndex"]))

    async def put_variable(self, path: str, items: Mapping[str, str], index: int | None = None) -> int:
        """Write a variable, if its modify index is `index` (0: if it does not exist); returns the new one.

        Raises ConflictError.
        """
        space = self.access.namespace
        body = {"Path": path, "Namespace": space, "Items": dict(items)}
        answer = await self._plain(
            f"write variable {path}",
            lambda n: n.variable.create_variable(path, dict(body), namespace=space, cas=index),
        )
        return int(answer["ModifyIndex"])

    # -- long polls and streams -----------------------------------------------------------------

    async def wait(self, path: str, index: int, seconds: float = 60.0) -> tuple[int, Any]:
        """Make a blocking query: the new index and the answer, once the index is above `index` or the time is over."""
        params = {"index": str(index), "wait": f"{int(seconds)}s"}
        what = f"wait for {path}"
        try:
            answer = await self._http.get(path, params=params, timeout=seconds + seconds / 16 + self._timeout)
        except httpx.HTTPError as error:
            raise silent(what, error) from error
        return int(answer.headers.get("x-nomad-index", 0)), _read(what, answer)

    async def events(self, topics: Sequence[str], index: int = 0) -> AsyncIterator[Json]:
        """Frames of the event stream from `index` on: `{"Index", "Events"}`, or `{}` as a sign of life.

        Ends with NomadError only.
        """
        params = httpx.QueryParams([*(("topic", topic) for topic in topics), ("index", str(index))])
        what = "stream events"
        limit = httpx.Timeout(SILENCE, connect=CONNECT_TIMEOUT)
        try:
            async with self._http.stream(
                "GET", "/v1/event/stream", params=self._merged(params), timeout=limit
            ) as answer:
                if answer.status_code != httpx.codes.OK:
                    raise refusal(what, answer.status_code, (await answer.aread()).decode(errors="replace"))
                async for line in answer.aiter_lines():
                    yield _frame(line)
        except httpx.HTTPError as error:
            raise silent(what, error) from error
        raise NomadError(f"Nomad did not {what}: it closed the connection", passing=True)

    def _merged(self, params: httpx.QueryParams) -> httpx.QueryParams:
        for name, value in self._http.params.items():
            params = params.set(name, value)
        return params

    # -- transport -------------------------------------------------------------------------------

    async def _one(self, what: str, call: Callable[[Any], Any]) -> Json:
        return dict(await self._plain(what, call))

    async def _plain(self, what: str, call: Callable[[Any], Any]) -> Any:
        """Run a call of python-nomad in a thread."""

        def work() -> Any:
            """Call, and turn the library's exceptions into a NomadError."""
            try:
                return call(self._client())
            except BaseNomadException as error:
                raise translated(what, error) from None  # its text may contain the items of a variable
            except (requests.RequestException, ValueError) as error:
                raise silent(what, error) from error

        return await self._patiently(what, lambda: asyncio.get_running_loop().run_in_executor(self._threads, work))

    async def _http_json(self, what: str, method: str, path: str, body: Json | None) -> Any:
        async def work() -> Any:
            try:
                return _read(what, await self._http.request(method, path, json=body))
            except httpx.HTTPError as error:
                raise silent(what, error) from error

        return await self._patiently(what, work)

    async def _patiently(self, what: str, work: Callable[[], Any]) -> Any:
        """Run `work`, and retry transient errors a few times."""
        backoff = Backoff(self._pause, LONGEST_PAUSE)
        for _ in range(TRIES - 1):
            try:
                return await work()
            except NomadError as error:
                if error.status in FORBIDDEN and not self.access.token:
                    raise tokenless(what, error.status) from None
                if not error.passing:
                    raise
            await asyncio.sleep(backoff.next())
        return await work()

    def _client(self) -> Any:
        """The client of the calling thread: a session must not be shared."""
        if (client := getattr(self._local, "client", None)) is None:
            session = requests.Session()
            session.trust_env = False
            adapter = adapter_of(self.access)
            session.mount("https://", adapter)
            session.mount("http://", adapter)
            self._sessions.append(session)
            client = self._local.client = nomad.Nomad(
                address=self.access.base,
                namespace=self.access.namespace,
                token=self.access.token,
                region=self.access.region,
                verify=self.access.verify,
                cert=self.access.certificate or (),
                timeout=(CONNECT_TIMEOUT, self._timeout),
                session=session,
            )
        return client

    def _open_http(self) -> httpx.AsyncClient:
        access = self.access
        params = {"namespace": access.namespace} | ({"region": access.region} if access.region else {})

        async def named(request: httpx.Request) -> None:
            if access.server_name:
                request.extensions["sni_hostname"] = access.server_name

        return httpx.AsyncClient(
            base_url=access.base,
            params=params,
            headers={"X-Nomad-Token": access.token} if access.token else {},
            transport=httpx.AsyncHTTPTransport(
                verify=context_of(access),
                limits=httpx.Limits(max_connections=STREAMS),
                trust_env=False,
                uds=access.socket,
            ),
            timeout=httpx.Timeout(self._timeout, connect=CONNECT_TIMEOUT),
            trust_env=False,
            event_hooks={"request": [named]},
        )


def why_too_old(version: tuple[int, int, int]) -> str | None:
    """The reason why a version of Nomad will not do, as a sentence."""
    told, oldest = (".".join(map(str, one)) for one in (version, OLDEST))
    return f"this Nomad is {told}; it takes {oldest} or newer" if version < OLDEST else None


def parse_version(text: str) -> tuple[int, int, int]:
    """`1.10.3-beta.1+ent` → (1, 10, 3)."""
    numbers = [int(part) if part.isdigit() else 0 for part in text.partition("-")[0].partition("+")[0].split(".")]
    major, minor, patch = [*numbers, 0, 0, 0][:3]
    return major, minor, patch


def _read(what: str, answer: httpx.Response) -> Any:
    if answer.status_code != httpx.codes.OK:
        raise refusal(what, answer.status_code, answer.text)
    if not answer.content:
        return None
    try:
        return answer.json()
    except ValueError as error:
        raise silent(what, error) from error


def _body(answer: requests.Response) -> Any:
    return answer.json()


def _frame(line: str) -> Json:
    try:
        frame = json.loads(line) if line.strip() else {}
    except ValueError as error:
        raise silent("stream events", error) from error
    if not isinstance(frame, dict):
        raise NomadError("Nomad did not stream events: what it sent is none", passing=True)
    return frame
