"""Puts that wait together share a transaction, and each has a result of its own."""

import asyncio

import pytest

from scheduler.model.errors import WireError
from scheduler.objects import namespace
from scheduler.objects.conditions import Conditions
from scheduler.objects.entries import NewObject
from scheduler.objects.single_puts import SinglePuts
from scheduler.records import accounts
from tests.support.services.records import open_new


@pytest.fixture
def db(tmp_path):
    database = open_new(tmp_path / "db")
    yield database
    database.close()


@pytest.fixture
def works(db, monkeypatch):
    """The works that were handed to the database."""
    seen, write = [], db.write

    async def noted(work):
        seen.append(work)
        return await write(work)

    monkeypatch.setattr(db, "write", noted)
    return seen


def new(path: str, blob: str) -> NewObject:
    return NewObject(f"/jill/stor/{path}", blob, 1, "md5")


def create_only(entry):
    Conditions(if_none_match="*").check_write(entry)


async def test_puts_that_wait_share_a_transaction(db, works):
    await db.write(lambda c: accounts.create(c, "jill", 0))
    puts = SinglePuts(db, lambda: 1, lambda blobs: None)
    names = [f"o{number}" for number in range(50)]
    await asyncio.gather(*(puts.name(new(name, name), namespace.anything) for name in names))
    found = await db.read(lambda c: namespace.list_page(c, "/jill/stor", namespace.Page()))
    assert {entry.name for entry in found} == set(names)
    assert len(works) == 2


async def test_one_that_is_refused_hinders_no_other(db):
    await db.write(lambda c: accounts.create(c, "jill", 0))
    puts = SinglePuts(db, lambda: 1, lambda blobs: None)
    answers = await asyncio.gather(
        puts.name(new("a", "1"), namespace.anything),
        puts.name(new("nowhere/b", "2"), namespace.anything),
        puts.name(new("c", "3"), create_only),
        return_exceptions=True,
    )
    assert [answer if isinstance(answer, WireError) else answer.etag for answer in answers[::2]] == ["1", "3"]
    assert answers[1].code == "DirectoryDoesNotExist"


async def test_of_two_at_one_path_the_second_guard_sees_what_the_first_put(db):
    await db.write(lambda c: accounts.create(c, "jill", 0))
    discarded: list[str] = []
    puts = SinglePuts(db, lambda: 1, discarded.extend)
    first, second, third = await asyncio.gather(
        puts.name(new("a", "1"), create_only),
        puts.name(new("a", "2"), create_only),
        puts.name(new("a", "3"), Conditions(if_match="1").check_write),
        return_exceptions=True,
    )
    assert (first.etag, second.code, third.etag) == ("1", "PreconditionFailed", "3")
    assert discarded == ["1"]
    assert (await db.read(lambda c: namespace.lookup(c, "/jill/stor/a"))).etag == "3"
