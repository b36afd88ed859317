"""A cluster of processes on one machine, over one PostgreSQL: each can be killed by its name."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cli.client.jobs import Jobs
from cli.client.session import Session
from cli.client.settings import Options, load
from scheduler.gateway.node_credentials import issue
from scheduler.model.credentials.httpsig import PublicKey
from scheduler.records.database import Connection, open_database
from scheduler.service import first_account
from tests.support.certificates import Certificates
from tests.support.services.forks import start_command
from tests.support.services.postgres import Postgres
from tests.support.services.service import PROVIDED, end_all, said_url
from tests.support.services.user import User

AGENT_KEY = "a key of the tests' agents"
LOGIN = "jill"
ANYWHERE = "127.0.0.1:0"  # at a port that is free


@dataclass
class Part:
    """One process. `url` is what it says of itself once it is up; agents say none."""

    name: str
    log: Path
    process: subprocess.Popen[str]
    url: str = ""

    def wait_for_url(self) -> str:
        if (url := said_url(self.process)) is not None:
            self.url = url
            return url
        raise RuntimeError(f"{self.name} did not come up: {self.log.read_text()[-3000:]}")

    def kill(self) -> None:
        """SIGKILL to it and all that it started."""
        end_all(self.process)

    @contextlib.contextmanager
    def asleep(self) -> Iterator[None]:
        """It does nothing for the length of a block, and does not know."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def stop(self) -> int:
        """SIGTERM, and wait; its exit status."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(30)


@dataclass
class Cluster:
    """Parts by their names: gateway0, supervisor1, node0 … With `certificates` each has one of its own."""

    directory: Path
    database: str
    certificates: Certificates | None = None
    told: str = "gateway"  # the beginning of the names of gateways that agents are told of
    parts: dict[str, Part] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.objects = self.directory / "objects"
        self.objects.mkdir()
        keep = {key: value for key, value in os.environ.items() if not key.startswith(("MANTA_", "REMORA_", "PYTHON"))}
        self.env = keep | {
            "REMORA_DATABASE": self.database,
            "REMORA_OBJECTS": str(self.objects),
            "REMORA_TOKEN_SECRET": "a secret of the tests' tokens",
            "REMORA_AGENT_KEY": AGENT_KEY,
            "COLUMNS": "100",
        }

    def start(self, gateways: int = 1, supervisors: int = 1, nodes: int = 1) -> None:
        """All at once; agents as soon as there are gateways."""
        serving = [self._serve(f"gateway{n}", "gateway", "--images", "99.1.0") for n in range(gateways)]
        serving += [self._serve(f"supervisor{n}", "supervisor") for n in range(supervisors)]
        for part in serving:
            part.wait_for_url()
        for n in range(nodes):
            self.agent(f"node{n}")

    def supervisor(self, name: str, listen: str = ANYWHERE) -> Part:
        part = self._serve(name, "supervisor", listen=listen)
        part.wait_for_url()
        return part

    def agent(self, name: str, *more: str) -> Part:
        """Start a node's agent; `more` are options of it."""
        state = self.directory / name
        state.mkdir(exist_ok=True)
        words = ["--url", ",".join(part.url for name, part in self.parts.items() if name.startswith(self.told))]
        words += ["--node", name, "--state-dir", str(state), "--listen", "127.0.0.1:0", "--slots", "2"]
        words += ["--memory-mb", "4096", *PROVIDED, *more]
        return self._start(name, ["agent", *words], {"REMORA_AGENT_CREDENTIAL": issue(AGENT_KEY, name)})

    def _serve(self, name: str, role: str, *more: str, listen: str = ANYWHERE) -> Part:
        return self._start(name, [role, "--listen", listen, *more])

    def _start(self, name: str, words: list[str], more: dict[str, str] | None = None) -> Part:
        path = self.directory / f"{name}.log"
        with open(path, "a") as log:
            process = start_command(
                "remora", *words, stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL, text=True,
                env=self.env | self._tls(name) | (more or {}), start_new_session=True,
            )  # fmt: skip
        self.parts[name] = Part(name, path, process)
        return self.parts[name]

    def _tls(self, name: str) -> dict[str, str]:
        if self.certificates is None:
            return {}
        files = self.certificates.issue(name)
        told = {"CERT": files.certificate, "KEY": files.key, "CA": files.authority}
        return {f"REMORA_TLS_{word}": str(path) for word, path in told.items()}

    def end(self) -> dict[str, int]:
        """End all in order, agents first; the exit status of each that had not been killed."""
        status = {}
        for name, part in reversed(self.parts.items()):
            if part.process.poll() is None:
                status[name] = part.stop()
            if part.process.stdout is not None:
                part.process.stdout.close()
        return status

    def kill(self) -> None:
        """Whatever still runs, at once."""
        for part in self.parts.values():
            if part.process.poll() is None:
                part.kill()

    @contextlib.contextmanager
    def user(self, gateway: str = "gateway0") -> Iterator[User]:
        """The account of the tests, at one of the gateways."""
        with Session(load(Options(), self.client_env(gateway))) as session:
            yield User(session)

    def client_env(self, gateway: str) -> dict[str, str]:
        """The environment of commands of that account, at one of the gateways."""
        url = self.parts[gateway].url
        key = self.directory / "keys" / "id_ed25519"
        line = Path(f"{key}.pub").read_text().strip()
        profile = {"url": url, "user": LOGIN, "key_id": PublicKey.parse(line).md5, "key_file": str(key)}
        home = self.directory / url.rpartition(":")[2]
        home.mkdir(exist_ok=True)
        (home / "client.json").write_text(json.dumps(profile))
        return self.env | {"REMORA_STATE_DIR": str(home)}

    def owner(self, job: str) -> str | None:
        """The name of the supervisor that owns a job; None: nobody does."""
        url = self.look(lambda c: owner_url(c, job))
        return next((name for name, part in self.parts.items() if url and part.url == url), None)

    def living(self) -> dict[str, int]:
        """Supervisors that live, by URL: the number of each one's start."""
        return {row["url"]: row["id"] for row in self.look(lambda c: c.all("living_supervisors"))}

    def look(self, work):
        """What `work` sees of the records."""
        records = open_database(self.database)
        try:
            return records.write_soon(work).result(60)
        finally:
            records.close()

    def logs(self) -> str:
        return "\n".join(f"--- {name}\n{part.log.read_text()[-3000:]}" for name, part in self.parts.items())


