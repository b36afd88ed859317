"""Many objects at once, through the command line's own client."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from hashlib import md5
from itertools import groupby

from cli.bulk.batch import MOST_BYTES, MOST_FILES, Batch, Small
from cli.client.jobs import Jobs
from cli.client.session import Session
from cli.client.settings import Options, load
from scheduler.model import names
from tests.support.services.service import Service

PARALLEL = 8


@contextmanager
def client(service: Service) -> Iterator[Session]:
    """A session for the service's own account; for root also if the service is another user's, as with sudo."""
    owner = str(service.state_dir.stat().st_uid)
    with Session(load(Options(), {**service.env, "SUDO_UID": owner})) as session:
        yield session


def put_many(session: Session, objects: Mapping[str, bytes]) -> None:
    """Store objects, the small ones of one directory in batches; their directories must be there."""
    for path in objects:
        if len(objects[path]) > MOST_BYTES:
            session.call("PUT", path, body=objects[path])
    small_ones = sorted(path for path in objects if len(objects[path]) <= MOST_BYTES)
    for _, paths in groupby(small_ones, key=lambda path: names.split(path)[0]):
        batch = Batch()
        for path in paths:
            digest = b64encode(md5(objects[path], usedforsecurity=False).digest()).decode()
            small = Small(path, path, objects[path], digest, {})
            if len(batch.files) == MOST_FILES or not batch.add(small):
                send(session, batch)
                batch = Batch()
                batch.add(small)
        send(session, batch)


def send(session: Session, batch: Batch) -> None:
    problems = [problem for _, problem in batch.send(session) if problem]
    assert not problems, problems


def get_many(session: Session, paths: Iterable[str]) -> list[bytes]:
    """The bytes of each object, in order."""
    with ThreadPoolExecutor(PARALLEL) as pool:
        return list(pool.map(lambda path: session.call("GET", path).content, paths))


def outputs(session: Session, job: str) -> list[str]:
    """All outputs of a job, however many."""
    return [line.decode() for line in Jobs(session).records(job, "out")]
