"""Cancelling a job that really runs: its tasks end, and what they had not finished is nowhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.eventually import eventually_here
from tests.support.leftovers import unnamed_blobs
from tests.support.services.service import Service
from tests.support.services.user import User, reduce

INPUTS = 6
# Says that a task runs, by an object of its own.
TELL = 'curl -sf -X PUT --data-binary x "$MANTA_URL$MANTA_USER/stor/running.$RANDOM$RANDOM"'


@pytest.fixture(scope="module")
def inputs(user: User) -> list[str]:
    return [user.put(f"cancel{number}", b"some bytes\n") for number in range(INPUTS)]


def cancelled(user: User, *phases: object, inputs: list[str]) -> str:
    """A job that is cancelled once one of its tasks says that it runs; its id, when it is archived."""
    for old in running(user):
        user.session.call("DELETE", old)
    job = user.create(*phases)
    user.add(job, *inputs)
    user.jobs.end_input(job)
    eventually_here(lambda: running(user), "a task says that it runs")
    user.jobs.cancel(job)
    user.wait(job, lambda status: "timeArchiveDone" in status)
    return job


def running(user: User) -> list[str]:
    listing = user.session.call("GET", f"/{user.login}/stor").content.decode()
    names = [json.loads(line)["name"] for line in listing.splitlines()]
    return [f"/{user.login}/stor/{name}" for name in names if name.startswith("running.")]


def objects_below(user: User, path: str) -> list[str]:
    found = []
    for line in user.session.call("GET", path).content.decode().splitlines():
        entry = json.loads(line)
        inside = f"{path}/{entry['name']}"
        found += objects_below(user, inside) if entry["type"] == "directory" else [inside]
    return found


def wait_until_no_blob_is_unnamed(state_dir: Path) -> None:
    eventually_here(lambda: not unnamed_blobs(state_dir), "every blob has a name")


@pytest.mark.parametrize(
    "phases",
    [
        pytest.param((f"echo half; echo emitted | mpipe; {TELL}; sleep 86400",), id="map"),
        pytest.param(("cat; echo more | mpipe", f"cat; {TELL}; sleep 86400"), id="map after map"),
        pytest.param(("cat", reduce(f"head -1; {TELL}; sleep 86400", count=2)), id="reduce"),
    ],
)
def test_nothing_of_unfinished_tasks_is_left(
    service: Service, user: User, inputs: list[str], phases: tuple[object, ...]
) -> None:
    job = cancelled(user, *phases, inputs=inputs)
    status = user.jobs.status(job)
    assert (status["state"], status["cancelled"], status["inputDone"]) == ("done", True, True)
    assert objects_below(user, f"/{user.login}/jobs/{job}/stor") == []
    assert user.lines(job, "out") == []
    assert {json.loads(line)["code"] for line in user.lines(job, "err")} == {"JobCancelledError"}
    wait_until_no_blob_is_unnamed(service.state_dir)
