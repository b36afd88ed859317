"""What we ask of Nomad: some twenty calls, each with one answer or one sentence.

Plain calls go through python-nomad, in threads, a client in each; it lacks scaling, blocking
queries and an event stream that can be trusted, and these go through httpx. Both check the
server's certificate, send the token, and name namespace and region as the `NOMAD_*`
variables of the environment say (`Access.from_environment`).

Whatever goes wrong is a `NomadError`, a sentence that names what was wanted and what Nomad
said. Nomad answers most refusals in plain text, and many of them with 500, a conflict and a
bad document too, so the text decides what is what:

- `ConflictError`: somebody was faster, or we were, and have not heard the answer.
- `MissingError`: there is no such thing.
- `passing`: trouble of Nomad's own (429, 5xx, no leader, silence, a closed connection). Such
  requests are tried again, with growing pauses, a few times: none of them can do harm twice,
  because registering and scaling name the version that they start from.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import nomad
import requests
from nomad.api.exceptions import BaseNomadException
from requests.adapters import HTTPAdapter

Json = dict[str, Any]

DEFAULT_ADDRESS = "http://127.0.0.1:4646"
# Connections, of the hundred that Nomad grants an address.
THREADS = 4
STREAMS = 8
# Seconds.
CONNECT_TIMEOUT = 3.0
TIMEOUT = 10.0
# A stream says something every 30 seconds at least.
SILENCE = 75.0
FIRST_PAUSE = 0.2
TRIES = 4
# Of what Nomad says, in a sentence.
LONGEST_TEXT = 400
# Why there is no connection, in the system's words.
REASON = re.compile(r"\[Errno -?\d+\] ([^\[\]'\"()<>]+)")


class NomadError(Exception):
    """One sentence. `status` is that of the answer, 0 if there was none; `passing`: it may work a little later."""

    def __init__(self, sentence: str, status: int = 0, passing: bool = False) -> None:
        super().__init__(sentence)
        self.status = status
        self.passing = passing


class ConflictError(NomadError):
    """The job is there already, or is another version than was thought."""


class MissingError(NomadError):
    """There is no such thing."""


@dataclass(frozen=True, slots=True)
class Access:
    """Where Nomad is and who we are."""

    address: str = DEFAULT_ADDRESS
    token: str | None = field(default=None, repr=False)
    namespace: str = "default"
    region: str | None = None
    verify: bool | str = True  # a file or a directory of certificates, or those of the system
    certificate: tuple[str, str] | None = None  # files: certificate, key
    server_name: str | None = None  # that the certificate must have, if not the address's

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Access:
        """By the variables that Nomad's own command knows. Raises NomadError."""
        get = {name: value for name, value in environment.items() if name.startswith("NOMAD_") and value}.get
        address = get("NOMAD_ADDR", DEFAULT_ADDRESS).rstrip("/")
        try:
            parts = urlsplit(address)
            whole = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1) and not parts.path
        except ValueError:
            whole = False
        if not whole:
            raise NomadError(f"NOMAD_ADDR is no address such as https://nomad.example:4646: {address!r}")
        pair = get("NOMAD_CLIENT_CERT"), get("NOMAD_CLIENT_KEY")
        if (pair[0] is None) != (pair[1] is None):
            raise NomadError("of NOMAD_CLIENT_CERT and NOMAD_CLIENT_KEY only one is set")
        authority = get("NOMAD_CACERT") or get("NOMAD_CAPATH")
        for path in (*pair, authority):
            if path is not None and not os.access(path, os.R_OK):
                raise NomadError(f"a certificate that NOMAD_* names cannot be read: {path!r}")
        insecure = get("NOMAD_SKIP_VERIFY", "").lower() in ("1", "t", "true")
        return cls(
            address,
            get("NOMAD_TOKEN"),
            get("NOMAD_NAMESPACE", "default"),
            get("NOMAD_REGION"),
            False if insecure else authority or True,
            (pair[0], pair[1]) if pair[0] and pair[1] else None,
            get("NOMAD_TLS_SERVER_NAME"),
        )


