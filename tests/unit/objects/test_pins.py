"""Pins and locks: what an operation reads outlives its names, and what it writes is its own until it is over."""

from __future__ import annotations

import pytest

from scheduler.common.ids import new_id
from scheduler.model.errors import WireError
from scheduler.objects import locks, namespace, pins
from scheduler.objects.entries import NewObject
from scheduler.records import accounts
from scheduler.records.database import Connection
from tests.support.services.records import in_memory

PATH = "/jill/stor/a"


@pytest.fixture
def c() -> Connection:
    connection = in_memory()
    accounts.create(connection, "jill", 0)
    return connection


def job(c: Connection) -> int:
    """A job that may have pins and locks."""
    return c.insert(
        "insert_job", uuid=new_id(), owner="jill", name="", document="{}", now=1, supervisor=None, creator_key=None,
        parent=None,
    )  # fmt: skip


def put(c: Connection, path: str = PATH) -> tuple[str, list[str]]:
    new = NewObject(path, new_id(), 1, "")
    return new.etag, namespace.put_objects(c, [new], 1).discard


def pin(c: Connection, number: int, blob: str, seq: int = 0) -> None:
    c.run(
        "insert_pin", job=number, seq=seq, name=PATH, blob=blob, size=1, md5=None, type=None, headers="{}", dictionary=0
    )


def test_a_pinned_blob_outlives_its_name_and_goes_with_its_last_pin(c):
    old, _ = put(c)
    for number in (1, 2):
        pin(c, number, old)
    assert put(c)[1] == []  # replaced, and kept
    assert pins.bury_page(c) == ([], False)
    pins.release_page(c, 1)
    assert pins.bury_page(c) == ([], False)
    pins.release_page(c, 2)
    assert pins.bury_page(c) == ([old], False)
    assert pins.bury_page(c) == ([], False)


def test_a_blob_that_has_a_name_again_stays(c):
    old, _ = put(c)
    pin(c, 1, old)
    namespace.delete(c, PATH)
    namespace.put_objects(c, [NewObject("/jill/stor/again", old, 1, "")], 1)
    pins.release_page(c, 1)
    assert pins.bury_page(c) == ([], False)


def test_what_is_not_pinned_is_removed_at_once(c):
    old, _ = put(c)
    assert namespace.delete(c, PATH).discard == [old]


@pytest.mark.parametrize("taken", ["/jill/stor/x/set", "/jill/stor/x/set/part", "/jill/stor/x"])
def test_two_operations_cannot_write_to_one_place(c, taken):
    first, second = job(c), job(c)
    locks.take(c, first, "/jill/stor/x/set")
    with pytest.raises(WireError, match="is locked by job"):
        locks.take(c, second, taken)
    locks.release(c, first)
    locks.take(c, second, taken)


def test_many_may_append_but_none_may_replace_meanwhile(c):
    first, second, third = job(c), job(c), job(c)
    locks.take(c, first, PATH, shared=True)
    locks.take(c, second, PATH, shared=True)
    with pytest.raises(WireError):
        locks.take(c, third, PATH)


def test_a_locked_path_is_refused_to_all_but_its_holder(c):
    holder = job(c)
    locks.take(c, holder, PATH)
    paths = [PATH, f"{PATH}/below", "/jill/stor/beside", f"{PATH}b"]
    assert list(locks.ask(c, paths).refusals()) == paths[:2]
    assert locks.ask(c, paths).refusals(holder) == {}


def test_other_names_are_not_delayed_by_locks_nor_changed_below_them(c):
    put(c)
    locks.take(c, job(c), PATH)
    for change in (lambda: namespace.delete(c, PATH), lambda: namespace.put_metadata(c, PATH, {}, None, 2)):
        with pytest.raises(WireError, match="is locked by job"):
            change()
    assert put(c, "/jill/stor/b")[1] == []
