"""Manta's own `mlogin`, unchanged, on a terminal: the screens of its documentation, its keys, and its failures."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cli.client import objects
from tests.conformance.clients import Both
from tests.support.machine import needs_namespaces
from tests.support.services.user import User
from tests.support.terminal import Terminal, terminal

pytestmark = needs_namespaces
UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
PROMPT = b"jill@manta # "
TRIES = 100
LEAR = b"king\nfool\n"


@pytest.fixture(scope="module")
def lear(both: Both, user: User) -> str:
    user.put("lear.txt", LEAR)
    return "/jill/stor/lear.txt"


@contextmanager
def mlogin(both: Both, *words: str) -> Iterator[Terminal]:
    env = both.env | {"TERM": "xterm"}
    with terminal([str(both.published / "mlogin"), *words], env, Path("/")) as running:
        running.resize(columns=90, lines=30)
        yield running


def ended(running: Terminal) -> tuple[str, int]:
    """What is shown until the program ends, and its exit status."""
    shown = running.rest().decode()
    return shown, running.process.wait()


def job_in(running: Terminal) -> str:
    """The id of the job, which is shown first; the session is established then."""
    job = re.match(rf" \* created interactive job -- ({UUID})", running.read_until(b"\n").decode())
    assert job
    running.read_until(b"established")
    return job[1]


def done(status: dict[str, Any]) -> bool:
    return bool(status["state"] == "done")


def no_configuration_is_left(user: User) -> bool:
    return not [entry for entry in objects.entries(user.session, "/jill/stor") if "medusa" in entry["name"]]


def test_a_shell_without_an_object_is_a_reduce_task(both: Both, user: User) -> None:
    with mlogin(both) as running:
        job = job_in(running)
        running.read_until(PROMPT)
        running.type("echo $((6 * 7)) $TERM $MANTA_USER $PWD; tty; ls /assets/jill/stor\r")
        shown = running.read_until(PROMPT)
        assert b"42 xterm jill /\r\r\n/dev/pts/" in shown and b"medusa-config-" in shown
        running.type("exit\r")
        shown, status = ended(running)
        assert " * remote process exited" in shown and status == 0
    status = user.wait(job, done)
    assert (status["stats"]["errors"], status["cancelled"]) == (0, False)
    assert no_configuration_is_left(user)


def test_a_shell_at_an_object_is_a_map_task(both: Both, lear: str) -> None:
    """The screens of the announcement."""
    with mlogin(both, lear) as running:
        job_in(running)
        running.read_until(PROMPT)
        running.type("echo $MANTA_INPUT_FILE; wc < $MANTA_INPUT_FILE\r")
        assert re.search(rb"/manta/jill/stor/lear.txt\r+\n *2 +2 +10\r+\n", running.read_until(PROMPT))
        running.type("exit\r")
        assert ended(running)[1] == 0


def test_a_command_instead_of_a_shell(both: Both, lear: str) -> None:
    with mlogin(both, "-q", "-c", "sort $MANTA_INPUT_FILE; exit 3", lear) as running:
        shown, status = ended(running)
    assert shown.replace("\r", "").strip() == "fool\nking" and status == 0


def test_the_size_of_the_terminal_follows_that_of_the_window(both: Both) -> None:
    with mlogin(both) as running:
        job_in(running)
        running.read_until(PROMPT)
        running.type("stty size\r")
        assert b"30 90\r" in running.read_until(PROMPT)
        running.resize(columns=132, lines=43)
        for _ in range(TRIES):  # the window's change and keys take different ways to the client
            running.type("stty size\r")
            if b"43 132\r" in running.read_until(PROMPT):
                break
        else:
            raise AssertionError("the size has not changed")
        running.type("exit\r")
        assert ended(running)[1] == 0


def test_keys_of_the_terminal_reach_the_program_in_the_foreground(both: Both) -> None:
    with mlogin(both) as running:
        job_in(running)
        running.read_until(PROMPT)
        running.type("(echo ready; cat)\r")
        running.read_until(b"ready\r")  # now the terminal echoes
        running.type("grüß\r")
        for _ in range(2):
            running.read_until("grüß\r".encode())
        running.type("\x1a")  # Ctrl-Z
        running.read_until(b"Stopped")
        running.read_until(PROMPT)
        running.type("(echo ready; sleep 1000)\r")
        running.read_until(b"ready\r")
        running.type("\x03")  # Ctrl-C
        running.read_until(PROMPT)
        running.type("fg\r")
        running.read_until(b"cat )\r")
        running.type("\x04")  # Ctrl-D
        running.read_until(PROMPT)
        running.type("exit\r")
        assert ended(running)[1] == 0


def test_escapes_are_recognised_at_the_beginning_of_a_line(both: Both, user: User) -> None:
    with mlogin(both) as running:
        job = job_in(running)
        running.read_until(PROMPT)
        running.type("\r")
        running.read_until(PROMPT)
        running.type("~?")
        running.read_until(b"Supported escape sequences:")
        running.type("\r~i")
        running.read_until(f"Job ID: {job}".encode())
        running.type("\r~.")
        assert "cleaning up resources" in ended(running)[0]
    assert user.wait(job, done)["cancelled"]


def test_a_session_whose_job_is_cancelled_ends(both: Both, user: User) -> None:
    with mlogin(both) as running:
        job = job_in(running)
        running.read_until(PROMPT)
        user.jobs.cancel(job)
        shown, status = ended(running)
    assert " * session complete" in shown and status == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["/jill/stor/none"], " * ERROR: object not found in Manta"),
        (["/jill/stor"], " * ERROR: mlogin only works on objects, not directories"),
        (["stor/lear.txt"], 'mlogin: "stor/lear.txt" is not a valid path'),
    ],
)
def test_what_is_no_object_is_refused_before_there_is_a_job(both: Both, words: list[str], said: str) -> None:
    with mlogin(both, *words) as running:
        shown, status = ended(running)
    assert said in shown and "created" not in shown and status == 1


def test_a_job_that_cannot_begin_says_why(both: Both) -> None:
    with mlogin(both, "-s", "/jill/stor/none") as running:
        shown, _ = ended(running)
    assert "IN-JOB ERROR: TaskInitError: " in shown and '"/jill/stor/none"' in shown
