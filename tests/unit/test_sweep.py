import os

import pytest

from scheduler.objects import namespace, sweep
from scheduler.objects.blobs import BlobStore
from scheduler.objects.entries import NewObject
from scheduler.records import accounts
from scheduler.records.database import open_database
from tests.support.records import database_at

LATER = 1 << 50


@pytest.fixture
async def store(tmp_path):
    db, blobs = open_database(database_at(tmp_path / "db")), BlobStore(tmp_path / "blobs")
    await db.write(lambda c: accounts.create(c, "jill", 0))
    yield db, blobs
    db.close()
    blobs.close()


def put(blobs: BlobStore, blob: str) -> str:
    fd = blobs.create()
    os.write(fd, b"x")
    blobs.publish(fd, blob)
    os.close(fd)
    return blob


async def test_blobs_that_nothing_refers_to_are_removed_and_no_others(store):
    db, blobs = store
    for blob in ("00 named", "00 of a task", "00 of a reducer", "00 lost", "00 lost too", "00 consumed"):
        put(blobs, blob)

    def refer(c):
        namespace.put_object(c, NewObject("/jill/stor/a", "00 named", 1, ""), 1)
        c.plain("INSERT INTO tasks (uuid, pool, state, blob, own) VALUES ('u', 1, 'ready', '00 of a task', 1)")
        c.plain("INSERT INTO task_inputs VALUES (1, 1, 'n', NULL, '00 of a reducer', 1, 1, NULL, NULL, NULL)")

    await db.write(refer)
    assert await sweep.sweep(db, blobs, LATER) == 3
    assert set(blobs.older_than(LATER)) == {"00 named", "00 of a task", "00 of a reducer"}


async def test_what_is_newer_than_the_service_is_left_alone(store):
    db, blobs = store
    put(blobs, "00 being uploaded")
    assert await sweep.sweep(db, blobs, 1) == 0
    assert list(blobs.older_than(LATER)) == ["00 being uploaded"]


async def test_more_blobs_than_a_page_are_swept(store, monkeypatch):
    monkeypatch.setattr(sweep, "PAGE", 3)
    db, blobs = store
    for number in range(20):
        put(blobs, f"{number:02x}-{number}")
    kept = [NewObject(f"/jill/stor/{number}", f"{number:02x}-{number}", 1, "") for number in range(7)]
    await db.write(lambda c: namespace.put_objects(c, kept, 1))
    assert await sweep.sweep(db, blobs, LATER) == 13
    assert set(blobs.older_than(LATER)) == {new.etag for new in kept}


async def test_of_what_lies_on_a_node_only_what_somebody_waits_for_is_wanted(store):
    db, _ = store

    def refer(c):
        task = "INSERT INTO tasks (uuid, pool, state, blob, own, node) VALUES"
        c.plain(f"{task} ('a', 1, 'ready', 'of a task', 1, 'n1'), ('b', 1, 'committed', 'consumed', 0, 'n1')")
        c.plain(f"{task} ('c', 1, 'ready', 'in the shared store', 1, NULL)")
        source = "INSERT INTO task_inputs (task, seq, name, blob, size, own, node) VALUES"
        c.plain(f"{source} (1, 1, 'n', 'of a reducer', 1, 1, 'n1'), (1, 2, 'n', 'read already', 1, 0, 'n1')")

    await db.write(refer)
    asked = ["of a task", "consumed", "in the shared store", "of a reducer", "read already", "'); DROP TABLE tasks; --"]
    unwanted = await db.read(lambda c: sweep.unwanted(c, asked))
    assert unwanted == ["consumed", "in the shared store", "read already", "'); DROP TABLE tasks; --"]
    assert await db.read(lambda c: sweep.unwanted(c, [])) == []
