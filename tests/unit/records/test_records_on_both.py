"""SQLite and PostgreSQL side by side: the same works leave the same rows, whatever text is in them."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator

import pytest

from scheduler.records import queries
from scheduler.records.database import Connection, open_database
from scheduler.records.postgres.engine import PostgresDatabase
from scheduler.records.sqlite import SqliteDatabase
from tests.support.services import postgres
from tests.support.variants import variants

HOSTILE = [
    "",
    "a",
    "a\0",
    "a\0b",
    "a\1",
    "a\1\1",
    "a\1\2",
    "\0",
    "\1",
    "B",
    "b",
    "é",
    "z",
    "Ω",
    "𝄞",
    '"',
    "\\",
    "{}",
    "NULL",
]


@pytest.fixture
def both(tmp_path) -> Iterator[tuple[SqliteDatabase, PostgresDatabase]]:
    url = postgres.shared().create()
    opened = open_database(tmp_path / "db"), open_database(url)
    yield opened
    for db in opened:
        db.close()
    postgres.shared().drop(url)


def same(both, work):
    """What `work` returned on both, or the error that it raised on both."""
    answers = []
    for db in both:
        try:
            answers.append(db.write_soon(work).result())
        except UnicodeEncodeError:
            answers.append(UnicodeEncodeError)
    assert answers[0] == answers[1]
    return answers[0]


def entry(name: str, **more: object) -> dict[str, object]:
    return {"dir": "/", "name": name, "kind": "o", "etag": "e", "size": 3, "md5": "m", "type": "t", "copies": 2,
            "headers": "{}", "shared": 0, "mtime": 1} | more  # fmt: skip


def names(c: Connection) -> list[str]:
    return [row["name"] for row in c.all("list_by_name", dir="/", marker=None, kind=None, limit=100)]


def test_any_text_comes_back_and_is_sorted_by_bytes(both):
    def one_by_one(c: Connection) -> list[str]:
        for name in HOSTILE:
            c.run("put_entry", **entry(name))
        return names(c)

    assert same(both, one_by_one) == sorted(HOSTILE)
    for name in HOSTILE:
        assert same(both, lambda c, name=name: c.one("find_entry", dir="/", name=name)["name"]) == name
    listed = [name for name in HOSTILE if "\0" not in name]  # SQLite ends strings in JSON at a NUL
    wanted = json.dumps([["/", name] for name in [*listed, "missing"]])
    found = same(both, lambda c: [(row["at"], row["name"]) for row in c.all("find_entries", wanted=wanted)])
    assert sorted(found) == list(enumerate(listed))


def test_many_rows_are_as_good_as_one_by_one(both):
    same(both, lambda c: c.many("put_entry", [entry(name) for name in HOSTILE]))
    assert same(both, names) == sorted(HOSTILE)
    same(both, lambda c: c.many("put_entry", [entry("a", size=1), entry("b", size=2), entry("a", size=9)]))
    assert same(both, lambda c: c.one("find_entry", dir="/", name="a")["size"]) == 9
    same(both, lambda c: c.many("add_children", [{"dir": "/", "name": "a", "count": n} for n in (1, 2, 3)]))
    same(both, lambda c: c.many("add_children", [{"dir": "/", "name": n, "count": 5} for n in ("a", "b", "nobody")]))
    assert same(both, lambda c: c.one("find_entry", dir="/", name="a")["children"]) == 11
    same(both, lambda c: c.many("put_entry", []))
    assert same(both, names) == sorted(HOSTILE)


TAKEN = [{"login": "jill", "created": 1}]


def refused(c: Connection) -> None:
    """Its second statement fails, which PostgreSQL may tell only later."""
    c.run("insert_account", login="bob", created=1)
    c.many("insert_account", TAKEN)


def refused_before_a_read(c: Connection) -> int:
    refused(c)
    return len(c.all("list_accounts"))


def refused_but_for_its_own_error(c: Connection) -> None:
    refused(c)
    raise KeyError("its own")


@pytest.mark.parametrize("work", [refused, refused_before_a_read, refused_but_for_its_own_error])
async def test_rows_that_are_refused_are_their_own_works_failure(both, work):
    """Its neighbours in the same transaction know nothing of it, before it and after it."""
    gate = threading.Event()
    for db in both:
        gate.clear()
        neighbours = [lambda c, name=name: c.many("insert_account", [{"login": name, "created": 1}]) for name in "ab"]
        await db.write(lambda c: c.many("insert_account", TAKEN))
        waits = [db.write_soon(lambda c: gate.wait(30)), *map(db.write_soon, (neighbours[0], work, neighbours[1]))]
        gate.set()
        ends = await asyncio.gather(*map(asyncio.wrap_future, waits), return_exceptions=True)
        assert [isinstance(end, Exception) for end in ends] == [False, False, True, False]
        assert await db.read(lambda c: sorted(row["login"] for row in c.all("list_accounts"))) == ["a", "b", "jill"]


def test_ids_of_new_rows_and_numbers_of_changed_ones_are_known(both):
    assert same(both, lambda c: [c.insert("insert_supervisor", url="u", now=1) for _ in range(3)]) == [1, 2, 3]
    assert same(both, lambda c: c.run("beat", now=5, supervisor=2)) == 1
    assert same(both, lambda c: c.run("beat", now=5, supervisor=99)) == 0


def test_half_a_surrogate_pair_is_refused_and_changes_nothing(both):
    def work(c: Connection) -> None:
        c.run("put_entry", **entry("before"))
        c.run("put_entry", **entry("\ud800"))

    assert same(both, work) is UnicodeEncodeError
    assert same(both, names) == []


def test_a_row_is_read_by_name_and_by_position_and_as_a_mapping(both):
    def work(c: Connection) -> tuple[object, ...]:
        c.run("insert_account", login="jill", created=7)
        row = c.one("find_account", login="jill")
        return row["login"], row[1], list(row), dict(row), row.keys(), len(row), c.one("find_account", login="bob")

    assert same(both, work) == ("jill", 7, ["jill", 7], {"login": "jill", "created": 7}, ["login", "created"], 2, None)


def test_a_work_that_fails_in_the_server_undoes_itself_alone(both):
    def fail(c: Connection) -> None:
        c.run("insert_account", login="lost", created=1)
        c.announce("lost")
        c.plain("SELECT nothing FROM nowhere")

    for db in both:
        works = [lambda c, n=n: c.run("insert_account", login=n, created=1) for n in ("a", "b")]
        futures = [db.write_soon(work) for work in (works[0], fail, works[1])]
        assert futures[0].result() == futures[2].result() == 1
        assert futures[1].exception() is not None
    assert same(both, lambda c: [row["login"] for row in c.all("list_accounts")]) == ["a", "b"]


@pytest.mark.parametrize("held", range(2500, 0, -2499))
def test_rows_that_come_one_at_a_time_may_be_left_early(both, held):
    same(both, lambda c: c.many("put_entry", [entry(f"{n:05}") for n in range(2500)]))

    def work(c: Connection) -> list[str]:
        rows = c.each("blobs_of_entries")
        first = [row["blob"] for row, _ in zip(rows, range(held), strict=False)]
        return first + [row["blob"] for row in c.each("blobs_of_entries")]

    assert len(same(both, work)) == held + 2500


@pytest.mark.parametrize("version", variants(range(1, len(queries.migrations())), 3))
def test_each_older_database_is_brought_forward_with_what_is_in_it(tmp_path, monkeypatch, version):
    every = queries.migrations()
    name = postgres.shared().empty()
    url = postgres.shared().local_url(name)
    with monkeypatch.context() as older:
        older.setattr(queries, "migrations", lambda: every[:version])
        for where in (tmp_path / "db", url):
            db = open_database(where)
            db.write_soon(fill).result()
            db.close()
    opened = open_database(tmp_path / "db"), open_database(url)
    try:
        assert same(opened, lambda c: sorted(logins(c))) == ["a\0", "jill"]
        sums = "finished, metered, wall_us, cpu_us, max_rss_kb, bytes_in, bytes_out"
        metered = same(opened, lambda c: [tuple(row) for row in c.plain(f"SELECT {sums} FROM phases")])
        assert metered == [(2, 2, 7, 6, 20, 0, 0) if version == 1 else (2, 0, 0, 0, 0, 0, 0)]
        assert same(opened, lambda c: c.insert("insert_supervisor", url="u", now=1)) == 1
        tables = same(opened, lambda c: [tuple(row) for row in c.plain("SELECT * FROM tasks ORDER BY id")])
        assert [row[3] for row in tables] == ["committed", "failed", "leased"]
    finally:
        for db in opened:
            db.close()
        postgres.shared().drop(url)


def fill(c: Connection) -> None:
    """Rows of each kind, in words that the first schema knew."""
    for login in ("jill", "a\0"):
        c.plain("INSERT INTO accounts (login, created) VALUES (:login, 1) RETURNING login", login=login)
    c.plain("INSERT INTO phases (id, job, number, reducers, issued, finished) VALUES (7, 1, 0, 0, 3, 2) RETURNING id")
    for state, wall, peak in (("committed", 3, 10), ("failed", 4, 20), ("leased", None, None)):
        usage = None if wall is None else json.dumps(
            {"wall_us": wall, "user_us": 2, "sys_us": 1, "max_rss_kb": peak, "bytes_in": 0, "bytes_out": 0}
        )  # fmt: skip
        c.plain(
            "INSERT INTO tasks (uuid, pool, state, usage) VALUES ('t', 7, :state, :usage) RETURNING id",
            state=state, usage=usage,
        )  # fmt: skip


def logins(c: Connection) -> list[str]:
    return [row["login"] for row in c.plain("SELECT login FROM accounts")]
