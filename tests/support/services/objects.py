"""Many objects at once, through the command line's own client."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from cli.client.jobs import Jobs
from cli.client.session import Session
from cli.client.settings import Options, load
from tests.support.services.service import Service

PARALLEL = 8


@contextmanager
def client(service: Service) -> Iterator[Session]:
    """A session for the service's own account; for root also if the service is another user's, as with sudo."""
    owner = str(service.state_dir.stat().st_uid)
    with Session(load(Options(), {**service.env, "SUDO_UID": owner})) as session:
        yield session


def put_many(session: Session, objects: Mapping[str, bytes]) -> None:
    """PUT each object; their directories must be there."""
    with ThreadPoolExecutor(PARALLEL) as pool:
        list(pool.map(lambda item: session.call("PUT", item[0], body=item[1]).status_code, objects.items()))


def get_many(session: Session, paths: Iterable[str]) -> list[bytes]:
    """The bytes of each object, in order."""
    with ThreadPoolExecutor(PARALLEL) as pool:
        return list(pool.map(lambda path: session.call("GET", path).content, paths))


def outputs(session: Session, job: str) -> list[str]:
    """All outputs of a job, however many."""
    return [line.decode() for line in Jobs(session).records(job, "out")]