class NomadApi:
    """Used on one event loop. Call `close`."""

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
        """Register what `documents` made, a job with its condition; the evaluation's id. Raises ConflictError."""
        job = document["Job"]["ID"]
        answer = await self._plain(f"register job {job}", lambda n: n.job.register_job(job, dict(document)))
        return str(answer["EvalID"])

    async def plan(self, document: Json) -> Json:
        """What registering would change, and which instances would find no place."""
        job = document["Job"]["ID"]
        body = {"Job": document["Job"], "Diff": True}
        return await self._one(f"plan job {job}", lambda n: n.job.plan_job(job, dict(body)))

    async def parse(self, text: str, variables: str = "") -> Json:
        """The job of a file in HCL."""
        body = {"JobHCL": text, "Variables": variables, "Canonicalize": False}
        return await self._one("parse a job file", lambda n: _body(n.jobs.request("parse", json=body, method="post")))

    async def jobs(self, prefix: str = "") -> list[Json]:
        """Jobs whose ids begin so, in short, with `Meta`."""
        params = {"prefix": prefix, "meta": "true"}
        found = await self._plain("list jobs", lambda n: _body(n.jobs.request(method="get", params=dict(params))))
        return list(found)

    async def job(self, job: str) -> Json:
        """Raises MissingError."""
        return await self._one(f"show job {job}", lambda n: n.job.get_job(job))

    async def allocations(self, job: str) -> list[Json]:
        """All that a job has had, in short."""
        return list(await self._plain(f"list allocations of job {job}", lambda n: n.job.get_allocations(job)))

    async def evaluations(self, job: str) -> list[Json]:
        return list(await self._plain(f"list evaluations of job {job}", lambda n: n.job.get_evaluations(job)))

    async def evaluation(self, evaluation: str) -> Json:
        """Raises MissingError."""
        wanted = {"namespace": self.access.namespace}
        return await self._one(
            f"show evaluation {evaluation}",
            lambda n: _body(n.evaluation.request(evaluation, method="get", params=dict(wanted))),
        )

    async def scale(self, job: str, group: str, count: int, index: int | None = None, why: str = "") -> str:
        """Set a count, if the job's modify index is `index`; the evaluation's id.

        Raises ConflictError, MissingError.
        """
        body: Json = {"Count": count, "Target": {"Group": group}, "Message": why}
        if index is not None:
            body["JobModifyIndex"] = index
        answer = await self._http_json(f"scale job {job} to {count}", "POST", f"/v1/job/{quote(job, '')}/scale", body)
        return str(answer["EvalID"])

    async def stop(self, job: str, purge: bool = False) -> None:
        """Stop a job and, by `purge`, forget it. Harmless if there is none."""
        with contextlib.suppress(MissingError):
            await self._plain(f"stop job {job}", lambda n: n.job.deregister_job(job, purge=purge or None))

    # -- nodes and servers -------------------------------------------------------------------

    async def version(self) -> tuple[int, int, int]:
        """Of the agent that we ask."""
        answer = await self._plain("show its version", lambda n: n.agent.get_agent())
        return parse_version(str(answer["config"]["Version"]["Version"]))

    async def leader(self) -> str:
        return str(await self._plain("name its leader", lambda n: n.status.leader.get_leader()))

    async def nodes(self) -> list[Json]:
        """In short: `ID`, `Name`, `Status`, `SchedulingEligibility`, `Drain`, `Version`."""
        return list(await self._plain("list nodes", lambda n: n.nodes.get_nodes()))

    async def node(self, node: str) -> Json:
        """Raises MissingError."""
        return await self._one(f"show node {node}", lambda n: n.node.get_node(node))

    async def node_allocations(self, node: str) -> list[Json]:
        return list(await self._plain(f"list allocations of node {node}", lambda n: n.node.get_allocations(node)))

    async def drain(self, node: str, seconds: float | None, keep_system: bool = True) -> None:
        """Have a node emptied within so many seconds (None: no limit), or no longer drained (0)."""
        spec = {"Deadline": -1 if seconds is None else int(seconds * 1e9), "IgnoreSystemJobs": keep_system}
        wanted = None if seconds == 0 else spec
        await self._plain(
            f"drain node {node}", lambda n: n.node.drain_node_with_spec(node, wanted, mark_eligible=seconds == 0)
        )

    async def set_eligible(self, node: str, eligible: bool) -> None:
        kind = {"eligible": True} if eligible else {"ineligible": True}
        await self._plain(f"make node {node} eligible or not", lambda n: n.node.eligible_node(node, **kind))

    async def ask(self, what: str, method: str, path: str, body: Json | None = None) -> Any:
        """Whatever else there is to ask; `what` is for the sentence if it fails. Raises MissingError."""
        return await self._http_json(what, method, path, body)

    # -- namespaces and variables ------------------------------------------------------------

    async def namespaces(self) -> list[str]:
        found = await self._plain("list namespaces", lambda n: n.namespaces.get_namespaces())
        return [str(namespace["Name"]) for namespace in found]

    async def make_namespace(self, name: str, description: str = "") -> None:
        """Harmless if there is one."""
        body = {"Name": name, "Description": description}
        await self._plain(f"make namespace {name}", lambda n: n.namespace.request(json=body, method="post"))

    async def variable(self, path: str) -> dict[str, str]:
        """The items of a variable. Raises MissingError."""
        space = self.access.namespace
        answer = await self._plain(f"show variable {path}", lambda n: n.variable.get_variable(path, namespace=space))
        return dict(answer["Items"])

    async def put_variable(self, path: str, items: Mapping[str, str], index: int | None = None) -> None:
        """Write a variable, if its modify index is `index` (0: if there is none). Raises ConflictError."""
        space = self.access.namespace
        body = {"Path": path, "Namespace": space, "Items": dict(items)}
        await self._plain(
            f"write variable {path}",
            lambda n: n.variable.create_variable(path, dict(body), namespace=space, cas=index),
        )

    # -- what comes when it comes ------------------------------------------------------------

    async def wait(self, path: str, index: int, seconds: float = 60.0) -> tuple[int, Any]:
        """A blocking query: the new index and the answer, once that is above `index` or the time is over."""
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

    # -- how -----------------------------------------------------------------------------------

    async def _one(self, what: str, call: Callable[[Any], Any]) -> Json:
        return dict(await self._plain(what, call))

    async def _plain(self, what: str, call: Callable[[Any], Any]) -> Any:
        """Run a call of python-nomad in a thread."""

        def work() -> Any:
            try:
                return call(self._client())
            except BaseNomadException as error:
                raise _translated(what, error) from None  # its text may be what is in a variable
            except (requests.RequestException, ValueError) as error:
                raise silent(what, error) from error

        return await self._patiently(lambda: asyncio.get_running_loop().run_in_executor(self._threads, work))

    async def _http_json(self, what: str, method: str, path: str, body: Json | None) -> Any:
        async def work() -> Any:
            try:
                return _read(what, await self._http.request(method, path, json=body))
            except httpx.HTTPError as error:
                raise silent(what, error) from error

        return await self._patiently(work)

    async def _patiently(self, work: Callable[[], Any]) -> Any:
        """A few tries of what may pass."""
        pause = self._pause
        for _ in range(TRIES - 1):
            try:
                return await work()
            except NomadError as error:
                if not error.passing:
                    raise
            await asyncio.sleep(pause)
            pause *= 2
        return await work()

    def _client(self) -> Any:
        """The client of the thread that asks: a session is not to be shared."""
        if (client := getattr(self._local, "client", None)) is None:
            session = requests.Session()
            session.trust_env = False
            adapter = _NamedAdapter(self.access.server_name)
            session.mount("https://", adapter)
            session.mount("http://", adapter)
            self._sessions.append(session)
            client = self._local.client = nomad.Nomad(
                address=self.access.address,
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
            base_url=access.address,
            params=params,
            headers={"X-Nomad-Token": access.token} if access.token else {},
            verify=_context(access),
            timeout=httpx.Timeout(self._timeout, connect=CONNECT_TIMEOUT),
            limits=httpx.Limits(max_connections=STREAMS),
            trust_env=False,
            event_hooks={"request": [named]},
        )


