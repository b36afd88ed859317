"""The cluster as its users and its database see it, for scripts that have entered its network."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import urlsplit

import psycopg
from psycopg.rows import dict_row

from cli.client import objects
from cli.client.jobs import Jobs
from cli.client.problem import Problem
from cli.client.session import Session
from cli.client.settings import Options, load
from tests.cluster import database
from tests.cluster.cluster import Cluster, environment
from tests.cluster.machines import Machine
from tests.support.services.objects import get_many, outputs, put_many

T = TypeVar("T")
Row = dict[str, Any]
PATIENCE_SECONDS = 30.0


class User:
    """Uses whichever gateway answers; `avoid` names an address that is about to be cut off."""

    def __init__(self, cluster: Cluster) -> None:
        self._settings = load(Options(), environment(cluster))
        self._gateways = list(cluster.gateways)
        self.avoid = ""

    @property
    def home(self) -> str:
        return f"/{self._settings.account}"

    @contextmanager
    def session(self, url: str) -> Iterator[Session]:
        with Session(self._settings._replace(url=url)) as session:
            yield session

    def call(self, work: Callable[[Session], T]) -> T:
        """Run `work` with one gateway after another until one serves it."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            for url in [url for url in self._gateways if urlsplit(url).hostname != self.avoid]:
                try:
                    with self.session(url) as session:
                        return work(session)
                except Problem as error:
                    trouble = error
            if time.monotonic() > deadline:
                raise trouble
            time.sleep(0.2)

    def put(self, directory: str, contents: Mapping[str, bytes]) -> None:
        self.call(lambda session: objects.make_directory(session, directory))
        self.call(lambda session: put_many(session, {f"{directory}/{name}": data for name, data in contents.items()}))

    def submit(self, document: bytes, inputs: Sequence[str]) -> str:
        job = self.call(lambda session: Jobs(session).create(document))
        for start in range(0, len(inputs), 500):
            batch = [name.encode() for name in inputs[start : start + 500]]
            self.call(lambda session, batch=batch: Jobs(session).add_inputs(job, batch))
        self.call(lambda session: Jobs(session).end_input(job))
        return job

    def status(self, job: str, wait: int = 0) -> Row:
        return self.call(lambda session: Jobs(session).status(job, wait=wait))

    def finish(self, job: str, seconds: float) -> Row:
        """Wait for a job's end. Raises AssertionError if it hangs."""
        deadline = time.monotonic() + seconds
        while (status := self.status(job, wait=2))["state"] != "done":
            assert time.monotonic() < deadline, f"job {job} hangs: {status['stats']}"
        return status

    def results(self, job: str) -> list[bytes]:
        """What it has put out, in an order that does not depend on when."""
        return self.call(lambda session: sorted(get_many(session, outputs(session, job))))

    def first_error(self, job: str) -> Any:
        return self.call(lambda session: Jobs(session).first_error(job))


class Records:
    """The database, looked at from the side."""

    def ask(self, statement: str, *parameters: object) -> list[Row]:
        """Tries again while the server is away."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                with psycopg.connect(database.database_url(), connect_timeout=2, row_factory=dict_row) as connection:
                    return connection.execute(statement, parameters).fetchall()
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.1)

    def owner(self, job: str) -> Row | None:
        """The supervisor that has a job: `id`, `url`; None if nobody has."""
        found = self.ask(
            "SELECT s.id, s.url FROM jobs j JOIN supervisors s ON s.id = j.supervisor AND s.lost = 0 WHERE j.uuid = %s",
            job,
        )
        return found[0] if found else None

    def leased(self, job: str) -> list[Row]:
        """Tasks that agents hold: `id`, `attempt`, `node`."""
        return self.ask(
            "SELECT t.id, t.attempt, a.node FROM tasks t JOIN phases p ON p.id = t.pool JOIN jobs j ON j.id = p.job"
            " JOIN agents a ON a.id = t.agent WHERE j.uuid = %s AND t.state = 'leased'",
            job,
        )

    def finished(self, job: str) -> int:
        """How many of its tasks are over."""
        found = self.ask(
            "SELECT sum(p.finished) AS finished FROM phases p JOIN jobs j ON j.id = p.job WHERE j.uuid = %s", job
        )
        return int(found[0]["finished"])

    def gone_on(self, tasks: Sequence[Row]) -> bool:
        """Has each of these tasks another attempt under way, or ended?"""
        ids = [task["id"] for task in tasks]
        now = {r["id"]: r for r in self.ask("SELECT id, state, attempt FROM tasks WHERE id = ANY (%s)", ids)}
        return all(
            now[task["id"]]["state"] in ("committed", "failed", "cancelled")
            or (now[task["id"]]["state"] == "leased" and now[task["id"]]["attempt"] > task["attempt"])
            for task in tasks
        )

    def made_at(self, job: str) -> dict[str, int]:
        """How many of a job's tasks have made intermediates on each node."""
        mine = "IN (SELECT p.id FROM phases p JOIN jobs j ON j.id = p.job WHERE j.uuid = %s)"
        made = (
            f"SELECT node, producer FROM tasks WHERE producer IS NOT NULL AND pool {mine}"
            " UNION SELECT i.node, i.producer FROM task_inputs i JOIN tasks t ON t.id = i.task"
            f" WHERE i.producer IS NOT NULL AND t.pool {mine}"
        )
        found = self.ask(f"SELECT node, count(*) AS tasks FROM ({made}) AS m GROUP BY node ORDER BY node", job, job)
        return {row["node"]: row["tasks"] for row in found}

    def supervisors(self) -> list[Row]:
        return self.ask("SELECT id, url FROM supervisors WHERE lost = 0 ORDER BY id")


def metric(cluster: Cluster, name: str) -> dict[str, float]:
    """A metric of all supervisors that live, summed, by its labels."""
    found: dict[str, float] = {}
    for sample in samples(cluster, name):
        for labels, value in sample.items():
            found[labels] = found.get(labels, 0) + value
    return found


def samples(cluster: Cluster, name: str) -> list[dict[str, float]]:
    """The same of each supervisor."""
    found = []
    for supervisor in Records().supervisors():
        url = supervisor["url"]
        asked = ("curl", "-s", "-m", "5", "--cacert", str(cluster.authority / "ca.pem"), f"{url}/metrics")
        lines = machine_of(cluster, url).call(*asked, check=False).splitlines()
        pairs = [
            line.removeprefix(name).rpartition(" ") for line in lines if line.startswith((f"{name}{{", f"{name} "))
        ]
        found.append({labels: float(value) for labels, _, value in pairs})
    return found


def machine_of(cluster: Cluster, url: str) -> Machine:
    """On which machine an URL is."""
    host = urlsplit(url).hostname
    return next(machine for machine in cluster.machines.values() if machine.address == host)
