"""Two accounts of one service: jill, who has a secret, and bob, who would like to know it."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cli.client.session import Session
from cli.client.settings import Options, load
from scheduler.gateway.access.tokens import Tokens
from tests.support.gate import Gate
from tests.support.nodes.containers import doors
from tests.support.services.gateway import Signer, presign, public_line
from tests.support.services.records import rows
from tests.support.services.service import Service
from tests.support.services.user import Ended, Phase, User

SECRET = "/jill/stor/secret"
WORDS = b"the secret of jill"
Answer = tuple[int, str]  # status and code
UNHEARD: Answer = (0, "")


@dataclass
class World:
    """A service where jill has a secret, a job that is done and one that runs, and bob has an account."""

    service: Service
    jill: User
    bob: User
    signers: dict[str, Signer]
    done: Ended  # jill's job over the secret
    live: str  # jill's job whose task runs
    door: str  # where the machine finds that task's MANTA_URL
    own: str  # bob's live job

    @property
    def host(self) -> str:
        return self.service.url.removeprefix("http://")

    def ask(
        self, method: str, target: str, by: str | None = "bob", body: bytes | None = None, at: str = "", **headers: str
    ) -> Answer:
        """Status and code of the answer to a request, signed by somebody or nobody; `at` another host and port.

        `UNHEARD` if the connection is refused or reset.
        """
        signed = self.signers[by].headers() if by else {}
        sent = {**signed, **{name.replace("_", "-"): value for name, value in headers.items()}}
        with closing(http.client.HTTPConnection(at or self.host, timeout=20)) as connection:
            try:
                connection.request(method, target, body=body, headers=sent)
                reply = connection.getresponse()
                said = reply.read()
            except ConnectionError:
                return UNHEARD
        assert WORDS not in said or by == "jill"
        return reply.status, json.loads(said)["code"] if reply.status >= 400 and said else ""

    def token(self, login: str, job: str | None) -> dict[str, str]:
        """The header with the token that the service gave out, or would, for a job."""
        secret = (self.service.state_dir / "token.secret").read_text().encode()
        key = None if job else self.signers[login].fingerprint
        return {"Authorization": f"Token {Tokens(secret).issue(login, time.time_ns() // 1_000_000, job, key)}"}

    def url(self, by: str, path: str = SECRET, methods: str = "GET", **more: Any) -> str:
        return presign(self.signers[by], path, methods, host=self.host, **more)

    def replayed(self, method: str, target: str, *listed: str) -> dict[str, str]:
        """The headers of a request that jill signed, for something else."""
        return self.signers["jill"].headers(method, target, listed)

    def signed_as(self, key_id: str) -> dict[str, str]:
        """Headers that bob signed, in the name of another key."""
        headers = self.signers["bob"].headers()
        headers["Authorization"] = headers["Authorization"].replace(self.signers["bob"].key_id, key_id)
        return headers

    def hers(self) -> list[tuple[Any, ...]]:
        """All names of jill's, but what her running job does."""
        query = "SELECT * FROM entries WHERE dir = '/jill' OR dir LIKE '/jill/%' ORDER BY dir, name"
        return [tuple(row) for row in rows(self.service.database, query)]

    def run(self, *phases: Phase, inputs: list[str]) -> Ended:
        """A job of bob's. Of the secret is nothing in what can be read of it."""
        ended = self.bob.run(*phases, inputs=inputs)
        for name in ended.outputs:
            assert name == SECRET or WORDS not in self.bob.get(name)
        return ended


@dataclass(frozen=True)
class Person:
    """An account to be, with a key in a file and a profile that names it."""

    signer: Signer
    home: Path

    @classmethod
    def of(cls, login: str, home: Path) -> Person:
        home.mkdir()
        key = Ed25519PrivateKey.generate()
        (home / "id").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
        (home / "id.pub").write_text(public_line(key))
        return cls(Signer(login, key), home)

    def session(self, url: str) -> Session:
        facts = {"url": url, "user": self.signer.login, "key_id": self.signer.fingerprint}
        (self.home / "client.json").write_text(json.dumps({**facts, "key_file": str(self.home / "id")}))
        return Session(load(Options(), {"REMORA_STATE_DIR": str(self.home)}))


@contextmanager
def two_accounts(home: Path) -> Iterator[World]:
    """A service below the directory `home`, with jill as its first account and bob as another."""
    jill, bob = (Person.of(login, home / login) for login in ("jill", "bob"))
    service = Service(home / "state", ("--login", "jill", "--key", str(jill.home / "id.pub")))
    service.start()
    try:
        service.run("remora", "user", "add", "bob", "--key", str(bob.home / "id.pub"))
        with jill.session(service.url) as hers, bob.session(service.url) as his, Gate() as gate:
            yield made(service, User(hers), User(his), gate, {"jill": jill.signer, "bob": bob.signer})
    finally:
        assert service.stop() == 0


def made(service: Service, jill: User, bob: User, gate: Gate, signers: dict[str, Signer]) -> World:
    jill.put("secret", WORDS)
    jill.session.call("PUT", "/jill/public/open", body=b"for everybody")
    bob.put("a", b"bob's own\n")
    done = jill.run("cat", inputs=[SECRET])
    assert jill.texts(done) == [WORDS.decode()]
    jill.wait(done.job, lambda status: "timeArchiveDone" in status)
    live = jill.create(gate.wait("$MANTA_URL"))
    jill.add(live, SECRET)
    (door,) = doors(service.state_dir, gate.arrivals(1))
    return World(service, jill, bob, signers, done, live, door, own=bob.create("true"))