class _NamedAdapter(HTTPAdapter):
    """One connection, and the name that its certificate must have."""

    def __init__(self, server_name: str | None) -> None:
        self._named: dict[str, Any] = {}
        if server_name:
            self._named = {"server_hostname": server_name, "assert_hostname": server_name}
        super().__init__(pool_connections=1, pool_maxsize=1)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **options: Any) -> None:
        super().init_poolmanager(connections, maxsize, block, **(options | self._named))


def _context(access: Access) -> ssl.SSLContext | bool:
    """How httpx checks certificates. Raises NomadError."""
    if not access.address.startswith("https:"):
        return True
    try:
        context = ssl.create_default_context()
        if isinstance(access.verify, str):
            is_file = os.path.isfile(access.verify)
            context.load_verify_locations(**{"cafile" if is_file else "capath": access.verify})
        elif not access.verify:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if access.certificate:
            context.load_cert_chain(*access.certificate)
    except (OSError, ssl.SSLError) as error:
        raise NomadError(f"the certificates that NOMAD_* name are of no use: {error}") from error
    return context


def parse_version(text: str) -> tuple[int, int, int]:
    """`1.10.3-beta.1+ent` → (1, 10, 3)."""
    numbers = [int(part) if part.isdigit() else 0 for part in text.partition("-")[0].partition("+")[0].split(".")]
    major, minor, patch = [*numbers, 0, 0, 0][:3]
    return major, minor, patch


