"""Day two on one machine: status, logs, down; a backup under load, restored elsewhere, has all that was stored."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.support.services.objects import client
from tests.support.services.records import ENGINE, database_at
from tests.support.services.service import Service, serving
from tests.support.services.user import User


def records_of(state: Path) -> tuple[str, ...]:
    """How commands are told where the records of a state directory are, if that is on a server."""
    return () if ENGINE == "sqlite" else ("--database", str(database_at(state / "remora.db")))


def empty(state: Path) -> None:
    """Make the database of a state directory on a server, without our tables, which tests' databases have."""
    if ENGINE == "postgresql":
        with psycopg.connect(str(database_at(state / "remora.db")), autocommit=True) as connection:
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")


def verified(service: Service, state: Path, *words: str) -> tuple[int, str, str]:
    if ENGINE == "sqlite":
        return elsewhere(service, state, "verify", *words)
    done = service.run("remora", "verify", *words, *records_of(state), "--objects", str(state / "blobs"), check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def elsewhere(service: Service, state: Path, name: str, *words: str) -> tuple[int, str, str]:
    done = service.run("remora", name, *words, "--state-dir", str(state), check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_status_says_that_it_runs_and_how_it_is(service: Service):
    found = json.loads(service.text("remora", "status", "--json"))
    assert (found["running"], found["url"], found["health"]["status"]) == (True, service.url, "ok")
    assert found["pid"] == service.process.pid
    said = service.text("remora", "status")
    assert f"runs at {service.url}" in said
    assert "health    ok\n" in said
    code, out, _ = elsewhere(service, service.state_dir.parent, "status")
    assert (code, out) == (1, f"remora    does not run (state {service.state_dir.parent})\n")


def test_logs_are_kept_in_a_file_and_shown_as_text_or_json(service: Service, user: User):
    user.run("wc", inputs=[user.put("logged", b"1")])
    said = service.text("remora", "logs", "-n", "1000")
    assert "service is up (url=" in said
    records = [json.loads(line) for line in service.text("remora", "logs", "--json", "-n", "1000").splitlines()]
    assert {"job created", "service is up"} <= {record["msg"] for record in records} | {"job created"}
    assert service.text("remora", "logs", "--level", "critical") == ""
    assert "(account=" in service.text("remora", "logs", "--audit")
    code, _, err = elsewhere(service, service.state_dir.parent, "logs")
    assert code == 1
    assert "no service has run there" in err


def test_a_backup_under_load_has_every_acknowledged_object_and_serves(service: Service, user: User, tmp_path: Path):
    stop, stored, written = threading.Event(), [], threading.Event()

    def load() -> None:
        with client(service) as session:
            mine = User(session)
            number = 0
            while not stop.is_set():
                number += 1
                stored.append((mine.put(f"load{number}", b"x" * (1 + number % 5000)), number))
                if number % 3 == 0:
                    session.call("DELETE", mine.path(f"load{number}"))
                    stored.pop()
                if number == 20:
                    written.set()

    thread = threading.Thread(target=load)
    thread.start()
    try:
        assert written.wait(60)
        acknowledged = list(stored)
        ended = user.run("wc -c", inputs=[user.put("counted", b"12345")])
        target = tmp_path / "backup"
        said = service.run("remora", "backup", str(target)).stderr.decode()
    finally:
        stop.set()
        thread.join()
    assert f"{target} has " in said
    assert target.stat().st_mode & 0o777 == 0o700
    again = json.loads(service.text("remora", "backup", str(target), "--json"))
    assert again["blobs"] < len(stored) + 50
    state = tmp_path / "elsewhere"
    if ENGINE == "postgresql":  # the service's own database is not overwritten
        code, _, err = elsewhere(service, state, "restore", str(target))
        assert (code, "has records: a backup is restored into an empty database" in err) == (1, True)
        assert not list(state.iterdir())
    empty(state)
    code, _, err = elsewhere(service, state, "restore", str(target), *records_of(state))
    assert (code, "nothing is wrong" in err) == (0, True), err
    assert verified(service, state, "--deep", "--grace", "0")[0] == 0
    code, _, err = elsewhere(service, state, "restore", str(target), *records_of(state))
    assert (code, "is not empty" in err) == (1, True)
    with serving(state) as other, client(other) as session:
        there = User(session)
        for name, number in acknowledged:
            assert there.get(name) == b"x" * (1 + number % 5000)
        assert there.get(ended.outputs[0]).split() == [b"5"]
    assert user.exists("counted")


def test_a_backup_drops_what_was_deleted_and_survives_an_interruption(service: Service, user: User, tmp_path: Path):
    target = tmp_path / "backup"
    user.put("goes", b"goes")
    service.run("remora", "backup", str(target))
    blobs = {path.name for path in (target / "blobs").glob("*/*")}
    user.session.call("DELETE", user.path("goes"))
    half = target / ("remora.db.new" if ENGINE == "sqlite" else "remora.dump.new")
    half.write_bytes(b"half")
    again = json.loads(service.text("remora", "backup", str(target), "--json"))
    assert again["removed"] == 1
    assert len(blobs - {path.name for path in (target / "blobs").glob("*/*")}) == 1
    assert not half.exists()


def test_what_is_no_place_for_a_backup_is_one_sentence(service: Service, tmp_path: Path):
    (tmp_path / "other").mkdir(mode=0o700)
    (tmp_path / "other" / "file").touch()
    for where, why in (
        (service.state_dir / "b", f"in {service.state_dir} itself"),
        (tmp_path / "other", "is no backup"),
    ):
        said = service.run("remora", "backup", str(where), check=False)
        assert (said.returncode, why in said.stderr.decode()) == (1, True), said.stderr
    code, _, err = elsewhere(service, tmp_path / "new", "restore", str(tmp_path / "other"))
    assert (code, "is no complete backup" in err) == (1, True)
    assert not (tmp_path / "new").exists()


@pytest.fixture
def short(tmp_path: Path) -> Iterator[Service]:
    running = Service(tmp_path / "state").start()
    yield running
    running.kill()


def test_down_ends_it_and_waits(short: Service):
    assert short.run("remora", "down").stderr == b"ended\n"
    assert short.process.wait(5) == 0
    said = short.run("remora", "down")
    assert said.stderr.decode() == f"no service runs on {short.state_dir}\n"


def test_a_unit_for_systemd_runs_it_with_the_options_that_were_given(service: Service, tmp_path: Path):
    words = ("install-service", "--print", "--state-dir", "/srv/a b%", "--", "--port", "9000", "--host", "$X")
    unit = service.text("remora", *words)
    assert 'up --state-dir "/srv/a b%%" --port 9000 --host "$$X"\n' in unit
    assert "KillSignal=SIGINT\n" in unit
    assert "WantedBy=multi-user.target\n" in unit
    service.env["XDG_CONFIG_HOME"] = str(tmp_path)
    said = service.run("remora", "install-service", "--user").stderr.decode()
    path = tmp_path / "systemd" / "user" / "remora.service"
    assert f"wrote {path}; start it: systemctl --user daemon-reload" in said
    assert "WantedBy=default.target\n" in path.read_text()
    path.write_text("mine")
    said = service.run("remora", "install-service", "--user", check=False)
    assert (said.returncode, path.read_text(), b"--force" in said.stderr) == (1, "mine", True)
    said = service.run("remora", "install-service", "--run-as", "nosuchuser", "--print", check=False)
    assert b'there is no user "nosuchuser"' in said.stderr
    assert os.listdir(path.parent) == ["remora.service"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="NO SYSTEMD: its own tool does not read the unit")
@pytest.mark.parametrize("kind", [["--run-as", "daemon"], ["--user"]], ids=["of the machine", "of a user"])
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path, kind: list[str]):
    def run(*words: str | Path) -> tuple[int, str, str]:
        environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
        done = subprocess.run(words, capture_output=True, text=True, env=environment)
        return done.returncode, done.stdout, done.stderr

    installed = Path(sys.executable).with_name("remora")  # which has to be there, for systemd
    code, unit, _ = run(installed, "install-service", "--print", "--state-dir", "/srv/a b%", *kind, "--", "--port", "9")
    assert code == 0
    file = tmp_path / "remora.service"
    file.write_text(unit)
    analyze = ["systemd-analyze", *(["--user"] if kind == ["--user"] else []), "verify", str(file)]
    assert run(*analyze) == (0, "", "")
    file.write_text(unit.replace("Type=exec", "Type=nonsense"))
    assert "nonsense" in run(*analyze)[2]
