"""Control of operations that really run, by the commands of users: what happens to processes, outputs and statuses."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from tests.support.eventually import eventually_here
from tests.support.services.service import Service
from tests.support.services.user import User

LINES = [f"line {n}\n".encode() for n in range(100)]
# A command whose tasks of number 1 and 3 go on until they are killed.
SLOW = 'echo "begun $MANTA_TASK_NUMBER" >&2; cat; case $MANTA_TASK_NUMBER in 1|3) exec sleep 600.5;; esac'


@pytest.fixture(scope="module")
def lines(user: User) -> str:
    return user.put("controlled", b"".join(LINES))


class Mjob:
    """`mjob` as a user types it."""

    def __init__(self, service: Service, user: User) -> None:
        self._service, self._user = service, user

    def run(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        return self._service.run("mjob", *words, check=False)

    def ok(self, *words: str) -> str:
        done = self.run(*words)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def refused(self, *words: str) -> str:
        done = self.run(*words)
        assert done.returncode == 1, done.stdout.decode()
        return done.stderr.decode().splitlines()[-1]

    def status(self, job: str) -> dict[str, Any]:
        return json.loads(self.ok("get", "--json", job))

    def begun(self, lines: str, *words: str) -> str:
        """Start a map of four tasks of which two go on and on; its id once these run and the others are over."""
        job = self.ok("map", "--detach", "--tasks", "4", *words, SLOW, lines).strip()

        def runs() -> bool:
            progress = self._user.jobs.status(job)["progress"]
            stage = next(stage for stage in progress["stages"] if stage["kind"] == "map")
            return (stage["running"], stage["completed"]) == (2, 2)

        eventually_here(runs, "two of four tasks run, and two are over")
        return job

    def over(self, job: str, expected: str) -> dict[str, Any]:
        self.run("watch", job)
        status = self.status(job)
        assert status["status"] == expected, status["result"]
        return status


@pytest.fixture(scope="module")
def mjob(service: Service, user: User) -> Mjob:
    return Mjob(service, user)


def sleepers() -> int:
    found = subprocess.run(["pgrep", "-fc", "^sleep 600.5$"], capture_output=True, check=False)
    return int(found.stdout)


def test_a_running_operation_is_looked_at_and_completed(user: User, mjob: Mjob, lines: str) -> None:
    job = mjob.begun(lines, "-o", user.path("completed/"), "--title", "t", "--annotation", "a=b", "--alias", "*one")
    running = [json.loads(line) for line in mjob.ok("attempts", "--state", "running", job).splitlines()]
    assert [(each["id"], each["task"], "timeBegan" in each) for each in running] == [
        ("1.1.1", 1, True), ("1.3.1", 3, True),
    ]  # fmt: skip
    assert mjob.ok("stderr", job, "1") == "begun 1\n"
    assert mjob.ok("stderr", "*one", "1.3.1") == "begun 3\n"
    assert mjob.run("input", job, "3").stdout == b"".join(LINES[75:])
    ranges = [json.loads(line) for line in mjob.ok("input", "--ranges", job, "3").splitlines()]
    assert {each["name"] for each in ranges} == {lines}
    assert len(mjob.ok("tasks", "--json", "--stage", "1", "--state", "running", job).splitlines()) == 2
    for _ in range(2):
        mjob.ok("complete", job)
    status = mjob.over(job, "completed")
    assert status["result"] == {"outcome": "completed", "early": True}
    assert (status["title"], status["annotations"], status["alias"]) == ("t", {"a": "b"}, "*one")
    parts = [user.get(name) for name in sorted(mjob.ok("outputs", job).split())]
    assert parts == [b"".join(LINES[:25]), b"".join(LINES[50:75])]
    eventually_here(lambda: sleepers() == 0, "no process is left")


def test_an_operation_is_suspended_updated_and_aborted(user: User, mjob: Mjob, lines: str) -> None:
    job = mjob.begun(lines, "-o", user.path("aborted/"))
    for _ in range(2):
        mjob.ok("suspend", "--abort-running", job)
    status = mjob.status(job)
    assert (status["suspended"], status["progress"]["pending"]) == (True, 2)
    eventually_here(lambda: sleepers() == 0, "no process is left")
    aborted = [json.loads(line) for line in mjob.ok("attempts", "--reason", "user_request", job).splitlines()]
    assert [each["id"] for each in aborted] == ["1.1.1", "1.3.1"]
    for _ in range(2):
        mjob.ok("update", "--title", "new", "--max-failed", "3", "--time-limit", "1h", job)
    mjob.ok("update", "--no-time-limit", job)
    status = mjob.status(job)
    assert (status["title"], status["max_failed_attempts"], "time_limit" in status) == ("new", 3, False)
    for _ in range(2):
        mjob.ok("resume", job)
    eventually_here(lambda: sleepers() == 2, "they run again")
    for _ in range(2):
        mjob.ok("abort", "--reason", "the wrong month", job)
    status = mjob.over(job, "aborted")
    assert sleepers() == 0  # not before the status says so
    assert status["result"] == {"outcome": "aborted", "reason": "the wrong month"}
    assert not user.exists("aborted/part-000000")
    assert "is in state 'aborted'" in mjob.refused("suspend", job)


def test_an_attempt_is_aborted_and_a_task_is_given_up(user: User, mjob: Mjob, lines: str) -> None:
    job = mjob.begun(lines, "-o", user.path("abandoned/"))
    for _ in range(2):
        mjob.ok("abort-attempt", job, "1.1.1")
    eventually_here(lambda: list(user.jobs.attempts(job, state="running", stage="1", task="1")), "its task runs again")
    for _ in range(2):
        mjob.ok("abandon", job, "1", "3")
    status = mjob.over(job, "completed")
    assert status["result"] == {"outcome": "completed", "abandoned": 2}
    states = [json.loads(line) for line in mjob.ok("attempts", "--stage", "1", "--task", "1", job).splitlines()]
    assert [(each["state"], each["reason"]) for each in states] == [("aborted", "user_request")] * 2
    assert "has no task or attempt 1.9.1" in mjob.refused("input", job, "1.9.1")
    assert "has no task or attempt 1.0.7" in mjob.refused("stderr", job, "1.0.7")


def test_what_a_task_failed_on_can_be_had_when_all_is_over(user: User, mjob: Mjob, lines: str) -> None:
    failing = 'grep -q "line 60" && { echo "no good" >&2; exit 3; }; true'
    done = mjob.run("map", "--tasks", "4", "--max-failed", "2", "-o", user.path("failed/"), failing, lines)
    assert done.returncode == 1
    said = done.stderr.decode()
    assert "UserTaskError: user command exited with code 3" in said
    assert "no good" in said
    job = said.rpartition("operation ")[2].split()[0]
    assert mjob.ok("stderr", job) == "no good\n"
    assert mjob.ok("stderr", "--failed", job) == "no good\n" * 2
    assert mjob.run("input", job, "2").stdout == b"".join(LINES[50:75])
    user.put("controlled-too", b"x")
    assert "no stderr of attempt 1.0.1" in mjob.refused("stderr", job, "0")


def test_the_input_of_a_task_is_gone_once_its_object_is_replaced(user: User, mjob: Mjob) -> None:
    name = user.put("replaced", b"".join(LINES))
    job = mjob.ok("map", "--detach", "-o", user.path("r"), "cat", name).strip()
    mjob.over(job, "completed")
    assert mjob.run("input", job, "0").stdout == b"".join(LINES)
    user.put("replaced", b"other")
    assert "cannot be had any more" in mjob.refused("input", job, "0")
