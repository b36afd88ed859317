"""Records that go to another machine go to the server that the URL names, and encrypted."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from scheduler.records.database import DatabaseError
from scheduler.records.postgres.server import PostgresServer, encryption
from tests.support.certificates import Certificates
from tests.support.services import postgres
from tests.support.services.postgres import CARELESS, PASSWORD, ROLE, Postgres

NAME = "db.example"


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def encrypted(ours: Certificates) -> Iterator[Postgres]:
    """A server that has a certificate of db.example."""
    server = Postgres()
    try:
        files = ours.issue("db", NAME)
        for path in (files.certificate, files.key):
            shutil.copy(path, server.directory)
            if server._user:
                shutil.chown(server.directory / path.name, server._user.pw_uid, server._user.pw_gid)
        where = (f"ssl_cert_file={server.directory}/cert.pem", f"ssl_key_file={server.directory}/key.pem")
        server.settings = (*CARELESS, "ssl=on", *where)
        yield server.start()
    finally:
        server.remove()


@pytest.fixture(autouse=True)
def nothing_else_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("PGSSLMODE", "PGSSLROOTCERT", "PGHOST", "PGHOSTADDR"):
        monkeypatch.delenv(name, raising=False)


def url(server: Postgres, *more: str, host: str = NAME) -> str:
    """By a name of another machine, at the loopback address."""
    words = "&".join(("hostaddr=127.0.0.1", f"port={server.port}", *more))
    return f"postgresql://{ROLE}:{PASSWORD.replace(' ', '%20')}@{host}/postgres?{words}"


def is_encrypted(told: str) -> bool:
    with PostgresServer(told).connect() as connection:
        row = connection.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone()
        return bool(row and row[0])


def refusal(told: str) -> str:
    with pytest.raises(DatabaseError) as refused:
        PostgresServer(told).connect()
    assert PASSWORD not in str(refused.value)
    return str(refused.value)


def test_a_server_that_proves_its_name_is_used(encrypted: Postgres, ours: Certificates) -> None:
    assert is_encrypted(url(encrypted, f"sslrootcert={ours.authority}"))


def test_the_authority_may_be_said_in_the_environment(
    encrypted: Postgres, ours: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGSSLROOTCERT", str(ours.authority))
    assert is_encrypted(url(encrypted))


def test_a_server_of_another_name_is_refused(encrypted: Postgres, ours: Certificates) -> None:
    why = refusal(url(encrypted, f"sslrootcert={ours.authority}", host="db2.example"))
    assert "does not match host name" in why


def test_a_server_of_an_unknown_authority_is_refused(
    encrypted: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "certificate verify failed" in refusal(url(encrypted))
    other = Certificates(tmp_path / "other").authority
    assert "certificate verify failed" in refusal(url(encrypted, f"sslrootcert={other}"))
    monkeypatch.setenv("PGSSLMODE", "prefer")  # what libpq would be content with by itself
    assert "certificate verify failed" in refusal(url(encrypted))


def test_a_server_without_tls_is_refused_unless_the_url_says_so() -> None:
    server = postgres.shared()
    assert "unless the URL says sslmode=disable" in refusal(url(server))
    assert not is_encrypted(url(server, "sslmode=disable"))


def test_on_this_machine_nothing_is_asked_for() -> None:
    server = postgres.shared()
    assert not is_encrypted(server.url())
    assert not is_encrypted(server.local_url())


@pytest.mark.parametrize(
    ("given", "environment", "wanted"),
    [
        ({}, {}, None),
        ({"host": "/run/postgresql"}, {}, None),
        ({"host": "@abstract"}, {}, None),
        ({"host": "localhost,127.0.0.1,::1"}, {}, None),
        ({"host": "localhost,db"}, {}, "verify-full"),
        ({"host": "localhost", "hostaddr": "10.0.0.1"}, {}, "verify-full"),
        ({"service": "remora"}, {}, "verify-full"),
        ({}, {"PGHOST": "db"}, "verify-full"),
        ({"host": "db", "sslmode": "require"}, {}, None),
    ],
)
def test_what_leaves_the_machine_is_encrypted(
    given: dict[str, str], environment: dict[str, str], wanted: str | None
) -> None:
    assert encryption(given, environment).get("sslmode") == wanted
