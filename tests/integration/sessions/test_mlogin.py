"""Our `mlogin` on a terminal, against the real service: shells, commands, keys, and every kind of end."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.support.machine import needs_namespaces
from tests.support.services.service import Service
from tests.support.services.user import User
from tests.support.sessions import LOST, PROMPT, ended, session
from tests.support.terminal import Terminal

pytestmark = needs_namespaces
UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


def mlogin(service: Service, *words: str) -> AbstractContextManager[Terminal]:
    return session(service, "mlogin", *words)


def job_in(running: Terminal) -> str:
    """The id of the job, once the shell has shown its prompt."""
    job = re.search(rf" \* created interactive job -- ({UUID})", running.read_until(PROMPT).decode())
    assert job
    return job[1]


def done(status: dict[str, Any]) -> bool:
    return bool(status["state"] == "done")


def test_a_shell_has_what_a_task_has_and_ends_with_its_status(service: Service, user: User) -> None:
    with mlogin(service) as running:
        job = job_in(running)
        running.type("echo job $MANTA_JOB_ID; type -t mls mpipe; stty size\r")
        shown = running.read_until(PROMPT).decode()
        assert f"job {job}\r\nfile\r\nfile\r\n30 200\r\n" in shown
        running.type("exit 7\r")
        shown, status = ended(running)
    assert " * remote process exited" in shown and status == 7
    last = user.wait(job, done)
    assert (last["stats"]["errors"], last["cancelled"]) == (0, False)


def test_a_command_at_an_object(service: Service, user: User) -> None:
    path = user.put("lear.txt", b"king\nfool\n")
    with mlogin(service, "-q", "-c", "sort $MANTA_INPUT_FILE; exit 3", path) as running:
        shown, status = ended(running)
    assert (shown, status) == ("fool\r\nking\r\n", 3)


def test_a_program_that_a_signal_ends_has_the_status_of_a_shell(service: Service) -> None:
    with mlogin(service, "-q", "-c", "kill -9 $$") as running:
        assert ended(running)[1] == 128 + signal.SIGKILL


def test_all_of_a_long_output_is_shown(service: Service) -> None:
    with mlogin(service, "-q", "-c", "seq 200000") as running:
        shown, status = ended(running)
    assert (shown.split(), status) == ([str(number) for number in range(1, 200_001)], 0)


def test_a_flood_can_be_interrupted(service: Service) -> None:
    with mlogin(service) as running:
        job_in(running)
        running.type("yes\r")
        running.read_until(b"y\r\ny\r\ny\r\n" * 1000)
        running.type("\x03")
        running.read_until(PROMPT)
        running.type("exit\r")
        assert ended(running)[1] == 130  # as of what ran last


def test_the_escape_ends_the_session_and_its_job(service: Service, user: User) -> None:
    with mlogin(service, "-e", "%") as running:
        job = job_in(running)
        running.type("\r%i")
        running.read_until(f"Job ID: {job}".encode())
        running.type("%?")
        running.read_until(b" %.   - terminate session")
        running.type("%.")
        shown, status = ended(running)
    assert "cleaning up resources" in shown and status == LOST
    assert user.wait(job, done)["cancelled"]


def test_a_session_whose_job_is_cancelled_ends(service: Service, user: User) -> None:
    with mlogin(service) as running:
        job = job_in(running)
        user.jobs.cancel(job)
        shown, status = ended(running)
    assert "the session is over; run the same command for a new one" in shown and status == LOST


def test_an_idle_session_ends_and_says_why(service: Service) -> None:
    with mlogin(service, "--idle", "1s", "-c", "sleep 1000") as running:
        shown, status = ended(running)
    assert "session ended: nothing was typed or shown for 1 seconds" in shown and status == LOST


def test_a_client_that_is_killed_leaves_no_task(service: Service, user: User) -> None:
    with mlogin(service) as running:
        job = job_in(running)
        running.process.send_signal(signal.SIGKILL)
    assert user.wait(job, done)["stats"]["errors"] == 0


def test_a_client_that_is_told_to_end_restores_the_terminal(service: Service, user: User) -> None:
    with mlogin(service) as running:
        job = job_in(running)
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait() == 128 + signal.SIGTERM
    assert user.wait(job, done)["cancelled"]


def test_a_session_that_cannot_begin_shows_the_errors_of_its_job(service: Service) -> None:
    with mlogin(service, "-s", "~~/stor/none") as running:
        shown, status = ended(running)
    assert "IN-JOB ERROR: TaskInitError: " in shown and status == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["~~/stor/none"], "mlogin: ResourceNotFoundError: "),
        (["~~/stor"], "mlogin: mlogin only works on objects, not directories"),
        (["stor/x"], 'mlogin: "stor/x" is not a valid path'),
        (["-e", "ab"], "mlogin: escape character sequences must be a single character"),
        (["-e", "\n"], "mlogin: escape character must not be carriage return or linefeed"),
        (["a", "b"], "at most one path"),
    ],
)
def test_what_cannot_be_is_refused_before_there_is_a_job(service: Service, words: list[str], said: str) -> None:
    with mlogin(service, *words) as running:
        shown, status = ended(running)
    assert said in shown and "created" not in shown and status == 1


def test_without_a_terminal_there_is_no_session(service: Service) -> None:
    result = service.run("mlogin", check=False)
    assert (result.returncode, result.stderr) == (1, b"mlogin: stdin is not a TTY; aborting.\n")


@pytest.mark.parametrize("stop", [Service.stop, Service.kill])
def test_a_session_whose_service_goes_away_says_so(tmp_path: Path, stop: Callable[[Service], object]) -> None:
    own = Service(tmp_path / "state").start()
    try:
        with mlogin(own) as running:
            job_in(running)
            stop(own)
            shown, status = ended(running)
    finally:
        if own.process is None and stop is Service.kill:
            own.start()  # it ends the containers that the killed one left
        own.stop()
    said = "session ended: the service stops" if stop is Service.stop else "connection lost: "
    assert said in shown and "the session is over; run the same command for a new one" in shown and status == LOST
