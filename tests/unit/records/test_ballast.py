"""A database on a full disk goes on by what was kept back for it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from scheduler.records.ballast import SIZE, Ballast
from scheduler.records.database import DatabaseFullError, execute, select
from scheduler.records.sqlite import SqliteConnection, SqliteDatabase

NEW = {"login": "jill", "created": 1}


@pytest.fixture
def ballast(tmp_path: Path) -> Ballast:
    return Ballast(tmp_path / "db")


def full() -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    return error


def fills_up(monkeypatch: pytest.MonkeyPatch, while_true: Callable[[], bool]) -> None:
    """Commits fail as on a full disk."""
    run = SqliteConnection.run

    def refuse(connection: SqliteConnection, name: str, /, **parameters: object) -> int:
        if while_true():
            raise full()
        return run(connection, name, **parameters)

    monkeypatch.setattr(SqliteConnection, "run", refuse)


def test_space_is_kept_back_beside_the_database(tmp_path: Path, ballast: Ballast) -> None:
    ballast.restore()
    assert (tmp_path / "db.ballast").stat().st_blocks * 512 >= SIZE
    assert ballast.give_up()
    assert not ballast.held
    assert not ballast.give_up()


def test_it_is_allocated_anew_only_after_a_while(tmp_path: Path) -> None:
    now = [0.0]
    ballast = Ballast(tmp_path / "db", lambda: now[0])
    ballast.restore()
    ballast.give_up()
    ballast.restore()
    assert not ballast.held
    now[0] = 2.0
    ballast.restore()
    assert ballast.held


async def test_a_commit_on_a_full_disk_uses_the_ballast(
    tmp_path: Path, ballast: Ballast, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = SqliteDatabase(tmp_path / "db", ballast)
    try:
        assert ballast.held
        fills_up(monkeypatch, lambda: ballast.held)
        await db.write(execute("insert_account", **NEW))
        assert not ballast.held
        assert [row["login"] for row in await db.read(select("oldest_account"))] == ["jill"]
    finally:
        db.close()


async def test_without_ballast_the_error_says_that_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = SqliteDatabase(tmp_path / "db")
    try:
        fills_up(monkeypatch, lambda: True)
        with pytest.raises(DatabaseFullError, match="full"):
            await db.write(execute("insert_account", **NEW))
    finally:
        db.close()
