"""A fork of the fork server is what a started command is: words, environment, streams, signals and status."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.version import VERSION
from tests.support.services.forks import USUAL, Fork, run_command, start_command


@pytest.fixture
def asking() -> Iterator[subprocess.Popen[bytes]]:
    """A command that waits for the answer of a service that never gives one."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        env = {**USUAL, "MANTA_URL": url, "MANTA_USER": "jill", "MANTA_NO_AUTH": "true"}
        pipes = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE)
        with start_command("mls", "/jill/stor", env=env, **pipes) as process, silent.accept()[0]:
            yield process
            process.kill()


def test_a_fork_prints_and_ends_with_its_status() -> None:
    done = run_command("remora", "version", env=USUAL)
    assert (done.returncode, done.stderr) == (0, b"")
    assert VERSION in done.stdout.decode()
    wrong = run_command("mls", "--no-such-option", env=USUAL)
    assert (wrong.returncode, wrong.stdout) == (1, b"")
    assert b"--no-such-option" in wrong.stderr


def test_a_fork_has_the_directory_and_the_environment_that_it_was_given(tmp_path: Path) -> None:
    (tmp_path / "here").write_bytes(b"a")
    env = {**USUAL, "MANTA_URL": "http://127.0.0.1:1", "MANTA_USER": "jill", "MANTA_NO_AUTH": "true"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with start_command("mput", "-f", "here", "/jill/stor/x", env=env, cwd=tmp_path, **pipes) as process:
        assert "http://127.0.0.1:1" in process.communicate(timeout=60)[0]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)])
def test_a_signal_ends_a_fork_as_it_ends_a_process(asking: subprocess.Popen[bytes], number: int, status: int) -> None:
    assert isinstance(asking, Fork)
    assert asking.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        asking.wait(0)
    asking.send_signal(number)
    assert asking.wait(60) == status


def test_what_python_reads_at_its_start_gets_a_process_of_its_own() -> None:
    for more in ({"LC_ALL": "C"}, {"PYTHONUTF8": "0"}, {"PATH": "/nowhere"}):
        with start_command("remora", "version", env={**USUAL, **more}, stdout=subprocess.PIPE) as process:
            assert not isinstance(process, Fork)
            assert process.communicate(timeout=60)[0]


def test_a_fork_has_no_descriptor_of_the_server(asking: subprocess.Popen[bytes]) -> None:
    kept = {fd: os.readlink(f"/proc/{asking.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{asking.pid}/fd")}
    assert not [what for fd, what in kept.items() if int(fd) > 2 and what.startswith(("pipe:", "/memfd:"))]
