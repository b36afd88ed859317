"""`mjob replay`: a task that failed fails in the same way on this machine."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.machine import needs_namespaces
from tests.support.services.service import Service
from tests.support.services.user import Phase, User, reduce

pytestmark = needs_namespaces
INPUT = b"three\none\ntwo\n"


def replayed(service: Service, job: str, where: Path) -> subprocess.CompletedProcess[str]:
    """Write the files of a job's first failure, and run them."""
    assert service.text("mjob", "replay", "-C", str(where), job) == f"{where}/run.sh\n"
    return subprocess.run([where / "run.sh"], capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"})


@pytest.mark.parametrize(
    ("phases", "status"),
    [
        (["echo oops >&2; cat; exit 3"], 3),
        (["kill -SEGV $$"], -11),
        (["sed s/^/x/", "echo oops >&2; tac; exit 4"], 4),
        (["sed s/^/x/", reduce("echo oops >&2; sort; exit 5")], 5),
    ],
)
def test_a_task_fails_here_as_it_did_there(
    service: Service, user: User, tmp_path: Path, phases: list[Phase], status: int
) -> None:
    failed = user.run(*phases, inputs=[user.put("words.txt", INPUT)])
    done = replayed(service, failed.job, tmp_path / "replay")
    assert done.returncode == status
    read = INPUT if len(phases) == 1 else b"xthree\nxone\nxtwo\n"
    assert (tmp_path / "replay/input").read_bytes() == read
    stderr, stdout = tmp_path / "replay/stderr", tmp_path / "replay/stdout"
    assert done.stderr == stderr.read_text() and done.stdout == stdout.read_text()


def test_assets_and_variables_are_there(service: Service, user: User, tmp_path: Path) -> None:
    tool = user.put("tool", b'#!/bin/sh\necho "$MANTA_INPUT_OBJECT" $(wc -l < "$MANTA_INPUT_FILE")\n')
    path = user.put("words.txt", INPUT)
    job = user.create({"exec": "/assets/$MANTA_USER/stor/tool; exit 6", "assets": [tool], "init": "touch /tmp/made"})
    user.add(job, path)
    user.finish(job)
    done = replayed(service, job, tmp_path / "replay")
    assert (done.stdout, done.returncode) == (f"{path} 3\n", 6)
    assert "touch /tmp/made" in (tmp_path / "replay/env").read_text() and (tmp_path / "replay/init.sh").exists()


def test_what_is_not_there_any_more_is_named(service: Service, user: User, tmp_path: Path) -> None:
    path, tool = user.put("words.txt", INPUT), user.put("gone", b"")
    job = user.create({"exec": "exit 1", "assets": [tool]})
    user.add(job, path)
    user.finish(job)
    user.session.call("DELETE", tool)
    refused = service.run("mjob", "replay", "-C", str(tmp_path / "replay"), job, check=False)
    assert refused.returncode == 1 and tool in refused.stderr.decode()
    assert b"1 file of the task could not be fetched" in refused.stderr
