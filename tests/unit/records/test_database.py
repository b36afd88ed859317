import asyncio
import contextlib
import sqlite3
import threading
import time

import pytest

from scheduler.model.wire import Usage, usage_json
from scheduler.records import queries
from scheduler.records.database import Connection, DatabaseError, open_database
from scheduler.records.fences import Fence, Fenced
from scheduler.records.turns import WriterTurns
from tests.support.eventually import eventually
from tests.support.services.records import ENGINE, database_at


@pytest.fixture
def db(tmp_path):
    database = open_database(database_at(tmp_path / "db"))
    yield database
    database.close()


@pytest.fixture
def open_again(tmp_path):
    """The same database once more, as another process has it."""
    with contextlib.ExitStack() as opened:
        yield lambda: opened.enter_context(contextlib.closing(open_database(database_at(tmp_path / "db"))))


def add(login: str):
    def work(c: Connection) -> str:
        c.run("insert_account", login=login, created=1)
        return login

    return work


def logins(c: Connection) -> list[str]:
    return [row["login"] for row in c.all("list_accounts", after="", limit=100)]


async def test_what_was_written_is_read(db):
    assert await db.write(add("jill")) == "jill"
    assert await db.read(logins) == ["jill"]


async def test_a_failing_work_changes_nothing_and_undoes_no_neighbour(db):
    def fail(c: Connection) -> None:
        add("bad")(c)
        raise RuntimeError("no")

    results = await asyncio.gather(*(db.write(work) for work in (add("a"), fail, add("b"))), return_exceptions=True)
    assert [str(result) for result in results] == ["a", "no", "b"]
    assert await db.read(logins) == ["a", "b"]


async def test_what_is_asked_along_with_a_commit_is_there_once_that_is_made(db):
    def added(login: str):
        def work(c: Connection):
            add(login)(c)
            return c.along("list_accounts", after="", limit=100)

        return work

    def fail(c: Connection) -> None:
        added("bad")(c)
        raise RuntimeError("no")

    works = (added("a"), fail, added("b"))
    first, failed, second = await asyncio.gather(*map(db.write, works), return_exceptions=True)
    assert [row["login"] for row in first] in (["a"], ["a", "b"])  # before or after works of the same commit
    assert [row["login"] for row in second] == ["a", "b"]
    assert str(failed) == "no"
    assert [row["login"] for row in await db.write(added("c"))] == ["a", "b", "c"]


async def test_works_that_gather_share_one_commit(db, monkeypatch):
    groups = []
    gate = threading.Event()
    commit = db._commit
    monkeypatch.setattr(db, "_commit", lambda group: groups.append(len(group)) or commit(group))
    blocked = db.write_soon(lambda c: gate.wait() and None)
    waiting = [db.write_soon(add(f"login{number}")) for number in range(100)]
    gate.set()
    await asyncio.gather(*map(asyncio.wrap_future, [blocked, *waiting]))
    assert len(groups) <= 2
    assert sum(groups) == 101
    assert len(await db.read(logins)) == 100


@pytest.mark.parametrize("step", ["add", "take", "committed"])
async def test_a_fault_of_the_writer_fails_those_who_wait_and_those_who_come(db, monkeypatch, caplog, step):
    def fault(*_: object) -> None:
        raise KeyError("a fault of ours")

    monkeypatch.setattr(WriterTurns, step, fault)
    some = [asyncio.wrap_future(db.write_soon(add(name))) for name in ("first", "second")]
    _, left = await asyncio.wait(some, timeout=60)
    with pytest.raises(DatabaseError, match="the writer of the records has ended: KeyError"):
        await asyncio.wait_for(db.write(add("late")), 60)
    assert not left
    assert "must be started again" in caplog.text
    assert set(await db.read(logins)) == {
        name for name, one in zip(("first", "second"), some, strict=True) if not one.exception()
    }


@pytest.mark.skipif(ENGINE == "postgresql", reason="a server flushes by its own rules")
async def test_a_commit_is_flushed_unless_nothing_in_it_need_last(db):
    def level(c: Connection) -> int:
        return int(c.plain("PRAGMA synchronous")[0][0])

    full, normal = 2, 1
    levels = [await db.write(level, lasting=lasting) for lasting in (True, False, True)]
    assert levels == [full, normal, full]
    gate = threading.Event()
    blocked = db.write_soon(lambda _: gate.wait(10), lasting=False)
    gathered = [db.write_soon(level, lasting=lasting) for lasting in (False, True)]
    gate.set()
    assert blocked.result(10) and [each.result(10) for each in gathered] == [full, full]


