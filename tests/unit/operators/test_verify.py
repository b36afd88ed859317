"""Verification finds planted damage of every kind, mends what is safe, and finds nothing where all is well."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest

from scheduler.objects import namespace, verification
from scheduler.objects.blobs import BlobStore
from scheduler.objects.entries import NewObject
from scheduler.records import accounts
from scheduler.records.database import Database, open_database
from scheduler.service.operators import verify
from scheduler.service.operators.find_job import find_job
from scheduler.service.state import StateError
from tests.support.ids import id_of
from tests.support.services.forks import command
from tests.support.services.records import ENGINE, database_at

JOB, OTHER = id_of("job"), id_of("other")
MADE, READY, REDUCE = id_of("made"), id_of("ready"), id_of("reduce")
# Two map tasks, one of which has committed, and a reduce task that is to read what it made.
RECORDS = (
    f"INSERT INTO jobs (id, uuid, owner, name, document, state, created, last_input, inputs, dispatched)"
    f" VALUES (1, '{JOB}', 'jill', '', '{{}}', 'running', 1, 1, 2, 2) RETURNING id",
    "INSERT INTO phases (id, job, number, reducers, issued, finished, metered)"
    " VALUES (1, 1, 0, 0, 2, 1, 1), (2, 1, 1, 1, 1, 0, 0) RETURNING id",
    "INSERT INTO inputs (job, seq, name) VALUES (1, 1, '/jill/stor/a'), (1, 2, '/jill/stor/b') RETURNING seq",
    f"INSERT INTO tasks (id, uuid, pool, state, attempt, input, blob, size, usage)"
    f" VALUES (1, '{MADE}', 1, 'committed', 1, 'a', 'A', 1, '{{}}') RETURNING id",
    f"INSERT INTO tasks (id, uuid, pool, state, input, blob, size)"
    f" VALUES (2, '{READY}', 1, 'ready', 'b', 'B', 1) RETURNING id",
    f"INSERT INTO tasks (id, uuid, pool, state, reducer, arrived)"
    f" VALUES (3, '{REDUCE}', 2, 'ready', 0, 1) RETURNING id",
    f"INSERT INTO task_inputs (task, seq, name, blob, size, availability, producer, producer_output)"
    f" VALUES (3, 1, 'part', '{id_of('part')}', 4, 1, 1, 0) RETURNING seq",
)
LOCKED = "INSERT INTO locks (path, job, mode) VALUES ('/jill/stor/o', 99, 'exclusive')"
UNLISTED = "UPDATE jobs SET errors = 1"
# Damage of the records, the rule that finds it, and whether it can be mended.
DAMAGE = [
    ("UPDATE phases SET issued = 7 WHERE id = 1", "broken_counters_of_phases", False),
    (UNLISTED, "broken_counters_of_jobs", False),
    ("UPDATE jobs SET state = 'done', input_done = 1", "broken_ends", False),
    ("UPDATE tasks SET state = 'leased', attempt = 1, agent = 9 WHERE id = 2", "broken_leases", False),
    ("UPDATE tasks SET attempt = 0 WHERE id = 1", "broken_commits", False),
    (
        "INSERT INTO attempts (task, attempt, job, pool, state, leased) VALUES (1, 1, 1, 1, 'completed', 1),"
        " (1, 2, 1, 1, 'completed', 1)",
        "broken_attempts",
        False,
    ),
    ("UPDATE task_inputs SET producer = 2", "broken_producers", False),
    (LOCKED, "broken_holds", True),
    ("UPDATE entries SET children = 9 WHERE name = 'stor'", "broken_directories", True),
    ("INSERT INTO keys (login, fingerprint, public) VALUES ('nan', 'ff', '')", "broken_keys", True),
    ("DELETE FROM entries WHERE dir = '/jill/stor' AND name = 'd'", verification.PARENT, True),
]


def store_bytes(blobs: BlobStore, name: str, data: bytes) -> NewObject:
    """A blob, and the object that it is to be."""
    fd = blobs.create()
    os.write(fd, data)
    blobs.publish(fd, id_of(name))
    os.close(fd)
    md5 = base64.b64encode(hashlib.md5(data).digest()).decode()
    return NewObject(f"/jill/stor/{name}", id_of(name), len(data), md5)


@pytest.fixture
async def store(tmp_path: Path):
    where = database_at(tmp_path / "remora.db")
    db, blobs = open_database(where), BlobStore(tmp_path / "blobs")
    tmp_path.chmod(0o700)
    objects = [store_bytes(blobs, "o", b"one"), store_bytes(blobs, "d/p", b"two"), store_bytes(blobs, "q", b"")]
    store_bytes(blobs, "part", b"part")
    below = f"/jill/jobs/{JOB}/stor"

    def fill(c):
        accounts.create(c, "jill", 1)
        namespace.make_directories(c, "/jill/stor/d", 1)
        namespace.make_directories(c, below, 1)
        namespace.put_objects(c, objects, 1)
        namespace.put_link(c, "/jill/stor/o", f"{below}/linked")
        for statement in RECORDS:
            c.plain(statement)

    await db.write(fill)
    blobs.discard([id_of("q")])  # an empty object has no file
    yield db, blobs
    db.close()
    blobs.close()


async def found(db: Database, blobs: BlobStore, **more) -> dict[str, list]:
    """The findings by rule."""
    summary, rules = verify.Summary(), {}
    async for finding in verify.verify(db, blobs, summary, progress=lambda _: None, **({"grace_ms": 0} | more)):
        rules.setdefault(finding.rule, []).append(finding)
    return rules


async def test_a_healthy_store_has_no_findings_and_is_counted(store):
    db, blobs = store
    summary = verify.Summary()
    assert [f async for f in verify.verify(db, blobs, summary, grace_ms=0, deep=True, progress=lambda _: None)] == []
    assert (summary.references, summary.files, summary.bytes_read) == (4, 3, 6)


@pytest.mark.parametrize(("damage", "rule", "mendable"), DAMAGE)
async def test_damage_of_records_is_found_and_mended_where_that_is_safe(store, damage, rule, mendable):
    db, blobs = store
    await db.write(lambda c: c.plain(f"{damage} RETURNING 1"))
    rules = await found(db, blobs)
    assert rule in rules
    for finding in [one for kind in list(rules) for one in rules[kind]]:
        done = await verify.repair(db, blobs, finding)
        assert done == (finding.rule in verify.REPAIRABLE)
    assert (rule in verify.REPAIRABLE) == mendable
    assert (await found(db, blobs) == {}) == mendable


async def test_bytes_that_are_missing_too_few_or_others_are_found_and_stay_as_they_are(store):
    db, blobs = store
    os.unlink(blobs.path(id_of("part")))
    os.chmod(blobs.path(id_of("o")), 0o600)
    blobs.path(id_of("o")).write_bytes(b"on")
    os.chmod(blobs.path(id_of("d/p")), 0o600)
    blobs.path(id_of("d/p")).write_bytes(b"TWO")
    rules = await found(db, blobs)
    assert set(rules) == {verification.MISSING, verification.SIZE}
    assert rules[verification.MISSING][0].sentence == f'the bytes of "part" are missing: blob {id_of("part")}'
    assert {one.details["name"] for one in rules[verification.SIZE]} == {
        "/jill/stor/o",
        f"/jill/jobs/{JOB}/stor/linked",
    }
    rules = await found(db, blobs, deep=True)
    assert [one.details["name"] for one in rules[verification.MD5]] == ["/jill/stor/d/p"]
    assert not any([await verify.repair(db, blobs, one) for kind in rules.values() for one in kind])


async def test_bytes_without_a_name_are_found_once_they_are_old_and_removed(store):
    db, blobs = store
    lost = store_bytes(blobs, "lost", b"12345").etag
    assert await found(db, blobs, grace_ms=60_000) == {}
    (finding,) = (await found(db, blobs))[verification.NAMELESS]
    assert finding.sentence == f"blob {lost}, 5 bytes, has no name"
    await db.write(lambda c: namespace.put_objects(c, [NewObject("/jill/stor/late", lost, 5, "")], 1))
    assert not await verify.repair(db, blobs, finding)
    assert blobs.path(lost).exists()
    await db.write(lambda c: namespace.delete(c, "/jill/stor/late"))
    assert await verify.repair(db, blobs, finding)
    assert not blobs.path(lost).exists()


async def test_what_is_named_between_two_readings_is_no_finding(store):
    db, blobs = store
    verifier = verification.Verifier(db, blobs, 1 << 50)
    new = store_bytes(blobs, "new", b"xyz")
    await db.write(lambda c: namespace.put_objects(c, [new], 1))
    needed = verification.Reference(new.etag, "new", 3)
    assert await verifier.check([needed], {}) == []  # the store was listed before it was there
    await db.write(lambda c: namespace.delete(c, "/jill/stor/new"))
    blobs.discard([new.etag])
    assert await verifier.check([needed], {}) == []  # the records were read before it was deleted


async def test_pages_of_references_lose_none(store, monkeypatch):
    monkeypatch.setattr(verification, "PAGE", 2)
    db, blobs = store
    many = [store_bytes(blobs, f"n{number}", b"x") for number in range(40)]
    await db.write(lambda c: namespace.put_objects(c, many, 1))
    summary = verify.Summary()
    assert [f async for f in verify.verify(db, blobs, summary, grace_ms=0, progress=lambda _: None)] == []
    blobs.discard([one.etag for one in many])
    assert len((await found(db, blobs))[verification.MISSING]) == 40


async def test_one_job_is_checked_alone_archived_or_not(store):
    db, blobs = store

    async def of(text: str) -> list[str]:
        job = await db.read(lambda c: find_job(c, text))
        checked = verify.verify_job(db, blobs, verify.Summary(), job, progress=lambda _: None)
        return [finding.rule async for finding in checked]

    await db.write(lambda c: c.plain("UPDATE entries SET children = 9 WHERE name = 'd' RETURNING 1"))
    assert await of(JOB[:8]) == []
    await db.write(lambda c: c.plain(f"{UNLISTED} RETURNING 1"))
    os.unlink(blobs.path(id_of("o")))
    assert await of("last") == ["broken_counters_of_jobs", verification.MISSING]
    await db.write(lambda c: c.plain("DELETE FROM jobs RETURNING 1"))
    assert await of(JOB) == [verification.MISSING]
    for text, why in (("0000", "there is no job"), ("../..", "neither the id"), ("last", "no job on record")):
        with pytest.raises(StateError, match=why):
            await db.read(lambda c, text=text: find_job(c, text))


async def test_the_command_says_what_is_wrong_mends_it_and_ends_with_1(store, tmp_path):
    db, _ = store
    if ENGINE != "sqlite":
        pytest.skip("a state directory has its records in a file")

    def remora(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command("remora", *words), capture_output=True, text=True, timeout=60)

    words = ["verify", "--state-dir", str(tmp_path)]
    done = remora(*words)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "compared 17 rules, 4 names with bytes, 3 files: nothing is wrong\n"
    await db.write(lambda c: c.plain("UPDATE entries SET children = 9 WHERE name = 'd' RETURNING 1"))
    done = remora(*words)
    assert (done.returncode, done.stdout) == (1, "/jill/stor/d counts 9 entries, but has 1\n")
    assert "1 finding: --repair mends some of them" in done.stderr
    done = remora(*words, "--json", "--repair")
    finding, summary = map(json.loads, done.stdout.splitlines())
    assert done.returncode == 0
    assert finding == {
        "rule": "broken_directories",
        "message": "/jill/stor/d counts 9 entries, but has 1",
        "job": None,
        "repairable": True,
        "repaired": True,
    }
    assert summary["summary"]["repaired"] == 1
    assert remora(*words, "00000000").stderr == (
        'remora verify: error: there is no job "00000000", neither on record nor archived\n'
    )
