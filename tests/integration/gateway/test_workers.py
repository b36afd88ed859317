"""`remora up --workers N`: processes that share an address and a file of records serve as one."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from cli.client.jobs import Jobs
from cli.client.session import Session
from cli.client.settings import Options, load
from tests.support.eventually import eventually_here
from tests.support.services.records import ENGINE
from tests.support.services.service import Service

pytestmark = pytest.mark.skipif(ENGINE != "sqlite", reason="workers share a file of records")
MANY = 40  # connections: that all of them come to one process has a chance of one in 2 ** 39
JOB = b'{"phases": [{"exec": "wc -c"}]}'


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    running = Service(tmp_path / "state", ("--workers", "2")).start()
    yield running
    if running.process is not None:
        assert running.stop() == 0


def workers(service: Service) -> list[int]:
    """The processes that listen on the service's port, the service itself first."""
    assert service.process is not None
    main = service.process.pid
    children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
    return [main, *(int(pid) for pid in children if listens(int(pid), urlsplit(service.url).port))]


def listens(pid: int, port: int | None) -> bool:
    held = sockets(pid)
    lines = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    return any(f"socket:[{line[9]}]" in held for line in lines if line[1].endswith(f":{port:04X}") and line[3] == "0A")


def client(service: Service) -> Session:
    return Session(load(Options(), service.env))


def sockets(pid: int) -> set[str]:
    """The sockets that a process has open."""
    found = set()
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):  # it has been closed
            found.add(os.readlink(file))
    return {name for name in found if name.startswith("socket:")}


def test_connections_are_divided_among_processes(service: Service) -> None:
    pids = workers(service)
    assert len(pids) == 2
    before = [len(sockets(pid)) for pid in pids]
    address = urlsplit(service.url)
    with ExitStack() as stack:
        for _ in range(MANY):
            stack.enter_context(socket.create_connection((address.hostname, address.port)))
        eventually_here(lambda: sum(len(sockets(pid)) for pid in pids) == sum(before) + MANY, "all are accepted")
        assert all(len(sockets(pid)) > was for pid, was in zip(pids, before, strict=True))


def test_each_process_serves_objects_and_jobs_of_the_other(service: Service) -> None:
    """Each request is one of a new connection, so that a job's steps come to both."""
    for number in range(8):
        path = f"/{client(service).settings.account}/stor/o{number}"
        with client(service) as session:
            session.call("PUT", path, body=b"x" * number)
        with client(service) as session:
            job = Jobs(session).create(JOB)
        with client(service) as session:
            Jobs(session).add_inputs(job, [path.encode()])
        with client(service) as session:
            Jobs(session).end_input(job)
        with client(service) as session:
            assert Jobs(session).wait(job)["state"] == "done"
            (output,) = Jobs(session).records(job, "out")
            assert session.call("GET", output.decode()).content.split() == [b"%d" % number]


def test_a_worker_ends_with_the_service(service: Service) -> None:
    _, worker = workers(service)
    assert service.process is not None
    os.kill(service.process.pid, signal.SIGKILL)
    eventually_here(lambda: not Path(f"/proc/{worker}").exists(), "the worker has ended")
    service.kill()


def test_without_its_worker_the_service_serves_on(service: Service) -> None:
    _, worker = workers(service)
    os.kill(worker, signal.SIGKILL)
    eventually_here(lambda: "a worker has ended" in service.log.read_text(), "the log says so")
    for _ in range(8):
        with client(service) as session:
            session.call("GET", f"/{session.settings.account}/stor")