async def test_bulk_works_of_one_account_give_way_to_another(db, monkeypatch):
    groups: list[list[str]] = []
    gates = [threading.Event(), threading.Event()]
    commit, names = db._commit, {}
    monkeypatch.setattr(db, "_commit", lambda group: groups.append([names.get(i.work) for i in group]) or commit(group))

    def hand_in(name: str, work, account: str, *, bulk: bool = False):
        names[work] = name
        return db.of(account).write_soon(work, bulk=bulk)

    futures = [hand_in("first", lambda c: gates[0].wait() and None, "jill")]
    await eventually(lambda: groups, "the writer waits in the first")
    futures += [hand_in("page0", lambda c: gates[1].wait() and None, "jill", bulk=True)]
    futures += [hand_in(f"page{n}", add(f"page{n}"), "jill", bulk=True) for n in range(1, 7)]
    gates[0].set()
    await eventually(lambda: len(groups) == 2, "the first pages are being committed")
    futures += [hand_in(f"small{n}", add(f"small{n}"), "bob") for n in range(3)]
    gates[1].set()
    await asyncio.gather(*map(asyncio.wrap_future, futures))
    small = ["small0", "small1", "small2"]
    assert groups[:4] == [["first"], ["page0", "page1", "page2", "page3"], small, ["page4"]]
    assert sorted(name for group in groups[4:] for name in group) == ["page5", "page6"]


async def test_bulk_works_that_were_handed_in_are_written_before_close(tmp_path):
    db = open_database(database_at(tmp_path / "bulk"))
    for number in range(10):
        db.of(f"login{number % 2}").write_soon(add(f"login{number}"), bulk=bool(number % 3))
    db.close()
    again = open_database(database_at(tmp_path / "bulk"))
    assert len(await again.read(logins)) == 10
    again.close()


async def test_a_reader_sees_one_snapshot_and_can_change_nothing(db):
    def look(c: Connection) -> tuple[list[str], list[str]]:
        before = logins(c)
        db.write_soon(add("meanwhile")).result()
        return before, logins(c)

    assert await db.read(look) == ([], [])
    with pytest.raises(Exception, match=r"read.?only"):
        await db.read(add("sneaky"))


async def test_what_was_handed_in_is_written_before_close(tmp_path):
    db = open_database(database_at(tmp_path / "again"))
    for number in range(10):
        db.write_soon(add(f"login{number}"))
    db.close()
    again = open_database(database_at(tmp_path / "again"))
    assert len(await again.read(logins)) == 10
    again.close()


async def test_what_was_announced_is_heard_once_it_is_committed_and_only_then(db):
    heard: asyncio.Queue[str] = asyncio.Queue()
    stop = db.listen(heard.put_nowait)

    def announce(*subjects: str, fail: bool = False):
        def work(c: Connection) -> None:
            for subject in subjects:
                c.announce(subject)
            if fail:
                raise RuntimeError("no")

        return work

    works = [announce("a", "b", "a"), announce("lost", fail=True), announce("b", "c")]
    await asyncio.gather(*map(db.write, works), return_exceptions=True)
    stop()
    await db.write(announce("later"))
    said = [heard.get_nowait() for _ in range(heard.qsize())]
    assert [subject for subject in "abc" if subject not in said] == []
    assert set(said) == {"a", "b", "c"}


async def test_all_that_have_a_database_open_hear_each_other(db, open_again):
    other = open_again()
    heard: asyncio.Queue[str] = asyncio.Queue()
    other.listen(heard.put_nowait)
    await db.write(lambda c: c.announce("job 17"))
    async with asyncio.timeout(10):
        assert await heard.get() == "job 17"


def fence(login: str) -> Fence:
    """A fence that stands while there is an account of this name."""
    return Fence("show_account", lambda: {"login": login}, "others took over")


