"""What the client does when a service knows less than ours, or something goes wrong."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cli.client import jobs as client_jobs
from cli.client import objects, transfer
from cli.client.jobs import Jobs
from cli.client.problem import Problem, Refused
from cli.client.tree import Walk
from tests.support.services.plain_manta import Manta, Reply, manta, md5

DATA = bytes(range(256)) * 1000


@pytest.fixture
def service() -> Iterator[Manta]:
    with manta() as running:
        yield running


def status(state: str, done: int) -> Reply:
    return Reply(body=json.dumps({"state": state, "stats": {"tasksDone": done}}).encode())


def fetch(service: Manta) -> bytes:
    got: list[bytes] = []
    with service.session() as session:
        transfer.get(session, "/jill/stor/a", got.append)
    return b"".join(got)


def test_a_transfer_that_breaks_off_is_resumed_where_it_stopped(service: Manta) -> None:
    whole = Reply(body=DATA, headers={"etag": "e1", **md5(DATA)}, cut=100_000)
    rest = Reply(206, DATA[100_000:], {"etag": "e1", "content-range": "bytes 100000-255999/256000"})
    service.replies["GET /jill/stor/a"] = [whole, rest]
    assert fetch(service) == DATA
    assert service.seen[1].headers["range"] == "bytes=100000-"
    assert service.seen[1].headers["if-match"] == "e1"


def test_a_transfer_is_not_resumed_if_the_object_has_changed(service: Manta) -> None:
    service.replies["GET /jill/stor/a"] = [
        Reply(body=DATA, headers={"etag": "e1"}, cut=100_000),
        Reply(412, b'{"code":"PreconditionFailed","message":"it changed"}'),
    ]
    with pytest.raises(Refused, match="PreconditionFailedError: it changed"):
        fetch(service)


def test_a_transfer_that_always_breaks_off_ends_in_an_error(service: Manta) -> None:
    service.replies["GET /jill/stor/a"] = [
        Reply(body=DATA, headers={"etag": "e1"}, cut=10),
        Reply(206, b"", {"etag": "e1", "content-range": "bytes 10-255999/256000"}),
    ]
    with pytest.raises(Problem, match="DownloadError: /jill/stor/a: got 10 of 256000 bytes"):
        fetch(service)
    assert service.asked["GET /jill/stor/a"] == transfer.ATTEMPTS


def test_a_server_that_ignores_the_range_is_not_believed(service: Manta) -> None:
    service.replies["GET /jill/stor/a"] = [
        Reply(body=DATA, headers={"etag": "e1"}, cut=10),
        Reply(200, DATA, {"etag": "e1"}),
    ]
    with pytest.raises(Problem, match="DownloadError: /jill/stor/a: the service cannot resume"):
        fetch(service)


def test_a_wrong_checksum_is_an_error(service: Manta) -> None:
    service.replies["GET /jill/stor/a"] = [Reply(body=DATA, headers=md5(b"other"))]
    with pytest.raises(Problem, match="ChecksumError"):
        fetch(service)


def test_a_file_is_sent_again_after_a_failure_of_the_service(
    service: Manta, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    delays: list[float] = []
    monkeypatch.setattr("cli.client.transport.retry.time.sleep", delays.append)
    service.replies["PUT /jill/stor/a"] = [Reply(503), Reply(503), Reply(204)]
    (tmp_path / "a").write_bytes(DATA)
    with service.session() as session:
        transfer.put_file(session, "/jill/stor/a", str(tmp_path / "a"), {})
    assert [one.body for one in service.seen] == [DATA] * 3
    assert delays == [1.0, 2.0]


@pytest.mark.parametrize("code", [403, 412])
def test_a_file_that_is_refused_is_not_sent_again(service: Manta, tmp_path: Path, code: int) -> None:
    service.replies["PUT /jill/stor/a"] = [Reply(code)]
    (tmp_path / "a").write_bytes(b"1")
    with service.session() as session, pytest.raises(Refused):
        transfer.put_file(session, "/jill/stor/a", str(tmp_path / "a"), {})
    assert service.asked["PUT /jill/stor/a"] == 1


def test_without_waiting_status_is_asked_more_and_more_seldom(service: Manta, monkeypatch: pytest.MonkeyPatch) -> None:
    delays: list[float] = []
    monkeypatch.setattr("cli.client.jobs.time.sleep", delays.append)
    service.replies["GET /jill/jobs/J/live/status"] = [status("running", 0)] * 11 + [status("done", 1)]
    with service.session() as session:
        assert Jobs(session).wait("J")["state"] == "done"
    backoff = [delay for delay in delays if delay >= client_jobs.FIRST_DELAY]
    assert backoff == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0, 10.0]


def test_a_list_without_paging_is_taken_as_it_is(service: Manta) -> None:
    service.replies["GET /jill/jobs/J/live/out"] = [Reply(body=b"/a\n/b\n")]
    with service.session() as session:
        assert list(Jobs(session).records("J", "out")) == [b"/a", b"/b"]
    assert service.asked["GET /jill/jobs/J/live/out"] == 1


def test_pages_are_followed_to_the_end(service: Manta) -> None:
    service.replies["GET /jill/jobs/J/live/out"] = [
        Reply(body=b"/a\n/b\n", headers={"X-Remora-Next": "2"}),
        Reply(body=b"/c\n"),
    ]
    with service.session() as session:
        assert list(Jobs(session).records("J", "out")) == [b"/a", b"/b", b"/c"]


def test_what_is_no_longer_live_is_read_from_the_archive(service: Manta) -> None:
    service.replies["GET /jill/jobs/J/out.txt"] = [Reply(body=b"/a\n/b\n")]
    service.replies["GET /jill/jobs/J/job.json"] = [status("done", 7)]
    with service.session() as session:
        assert list(Jobs(session).records("J", "out")) == [b"/a", b"/b"]
        assert Jobs(session).status_or_archive("J")["stats"]["tasksDone"] == 7
        assert Jobs(session).wait("J")["stats"]["tasksDone"] == 7


def test_what_the_tasks_took_is_read_from_the_archive_when_the_job_is_no_longer_live(service: Manta) -> None:
    service.replies["GET /jill/jobs/J/usage.json"] = [Reply(body=b'{"id": "J", "phases": []}')]
    with service.session() as session:
        assert Jobs(session).usage("J") == {"id": "J", "phases": []}
        with pytest.raises(Refused):
            Jobs(session).usage("K")


def test_a_failure_of_the_service_is_not_taken_for_the_end_of_a_job(service: Manta) -> None:
    service.replies["GET /jill/jobs/J/live/status"] = [Reply(503)]
    service.replies["GET /jill/jobs/J/job.json"] = [status("done", 7)]
    with service.session() as session, pytest.raises(Refused):
        Jobs(session).status_or_archive("J")


def test_a_list_that_breaks_off_is_not_begun_again_in_the_archive(service: Manta) -> None:
    gone = Reply(404, b'{"code":"ResourceNotFound","message":"gone"}')
    service.replies["GET /jill/jobs/J/live/out"] = [Reply(body=b"/a\n", headers={"X-Remora-Next": "1"}), gone]
    service.replies["GET /jill/jobs/J/out.txt"] = [Reply(body=b"/a\n/b\n")]
    with service.session() as session, pytest.raises(Refused):
        list(Jobs(session).records("J", "out"))


def test_the_list_of_jobs_of_a_name_is_followed_to_the_end(service: Manta) -> None:
    service.replies["GET /jill/jobs"] = [
        Reply(body=b'{"name":"A"}\n{"name":"B"}\n', headers={"X-Remora-Next": "B"}),
        Reply(body=b'{"name":"C"}\n'),
    ]
    with service.session() as session:
        assert [entry["name"] for entry in Jobs(session).listing(name="n")] == ["A", "B", "C"]


def test_errors_without_a_body_are_named_by_their_status(service: Manta) -> None:
    service.replies["GET /jill/stor/a"] = [Reply(503, b"<html>busy</html>")]
    with pytest.raises(Refused, match="ServiceUnavailableError: Service Unavailable"):
        fetch(service)


def test_a_walk_that_is_abandoned_leaves_no_thread(service: Manta) -> None:
    lines = b"".join(b'{"name":"%05d","type":"object"}\n' % number for number in range(1000))
    service.replies["GET /jill/stor"] = [Reply(body=lines)]
    with service.session() as session:
        walk = Walk(session, "/jill/stor", parallel=4)
        results = walk.results()
        assert next(results).path == "/jill/stor/00000"
        results.close()
        assert not any(thread.is_alive() for thread in walk.threads)


def test_a_walk_reports_what_it_may_not_list(service: Manta) -> None:
    service.replies["GET /jill/stor"] = [Reply(body=b'{"name":"d","type":"directory"}\n')]
    service.replies["GET /jill/stor/d"] = [Reply(403, b'{"code":"AuthorizationFailed","message":"no"}')]
    with service.session() as session, pytest.raises(Refused, match="AuthorizationFailedError: no"):
        list(Walk(session, "/jill/stor", parallel=2).results())


def test_a_server_of_another_kind_is_told_apart(service: Manta) -> None:
    directory = {"content-type": "application/x-json-stream; type=directory"}
    service.replies["GET /jill/stor"] = [Reply(body=b"<html>hello</html>", headers=directory)]
    with service.session() as session, pytest.raises(Problem, match="did not answer as Manta does"):
        list(objects.entries(session, "/jill/stor"))


def test_a_file_that_grows_is_stored_as_it_was(service: Manta, tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_bytes(b"x" * 1000)
    service.replies["PUT /jill/stor/a"] = [Reply(204)]

    def grow(_: int) -> None:
        with file.open("ab") as more:
            more.write(b"y" * 1000)

    with service.session() as session:
        transfer.put_file(session, "/jill/stor/a", str(file), {}, grow)
    assert service.seen[0].body == b"x" * 1000


def test_a_file_is_sent_again_when_the_service_comes_back(
    service: Manta, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(DATA)
    service.replies["PUT /jill/stor/a"] = [Reply(204)]
    service.replies["HEAD /jill/stor"] = [Reply(204)]
    with service.session() as session, socket.create_server(("127.0.0.1", 0)) as other:
        session.call("HEAD", "/jill/stor")  # it is there
        closed = f"http://127.0.0.1:{other.getsockname()[1]}"
        other.close()
        monkeypatch.setattr("cli.client.transport.connection.time.sleep", lambda _: None)
        pool = session._the_pool()
        monkeypatch.setattr(pool, "_url", closed)  # and now it is away
        delays: list[float] = []

        def comes_back(delay: float) -> None:
            delays.append(delay)
            if len(delays) == 6:
                pool._url = service.url

        monkeypatch.setattr("cli.client.transport.retry.time", Clock(comes_back))
        transfer.put_file(session, "/jill/stor/a", str(tmp_path / "a"), {})
    assert service.seen[-1].body == DATA
    assert len(delays) == 6


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self, slept: Callable[[float], None]) -> None:
        self.now = 0.0
        self._slept = slept

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds / 2
        self._slept(seconds)


def stored_by(service: Manta, directory: Path) -> tuple[int, str]:
    """`mput -r` of a directory's contents to `/jill/stor`; its exit status and what it said."""
    words = [sys.executable, "-c", "from cli.main import mput; mput()", "--parallel", "1", "-r", ".", "/jill/stor"]
    environ = {"PATH": os.environ["PATH"], "HOME": str(directory), "PYTHONPATH": str(Path(__file__).parents[3])}
    environ |= service.environ()
    done = subprocess.run(words, cwd=directory, env=environ, capture_output=True, text=True)
    return done.returncode, done.stderr


