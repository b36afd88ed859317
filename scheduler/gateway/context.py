"""The arguments of request handlers.

A handler is a function of a `Call`: the request, its path in normal form, the caller, and
the `Context` that the whole gateway shares. Nothing is global, so a test can build a
`Context` of its own and has a whole gateway.

Handlers reach two services by protocols: jobs by `JobService`, requests of agents by `AgentService`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from aiohttp import web

from scheduler.audit import NO_LOGS, Logs
from scheduler.gateway.limiting import Limiter
from scheduler.gateway.metrics import Metrics
from scheduler.gateway.node_credentials import Gatekeeper
from scheduler.gateway.sessions.session import Sessions
from scheduler.model import wire
from scheduler.model.errors import no_such_route
from scheduler.model.tiers import IMAGES
from scheduler.objects.blobs import BlobStore
from scheduler.objects.single_puts import SinglePuts
from scheduler.records.database import Database
from scheduler.supervisor.job_services import JobService


class Proof(Enum):
    """The kind of proof that a caller gave; see `permissions` for what each allows."""

    NONE = "none"
    SIGNED = "signed"  # by a signature of this request
    PRESIGNED = "presigned"  # by a URL that was signed beforehand
    TOKEN = "token"  # of a key  # noqa: S105
    JOB = "job"  # by a token that the tasks of a job have


@dataclass(frozen=True, slots=True)
class Caller:
    """The sender of a request: an account, or anonymous.

    `key` is the fingerprint of the key behind the proof, `job` the job. `operator`: the account may see all others.
    """

    login: str | None = None
    proof: Proof = Proof.NONE
    key: str | None = None
    job: str | None = None
    operator: bool = False
    limits: str | None = None  # the account's own, as JSON; see `scheduler.model.limits`

    def __str__(self) -> str:
        return self.login or "anonymous"


ANONYMOUS = Caller()


class AgentService(Protocol):
    """The part of the supervisor that serves agents; `wire` defines the messages.

    Raises UnknownAgentError for an agent that has to register again.
    """

    async def register(self, request: wire.RegisterRequest) -> int: ...
    async def poll(self, request: wire.PollRequest) -> wire.PollReply: ...
    async def report(self, request: wire.ReportRequest) -> wire.ReportReply: ...
    def beat(self, agent: int) -> None: ...
    async def leave(self, agent: int) -> None: ...
    def take_answer(self, agent: int, answer: wire.RunningAnswer) -> None: ...
    def node_of(self, agent: int) -> str: ...
    def runs_on(self, node: str, job: str) -> bool: ...
    def may_run_on(self, node: str) -> bool: ...
    async def absent(self, claims: Sequence[wire.BlobRef]) -> set[str]: ...


class SupervisorPort(Protocol):
    """The part of this process's supervisor that requests need."""

    @property
    def agent_service(self) -> AgentService: ...


@dataclass(frozen=True, slots=True)
class Guard:
    """The operator's extra demands on callers."""

    require_signed_target: bool = False  # a signature over the date alone is refused
    metrics_token: str | None = None  # opens the metrics; without one, only direct connections from this machine do


UNGUARDED = Guard()


@dataclass(slots=True)
class Health:
    """The check of the service's health that runs, or the last one: it answers all requests that arrive meanwhile."""

    checking: asyncio.Task[dict[str, str]] | None = None


@dataclass(frozen=True, slots=True)
class Context:
    """What all handlers share. `clock` gives milliseconds since the epoch; `secret` encrypts the tokens."""

    db: Database
    blobs: BlobStore
    clock: Callable[[], int]
    secret: bytes
    server_name: str
    agent_secret: str
    supervisor: Callable[[], SupervisorPort | None] = lambda: None  # of this process, if it has one now
    images: Callable[[], Collection[str]] = lambda: IMAGES  # versions that a job may ask for
    metrics: Metrics = field(default_factory=Metrics)
    service: JobService | None = None  # serves requests about jobs
    sorting: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))  # of large directories by time
    public: bool = True  # users are served; else agents only
    guard: Guard = UNGUARDED
    no_agent: Callable[[], str | None] = lambda: None  # why this machine's agent is not here, if there should be one
    sessions: Sessions = field(default_factory=Sessions)  # interactive ones, at this gateway
    health: Health = field(default_factory=Health)
    logs: Logs = NO_LOGS  # of changes, of what was denied, and of requests
    nodes: Gatekeeper = field(init=False)  # the nodes whose agents are served
    limiter: Limiter = field(init=False)  # of accounts
    puts: SinglePuts = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "limiter", Limiter(self.db, self.metrics.over_limit))
        object.__setattr__(self, "puts", SinglePuts(self.db, self.clock, self.blobs.discard_soon))
        object.__setattr__(self, "nodes", Gatekeeper(self.db, self.agent_secret, self.clock))


@dataclass(slots=True)
class Call:
    """One request on its way to a handler.

    `path` is normal (decoded, see `model.names`); `raw_path` is as sent, without the query; `query` maps each parameter
    to its last value.
    """

    request: web.BaseRequest
    path: str
    raw_path: str
    query: Mapping[str, str]
    caller: Caller
    context: Context

    @property
    def method(self) -> str:
        return self.request.method

    @property
    def service(self) -> JobService:
        """The service for requests about jobs. Raises WireError where no jobs are served."""
        if self.context.service is None:
            raise no_such_route(self.path)
        return self.context.service

    @property
    def agents(self) -> AgentService:
        """The service for agents. Raises WireError where there is no supervisor."""
        if (supervisor := self.context.supervisor()) is None:
            raise no_such_route(self.path)
        return supervisor.agent_service

    @property
    def now(self) -> int:
        """The time in milliseconds since the epoch."""
        return self.context.clock()


Handler = Callable[[Call], Awaitable[web.StreamResponse]]

__all__ = ["ANONYMOUS", "Call", "Caller", "Context", "Handler", "Proof"]