def refusal(what: str, status: int, text: str) -> NomadError:
    """The error that an answer means."""
    told = "".join(character for character in " ".join(text.split()) if character.isprintable())[:LONGEST_TEXT]
    said = told.replace("error occurred: * ", "error occurred: ") or "nothing more"
    if status == httpx.codes.NOT_FOUND:
        return MissingError(f"Nomad did not {what}: {said}", status)
    if status == httpx.codes.CONFLICT:  # what it says then is what is in a variable
        return ConflictError(f"Nomad did not {what}, because somebody else was faster", status)
    if status >= 500 and "Enforcing job modify index" in told:
        return ConflictError(f"Nomad did not {what}, because somebody else was faster: {said}", status)
    if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        return NomadError(f"Nomad did not {what}: the token in NOMAD_TOKEN does not allow it ({said})", status)
    passing = status == httpx.codes.TOO_MANY_REQUESTS or (status >= 500 and not _is_invalid(told))
    return NomadError(f"Nomad did not {what}: {status}, {said}", status, passing)


def _is_invalid(text: str) -> bool:
    """Documents that are wrong are answered with 500 and a list of what is."""
    return "error occurred" in text or "errors occurred" in text


def silent(what: str, error: Exception) -> NomadError:
    """The error that no answer means, or one that cannot be read."""
    name = type(error).__name__
    if isinstance(error, httpx.TimeoutException | requests.Timeout):
        return NomadError(f"Nomad did not {what}: it does not answer in time", passing=True)
    if isinstance(error, ValueError) and not isinstance(error, requests.ConnectionError):
        return NomadError(f"Nomad did not {what}: its answer is not JSON", passing=True)
    told = " ".join(str(error).split())
    if found := REASON.search(told):  # deep in what a library says of its pools and their adapters
        told = found[1]
    return NomadError(f"Nomad did not {what}: {told[:LONGEST_TEXT] or name}", passing=True)


def _translated(what: str, error: BaseNomadException) -> NomadError:
    """python-nomad keeps an answer or an exception in the same place."""
    cause = error.nomad_resp
    if isinstance(cause, requests.Response):
        return refusal(what, cause.status_code, cause.text)
    return silent(what, cause if isinstance(cause, Exception) else error)


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