@pytest.mark.parametrize("status", [404, 405])
def test_small_files_go_one_by_one_to_a_service_that_knows_no_batches(
    service: Manta, tmp_path: Path, status: int
) -> None:
    for name in ("a", "b/c"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    directory = {"content-type": "application/x-json-stream; type=directory"}
    service.replies["HEAD /jill/stor"] = service.replies["GET /jill/stor"] = [Reply(headers=directory)]
    service.replies["POST /jill/stor"] = [Reply(status)]
    for path in ("a", "b", "b/c"):
        service.replies[f"PUT /jill/stor/{path}"] = [Reply(204)]
    assert stored_by(service, tmp_path) == (0, "mput: 2 stored\n")
    assert [count for key, count in service.asked.items() if key.startswith("POST ")] == [1]
    assert [seen.body for seen in service.seen if seen.headers.get("content-md5")] == [b"a", b"b/c"]


def test_what_is_refused_for_all_is_said_for_each(service: Manta, tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_text(name)
    directory = {"content-type": "application/x-json-stream; type=directory"}
    service.replies["HEAD /jill/stor"] = service.replies["GET /jill/stor"] = [Reply(headers=directory)]
    service.replies["POST /jill/stor"] = [Reply(403, b'{"code":"AuthorizationFailed","message":"no"}')]
    said = "".join(f"mput: /jill/stor/{name}: AuthorizationFailedError: no\n" for name in "ab")
    assert stored_by(service, tmp_path) == (1, f"{said}mput: 2 failed\n")