async def test_a_fence_keeps_out_what_stands_behind_it(db):
    gate = threading.Event()
    blocked = db.write_soon(lambda c: gate.wait() and None)
    before = db.write_soon(add("before"))
    overtaken = db.behind(fence("nobody"))
    behind = [overtaken.write_soon(add("behind")), overtaken.write_soon(add("behind2"))]
    after = db.behind(fence("before")).write_soon(add("after"))
    gate.set()
    await asyncio.gather(*map(asyncio.wrap_future, [blocked, before, after]))
    outcomes = await asyncio.gather(*map(asyncio.wrap_future, behind), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [Fenced, Fenced]
    assert await db.read(logins) == ["after", "before"]


async def test_a_fence_counts_as_it_was_before_the_work(db):
    with pytest.raises(Fenced):
        await db.behind(fence("jill")).write(add("jill"))
    assert await db.read(logins) == []


async def test_a_fallen_fence_is_the_reason_whatever_else_fails_behind_it(db):
    def fail(c: Connection) -> None:
        add("bad")(c)
        add("bad")(c)

    with pytest.raises(Fenced, match="others took over"):
        await db.behind(fence("nobody")).write(fail)


async def test_what_is_asked_ahead_is_answered_once(db):
    def work(c: Connection) -> list[object]:
        c.ahead("show_account", login="jill")
        c.ahead("show_account", login="bob")
        first = [c.one("show_account", login=login) for login in ("jill", "bob")]
        add("jill")(c)
        return [*first, c.one("show_account", login="jill")["login"]]

    assert await db.write(work) == [None, None, "jill"]


async def test_what_is_asked_ahead_is_not_for_other_works(db):
    gate = threading.Event()
    blocked = db.write_soon(lambda c: gate.wait() and None)
    asked = db.write_soon(lambda c: c.ahead("show_account", login="jill"))
    added = db.write_soon(add("jill"))
    found = db.write_soon(lambda c: c.one("show_account", login="jill"))
    gate.set()
    await asyncio.gather(*map(asyncio.wrap_future, [blocked, asked, added]))
    assert await asyncio.wrap_future(found) is not None


async def test_only_the_work_fails_whose_last_statement_failed(db):
    gate = threading.Event()
    blocked = db.write_soon(lambda c: gate.wait() and None)
    works = [add("a"), lambda c: c.change("insert_account", login="a", created=1), add("b"), add("c")]
    answers = [db.write_soon(work) for work in works]
    gate.set()
    await asyncio.wrap_future(blocked)
    outcomes = await asyncio.gather(*map(asyncio.wrap_future, answers), return_exceptions=True)
    assert [isinstance(outcome, Exception) for outcome in outcomes] == [False, True, False, False]
    assert await db.read(logins) == ["a", "b", "c"]


async def test_the_clock_is_in_milliseconds_since_the_epoch(db):
    assert abs(await db.read(lambda c: c.now()) - time.time() * 1000) < 60_000


async def test_rows_come_one_at_a_time(db):
    await db.write(add("jill"))
    assert await db.read(lambda c: [row["login"] for row in c.each("list_accounts", after="", limit=5)]) == ["jill"]


def test_statements_have_names_of_their_own():
    statements = queries.load()
    assert statements["find_account"] == "SELECT login, created FROM accounts WHERE login = :login;"
    assert list(queries.parse("-- one: it\n-- goes on\nSELECT 1;\n\n-- two: that\nSELECT\n-- why\n2;\n")) == [
        ("one", "SELECT 1;"),
        ("two", "SELECT\n2;"),
    ]


def test_a_database_of_an_older_version_is_brought_forward_with_all_that_is_in_it(tmp_path):
    path = tmp_path / "db"
    old = sqlite3.connect(path)
    first, *later = queries.migrations()
    old.executescript(f"{first[1]}\nPRAGMA user_version = 1;")
    old.execute("INSERT INTO phases (id, job, number, reducers, issued, finished) VALUES (7, 1, 0, 0, 3, 2)")
    for state, wall, peak in (("committed", 3, 10), ("failed", 4, 20), ("leased", None, None)):
        usage = None if wall is None else usage_json(Usage(wall_us=wall, user_us=2, sys_us=1, max_rss_kb=peak))
        old.execute("INSERT INTO tasks (uuid, pool, state, usage) VALUES ('t', 7, ?, ?)", (state, usage))
    old.commit()
    old.close()
    open_database(path).close()
    new = sqlite3.connect(path)
    assert new.execute("PRAGMA user_version").fetchone() == (1 + len(later),)
    sums = "finished, metered, wall_us, cpu_us, max_rss_kb, bytes_in, bytes_out"
    assert new.execute(f"SELECT {sums} FROM phases").fetchone() == (2, 2, 7, 6, 20, 0, 0)
    new.close()


def test_a_database_of_a_newer_version_is_left_alone(tmp_path):
    path = tmp_path / "db"
    newer = sqlite3.connect(path)
    newer.execute("PRAGMA user_version = 1000")
    newer.close()
    with pytest.raises(DatabaseError, match="written by a newer version of Remora"):
        open_database(path)
    assert sqlite3.connect(path).execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)


@pytest.mark.parametrize(
    ("version", "sentence"),
    [
        (0, "there are no records in it yet: the first service that starts with it makes them"),
        (1, ": it was written by an older version of Remora, and only a service of this version brings it forward"),
        (1000, "its schema is 1000, "),
    ],
)
def test_who_may_not_migrate_says_why_and_leaves_everything_as_it_is(tmp_path, version, sentence):
    path = tmp_path / "db"
    with contextlib.closing(sqlite3.connect(path)) as old:
        old.executescript(f"{queries.migrations()[0][1] if version else ''}\nPRAGMA user_version = {version};")
        tables = old.execute("SELECT count(*) FROM sqlite_master").fetchone()
    with pytest.raises(DatabaseError) as refused:
        open_database(path, migrate=False)
    assert sentence in str(refused.value)
    with contextlib.closing(sqlite3.connect(path)) as same:
        assert same.execute("PRAGMA user_version").fetchone() == (version,)
        assert same.execute("SELECT count(*) FROM sqlite_master").fetchone() == tables


def test_who_may_not_migrate_makes_no_file_and_opens_records_of_its_own_version(tmp_path):
    path = tmp_path / "db"
    with pytest.raises(DatabaseError, match="there are no records in it yet"):
        open_database(path, migrate=False)
    assert not path.exists()
    open_database(path).close()
    open_database(path, migrate=False).close()


def test_migrations_are_numbered_without_gaps():
    numbers = [number for number, _ in queries.migrations()]
    assert numbers == list(range(1, len(numbers) + 1))
