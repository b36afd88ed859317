"""Records on PostgreSQL when things go wrong: a server that restarts, answers that get lost, wrong addresses."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading

import pytest

from scheduler.records import accounts, queries
from scheduler.records.database import Connection, DatabaseError, open_database
from scheduler.records.postgres import engine, outage
from scheduler.records.postgres import server as server_module
from scheduler.records.postgres.pipeline import Broken
from tests.support.eventually import eventually
from tests.support.services import postgres


@pytest.fixture(scope="module")
def server():
    """One that may be stopped, and that keeps what it has acknowledged."""
    with postgres.server(postgres.DURABLE) as started:
        yield started


@pytest.fixture
def url(server):
    made = server.create()
    yield made
    server.drop(made)


@pytest.fixture
def db(url):
    with contextlib.closing(open_database(url)) as opened:
        yield opened


def add(login: str):
    def work(c: Connection) -> str:
        c.run("insert_account", login=login, created=1)
        c.announce(login)
        return login

    return work


def logins(c: Connection) -> list[str]:
    return [row["login"] for row in c.all("list_accounts")]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
async def test_a_restart_of_the_server_loses_nothing_doubles_nothing_and_fails_nobody(server, db, how):
    written: list[str] = []
    over = False

    async def write(writer: int) -> None:
        number = 0
        while not over:
            written.append(await db.write(add(f"w{writer}n{number}")))
            number += 1

    async def read() -> None:
        seen = 0
        while not over:
            now = len(await db.read(logins))
            assert now >= seen
            seen = now

    tasks = [*(asyncio.create_task(write(writer)) for writer in range(4)), asyncio.create_task(read())]

    async def more() -> None:
        enough = len(written) + 20
        await eventually(
            lambda: len(written) >= enough or any(task.done() for task in tasks), "twenty more are written"
        )

    for _ in range(2):
        await more()
        server.restart(how)
    await more()
    over = True
    await asyncio.gather(*tasks)
    assert await db.read(logins) == sorted(written)
    assert db.trouble is None


async def test_while_the_server_is_away_things_wait_and_the_reason_can_be_asked_for(server, db):
    heard: asyncio.Queue[str] = asyncio.Queue()
    db.listen(heard.put_nowait)
    server.stop()
    waiting = [asyncio.create_task(db.write(add("jill"))), asyncio.create_task(db.read(logins))]
    await eventually(lambda: db.trouble, "the trouble is known")
    assert db.trouble.startswith("cannot use postgresql://remora@")
    assert postgres.PASSWORD not in db.trouble
    server.start()
    assert await waiting[0] == "jill"
    assert await waiting[1] in ([], ["jill"])
    async with asyncio.timeout(20):
        assert {await heard.get(), await heard.get()} == {"*", "jill"}


@pytest.mark.parametrize("sent", [True, False])
async def test_a_commit_whose_answer_is_lost_happens_once(db, url, monkeypatch, sent):
    commit = engine.PostgresConnection.commit
    lost = threading.Event()

    def lose_once(c: engine.PostgresConnection) -> None:
        if sent or lost.is_set():
            commit(c)
        if not lost.is_set():
            lost.set()
            c.pipeline.broken = True
            raise Broken("cut")

    heard: asyncio.Queue[str] = asyncio.Queue()
    with contextlib.closing(open_database(url)) as other:
        other.listen(heard.put_nowait)
        monkeypatch.setattr(engine.PostgresConnection, "commit", lose_once)
        assert await asyncio.gather(db.write(add("jill")), db.write(add("bob"))) == ["jill", "bob"]
        assert lost.is_set()
        assert await db.read(logins) == ["bob", "jill"]
        async with asyncio.timeout(20):
            assert {await heard.get(), await heard.get()} == {"bob", "jill"}


async def test_a_process_that_stops_in_a_transaction_loses_its_turn_and_tries_again(url, monkeypatch):
    monkeypatch.setattr(server_module, "HOLD_SECONDS", 0.2)
    runs, begun, gate = [], threading.Event(), threading.Event()

    def stop(c: Connection) -> None:
        add("slow")(c)
        runs.append(1)
        begun.set()
        gate.wait(60)

    with contextlib.closing(open_database(url)) as slow, contextlib.closing(open_database(url)) as other:
        waiting = slow.write_soon(stop)
        await asyncio.to_thread(begun.wait)
        assert await other.write(add("quick")) == "quick"
        gate.set()
        await asyncio.wrap_future(waiting)
        assert len(runs) == 2
        assert await other.read(logins) == ["quick", "slow"]


async def test_writers_of_many_processes_take_turns(url):
    def count(c: Connection) -> None:
        row = c.one("find_entry", dir="/", name="jill")
        c.run("put_entry", dir="/", name="jill", kind="o", etag="e", size=(row["size"] if row else 0) + 1, md5="",
              type="", copies=1, headers="{}", shared=0, mtime=1)  # fmt: skip

    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(contextlib.closing(open_database(url))) for _ in range(3)]
        await asyncio.gather(*(each.write(count) for each in opened for _ in range(20)))
        assert (await opened[0].read(lambda c: c.one("find_entry", dir="/", name="jill")))["size"] == 60


async def test_a_reader_whose_session_ends_reads_again(server, db):
    runs = []

    def look(c: Connection) -> list[str]:
        runs.append(1)
        found = logins(c)
        if len(runs) == 1:
            server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state LIKE 'idle in%'")
        return found + logins(c)

    assert await db.read(look) == []
    assert len(runs) == 2


def sentence(url: str) -> str:
    with pytest.raises(DatabaseError) as refused:
        open_database(url)
    text = str(refused.value)
    assert "secret" not in text
    assert "\n" not in text
    return text


def test_what_is_wrong_with_an_address_is_one_sentence_without_the_password(server, monkeypatch):
    at = f"cannot use postgresql://remora@127.0.0.1:{server.port}"
    assert sentence(server.url("nosuch")) == f'{at}/nosuch: database "nosuch" does not exist'
    assert sentence(server.url(password="wrong%20secret")) == (
        f'{at}/postgres: password authentication failed for user "remora"'
    )
    assert sentence("postgresql://remora:secret@127.0.0.1:1/x") == (
        "cannot use postgresql://remora@127.0.0.1:1/x: connection refused"
    )
    assert "resolve" in sentence("postgresql://remora:secret@no-such-host.invalid/x")
    for wrong in (
        "postgresql://remora:sec@ret@host/x",
        "postgresql://u:sec/ret@host:1/x",
        "postgresql://h:port/x?no=1",
    ):
        assert sentence(wrong).startswith("that is no URL of a PostgreSQL database: it has the form postgresql://")
    monkeypatch.setattr(server_module, "OLDEST", 99)
    assert sentence(server.url()).endswith("and 99 is needed")


def test_a_database_that_cannot_hold_our_records_is_refused_in_one_sentence(server, url):
    ascii_only = server.empty("ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
    assert sentence(server.local_url(ascii_only)).endswith("its encoding is SQL_ASCII, and UTF8 is needed")
    server.execute("CREATE ROLE guest LOGIN PASSWORD 'secret'")
    refused = sentence(server.url(server.empty(), user="guest", password="secret"))
    assert refused.endswith("the role must own the database, or be allowed to create tables in its schema")
    server.execute("UPDATE remora_schema SET version = 1000", url.split("/")[3].split("?")[0])
    assert sentence(url).endswith("it was written by a newer version of Remora: use that one")


async def test_processes_that_start_at_once_make_one_schema(server):
    name = server.empty()
    opened = await asyncio.gather(*(asyncio.to_thread(open_database, server.local_url(name)) for _ in range(4)))
    for each in opened:
        each.close()
    assert server.execute("SELECT version FROM remora_schema", name) == [(len(queries.migrations()),)]


async def test_tables_that_a_newer_version_changes_disturb_nobody(server, db, url):
    await db.write(lambda c: accounts.create(c, "jill", 1))

    def look(c: Connection) -> dict[str, object]:
        return dict(c.one("find_entry", dir="/", name="jill"))

    before = await asyncio.gather(db.read(look), db.read(look))
    server.execute("ALTER TABLE entries ADD COLUMN more BIGINT", url.split("/")[3].split("?")[0])
    after = await asyncio.gather(db.read(look), db.read(look))
    assert after == [entry | {"more": None} for entry in before]


async def test_a_service_that_ends_while_the_server_is_away_says_what_was_not_written(server, url, monkeypatch):
    monkeypatch.setattr(outage, "CLOSE_SECONDS", 0.1)
    db = open_database(url)
    server.stop()
    try:
        waiting = db.write_soon(add("jill"))
        await asyncio.to_thread(db.close)
        with pytest.raises(DatabaseError, match="cannot use"):
            waiting.result(0)
    finally:
        server.start()