def owner_url(c: Connection, job: str) -> str | None:
    row = c.one("job_by_uuid", uuid=job)
    living = {each["id"]: each["url"] for each in c.all("living_supervisors")}
    return None if row is None else living.get(row["supervisor"])


@contextlib.contextmanager
def clustered(
    directory: Path,
    postgres: Postgres,
    gateways: int = 1,
    supervisors: int = 1,
    nodes: int = 1,
    nomad: str | None = None,
    certificates: Certificates | None = None,
    told: str = "gateway",
) -> Iterator[Cluster]:
    """A cluster for the length of a block, with the account jill; whatever was not killed must end well.

    `nomad`: where one is that books its instances; `told`: which gateways agents are told of.
    """
    database = postgres.create()
    cluster = Cluster(directory, database, certificates, told)
    if nomad is not None:
        cluster.env |= {"REMORA_NOMAD": "1", "NOMAD_ADDR": nomad, "REMORA_NOMAD_NODE_POOL": "all"}
        cluster.env["REMORA_NOMAD_SOCKET"] = str(directory / "${node.unique.name}" / "launch.sock")
    line = Path(f"{first_account.own_key(directory / 'keys')}.pub").read_text().strip()

    def people(c: Connection) -> None:
        from scheduler.records import accounts

        accounts.create(c, LOGIN, 1)
        accounts.add_key(c, LOGIN, line)

    cluster.look(people)
    try:
        cluster.start(gateways, supervisors, nodes)
        yield cluster
        status = cluster.end()
    except BaseException:
        print(cluster.logs())
        raise
    finally:
        cluster.kill()
        postgres.drop(database)
    assert not any(status.values()), (status, cluster.logs())


__all__ = ["Cluster", "Jobs", "clustered"]
