import os

import pytest

from scheduler.objects import namespace, sweep
from scheduler.objects.blobs import BlobStore
from scheduler.objects.entries import NewObject
from scheduler.records import accounts
from tests.support.ids import id_of
from tests.support.services.records import open_new

LATER = 1 << 50


@pytest.fixture
async def store(tmp_path):
    db, blobs = open_new(tmp_path / "db"), BlobStore(tmp_path / "blobs")
    await db.write(lambda c: accounts.create(c, "jill", 0))
    yield db, blobs
    db.close()
    blobs.close()


def put(blobs: BlobStore, blob: str) -> str:
    fd = blobs.create()
    os.write(fd, b"x")
    blobs.publish(fd, id_of(blob))
    os.close(fd)
    return id_of(blob)


async def test_blobs_that_nothing_refers_to_are_removed_and_no_others(store):
    db, blobs = store
    for blob in ("named", "of a task", "of a reducer", "pinned", "staged", "lost", "lost too", "consumed"):
        put(blobs, blob)
    of_task, of_reducer = id_of("of a task"), id_of("of a reducer")

    def refer(c):
        namespace.put_object(c, NewObject("/jill/stor/a", id_of("named"), 1, ""), 1)
        c.plain(f"INSERT INTO tasks (uuid, pool, state, blob, availability) VALUES ('u', 1, 'ready', '{of_task}', 1)")
        source = "INSERT INTO task_inputs (task, seq, name, blob, size, availability) VALUES"
        c.plain(f"{source} (1, 1, 'n', '{of_reducer}', 1, 1)")
        row = {"job": 1, "size": 1, "md5": None, "type": None, "headers": "{}"}
        c.run("insert_pin", seq=0, name="n", blob=id_of("pinned"), dictionary=0, **row)
        c.run("insert_staged", stage=0, number=0, output=0, blob=id_of("staged"), **row)

    await db.write(refer)
    assert await sweep.sweep(db, blobs, LATER) == 3
    kept = {id_of("named"), of_task, of_reducer, id_of("pinned"), id_of("staged")}
    assert set(blobs.older_than(LATER)) == kept


async def test_what_is_newer_than_the_service_is_left_alone(store):
    db, blobs = store
    uploaded = put(blobs, "being uploaded")
    assert await sweep.sweep(db, blobs, 1) == 0
    assert list(blobs.older_than(LATER)) == [uploaded]


async def test_more_blobs_than_a_page_are_swept(store, monkeypatch):
    monkeypatch.setattr(sweep, "PAGE", 3)
    db, blobs = store
    ids = [put(blobs, f"blob {number}") for number in range(20)]
    kept = [NewObject(f"/jill/stor/{number}", ids[number], 1, "") for number in range(7)]
    await db.write(lambda c: namespace.put_objects(c, kept, 1))
    assert await sweep.sweep(db, blobs, LATER) == 13
    assert set(blobs.older_than(LATER)) == {new.etag for new in kept}


async def test_of_what_lies_on_a_node_only_what_somebody_waits_for_is_wanted(store):
    db, _ = store

    def refer(c):
        task = "INSERT INTO tasks (uuid, pool, state, blob, availability, node) VALUES"
        c.plain(f"{task} ('a', 1, 'ready', 'of a task', 1, 'n1'), ('b', 1, 'committed', 'consumed', 0, 'n1')")
        c.plain(f"{task} ('c', 1, 'ready', 'in the shared store', 1, NULL)")
        source = "INSERT INTO task_inputs (task, seq, name, blob, size, availability, node) VALUES"
        c.plain(f"{source} (1, 1, 'n', 'of a reducer', 1, 1, 'n1'), (1, 2, 'n', 'read already', 1, 0, 'n1')")

    await db.write(refer)
    asked = ["of a task", "consumed", "in the shared store", "of a reducer", "read already", "'); DROP TABLE tasks; --"]
    unwanted = await db.read(lambda c: sweep.unwanted(c, "n1", asked))
    assert unwanted == ["consumed", "in the shared store", "read already", "'); DROP TABLE tasks; --"]
    assert await db.read(lambda c: sweep.unwanted(c, "n2", asked)) == asked
    assert await db.read(lambda c: sweep.unwanted(c, "n1", [])) == []
