"""A task that runs as the owner of its input can take a lease on it: only who wants these bytes waits for that."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from scheduler.agent.blobs.server import BlobServer
from scheduler.agent.blobs.stores import Stores
from scheduler.agent.blobs.transfer_metrics import Traffic
from scheduler.common.ids import new_id
from scheduler.gateway.storage import objects
from scheduler.model.credentials.tickets import source_of
from scheduler.model.wire import BlobRef
from scheduler.objects.blobs import BlobStore
from tests.support.services.gateway import error, running

HOLD = """
import fcntl, os, signal, sys
signal.signal(signal.SIGIO, signal.SIG_IGN)  # by which the kernel asks for it
fd = os.open(sys.argv[1], os.O_RDONLY)
fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print("held", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def leased(path: Path) -> Iterator[None]:
    """Another process has a write lease on a file, and does not give it back when it is asked to."""
    command = [sys.executable, "-P", "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield
        holder.communicate()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[BlobStore]:
    blobs = BlobStore(tmp_path / "blobs")
    yield blobs
    blobs.close()


def put(blobs: BlobStore, data: bytes) -> str:
    fd, blob = blobs.create(), new_id()
    with open(fd, "wb") as file:
        file.write(data)
        file.flush()
        blobs.publish(fd, blob)
    return blob


async def test_a_reader_of_a_leased_object_is_told_to_come_again_and_others_are_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "LEASED_SECONDS", 0.2)
    async with running(tmp_path) as gateway:
        etag = (await gateway.put("/jill/stor/input", b"input")).headers["etag"]
        with leased(gateway.context.blobs.path(etag)):
            reading = asyncio.create_task(gateway.get("/jill/stor/input"))
            while not reading.done():
                assert (await gateway.get("/ping", by=None)).status_code == 200
            told = "a task holds a lease on the bytes of /jill/stor/input: try again"
            assert error(await reading) == (503, "ServiceUnavailable", told)
        assert (await gateway.get("/jill/stor/input")).content == b"input"


def test_opening_a_leased_blob_does_not_wait(store: BlobStore) -> None:
    blob = put(store, b"x")
    # One that waited would break the lease after 45 s, and succeed.
    with leased(store.path(blob)), pytest.raises(BlockingIOError):
        store.open(blob)


def test_a_thread_waits_until_the_lease_is_over(store: BlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    blob = put(store, b"x")
    refused = threading.Event()
    opened: list[int] = []
    plain = store.open

    def watched(wanted: str) -> int:
        try:
            return plain(wanted)
        except BlockingIOError:
            refused.set()
            raise

    monkeypatch.setattr(store, "open", watched)
    thread = threading.Thread(target=lambda: opened.append(Stores.one(store).open_in_thread(BlobRef(id=blob, size=1))))
    with leased(store.path(blob)):
        thread.start()
        assert refused.wait(10)
        assert opened == []
    thread.join(10)
    os.close(opened.pop())


async def test_another_node_that_wants_a_leased_intermediate_is_told_at_once(store: BlobStore) -> None:
    blob = put(store, b"x")
    exchange = BlobServer(store, "key", Traffic())
    port = exchange.start("127.0.0.1", 0)
    url = source_of(f"http://127.0.0.1:{port}", "key", blob, "n2")
    try:
        with leased(store.path(blob)):
            assert (await asyncio.to_thread(httpx.get, url)).status_code == 503
        assert (await asyncio.to_thread(httpx.get, url)).content == b"x"
    finally:
        exchange.close()
