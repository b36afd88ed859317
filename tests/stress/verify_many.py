"""`remora verify` of a store with a million objects: seconds, and memory.

    python tests/stress/verify_many.py [--objects 1000000] [--bar 300] [--deep]

The store is made without a service: files of one byte in the store's shards, and their names in the records, a thousand
in a directory. Then one blob is removed and one is added, and exactly these two have to be found.

The exit status is 1 if verification took longer than `--bar` seconds, or found anything else.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from scheduler.common.ids import new_id
from scheduler.objects import namespace
from scheduler.objects.blobs import BlobStore, name_of
from scheduler.objects.entries import NewObject
from scheduler.records import accounts
from scheduler.records.database import Connection, open_database
from tests.support.services.forks import command

PAGE = 1000
MD5 = base64.b64encode(hashlib.md5(b"x").digest()).decode()


def make_blobs(root: Path, number: int) -> list[str]:
    """A page of files of one byte."""
    blobs = [new_id() for _ in range(number)]
    for blob in blobs:
        fd = os.open(root / name_of(blob), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o444)
        os.write(fd, b"x")
        os.close(fd)
    return blobs


def make_store(state: Path, objects: int) -> list[str]:
    """Records and blobs; returns the ids of the first page."""
    db, store = open_database(state / "remora.db"), BlobStore(state / "blobs")
    for shard in range(256):
        (store.root / f"{shard:02x}").mkdir(mode=0o711, exist_ok=True)
    db.write_soon(lambda c: accounts.create(c, "jill", 1)).result()
    first: list[str] = []
    try:
        for page in range(-(-objects // PAGE)):
            blobs = make_blobs(store.root, min(PAGE, objects - page * PAGE))
            first = first or blobs

            def name(c: Connection, page: int = page, blobs: list[str] = blobs) -> None:
                directory = f"/jill/stor/{page}"
                namespace.make_directories(c, directory, 1)
                made = [NewObject(f"{directory}/{at}", blob, 1, MD5) for at, blob in enumerate(blobs)]
                namespace.put_objects(c, made, 1)

            db.write_soon(name).result()
            if page % 100 == 99:
                print(f"made {(page + 1) * PAGE} objects", flush=True)
    finally:
        db.close()
        store.close()
    return first


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--objects", type=int, default=1_000_000)
    parser.add_argument("--bar", type=float, default=300.0)
    parser.add_argument("--deep", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        state = Path(directory)
        began = time.monotonic()
        first = make_store(state, options.objects)
        print(f"made in {time.monotonic() - began:.0f} s", flush=True)
        (state / "blobs" / name_of(first[0])).unlink()
        (extra,) = make_blobs(state / "blobs", 1)
        words = ["verify", "--state-dir", directory, "--grace", "0", "--json", *(["--deep"] if options.deep else [])]
        began = time.monotonic()
        done = subprocess.run(command("remora", *words), capture_output=True, text=True)
        took = time.monotonic() - began
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    messages = [one["message"] for one in found if "message" in one]
    right = len(messages) == 2 and all(any(blob in said for said in messages) for blob in (first[0], extra))
    cpu = used.ru_utime + used.ru_stime
    print(f"verified {options.objects} objects in {took:.1f} s (bar {options.bar:g}), {cpu:.1f} s of CPU")
    print(f"{used.ru_maxrss >> 10} MB; found {messages or done.stderr}")
    return 0 if right and took <= options.bar else 1


if __name__ == "__main__":
    sys.exit(main())
