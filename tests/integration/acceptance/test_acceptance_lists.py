"""Lists of jobs that are running, the archive of those that are done, and the live API after it."""

from __future__ import annotations

import json
import re

import pytest

from tests.support.gate import Gate
from tests.support.services.user import Ended, User

MANY = 230
JOB_ERROR = "application/x-json-stream; type=job-error"
UUID = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


@pytest.fixture(scope="module")
def inputs(user: User) -> list[str]:
    """Half of them name the one object there is, the others nothing."""
    item = user.put("item", b"x")
    return [item if number % 2 else f"{item}.{number}" for number in range(MANY)]


@pytest.fixture(scope="module")
def ended(user: User, inputs: list[str]) -> Ended:
    job = user.create("test $RANDOM -ge 0", name="many")
    user.add(job, *inputs)
    ended = user.finish(job)
    user.wait(job, lambda status: "timeArchiveDone" in status)
    return ended


def page(user: User, job: str, what: str, **query: str) -> tuple[list[str], str | None]:
    """The lines of one answer, and where the next page begins."""
    reply = user.session.call("GET", f"/{user.login}/jobs/{job}/live/{what}", query=query)
    return reply.text.splitlines(), reply.headers.get("x-remora-next")


@pytest.mark.parametrize("what", ["in", "out", "fail", "err"])
def test_without_paging_the_latest_hundred_are_listed_oldest_first(user: User, ended: Ended, what: str) -> None:
    latest, following = page(user, ended.job, what)
    assert (len(latest), following) == (100, None)
    assert latest == user.lines(ended.job, what)[-100:]


@pytest.mark.parametrize("what", ["in", "out", "fail", "err"])
@pytest.mark.parametrize("limit", [1, 7, 115, 1000])
def test_pages_of_any_size_make_up_the_whole_list(user: User, ended: Ended, what: str, limit: int) -> None:
    whole, _ = page(user, ended.job, what, limit="1000")
    assert len(whole) == (MANY if what == "in" else MANY // 2)
    lines: list[str] = []
    marker: str | None = "0"
    while marker is not None:
        found, marker = page(user, ended.job, what, limit=str(limit), marker=marker)
        assert len(found) == limit or marker is None
        lines += found
    assert lines == whole


def test_the_lists_say_what_happened(user: User, ended: Ended, inputs: list[str]) -> None:
    missing = [name for name in inputs if name.endswith(tuple("0123456789"))]
    assert user.lines(ended.job, "in") == inputs
    assert sorted(ended.failures) == sorted(missing)
    assert sorted(error["input"] for error in ended.errors) == sorted(missing)
    assert ended.stats == {
        "errors": MANY // 2, "outputs": MANY // 2, "retries": 0, "tasks": MANY // 2, "tasksDone": MANY // 2,
    }  # fmt: skip


def test_the_archive_has_the_same_lists_as_objects(user: User, ended: Ended) -> None:
    directory = f"/{user.login}/jobs/{ended.job}"
    for name, kind in (("in", "text/plain"), ("out", "text/plain"), ("fail", "text/plain"), ("err", JOB_ERROR)):
        reply = user.session.call("GET", f"{directory}/{name}.txt")
        assert reply.headers["content-type"] == kind
        assert reply.headers["access-control-allow-origin"] == "*"
        if name != "err":
            assert reply.text == "".join(f"{line}\n" for line in user.lines(ended.job, name))
    names = [json.loads(line)["name"] for line in user.session.call("GET", directory).text.splitlines()]
    assert names == ["err.txt", "fail.txt", "in.txt", "job.json", "out.txt", "stor", "usage.json"]


def test_archived_errors_have_their_own_keys(user: User, ended: Ended) -> None:
    archived = [json.loads(line) for line in user.get(f"/{user.login}/jobs/{ended.job}/err.txt").splitlines()]
    assert list(archived[0]) == ["phaseNum", "input", "p0input", "what", "code", "message"]
    assert [{"phase": error.pop("phaseNum"), **error} for error in archived] == ended.errors


def test_archived_errors_of_tasks_name_the_task(user: User, inputs: list[str]) -> None:
    failed = user.run("exit 3", inputs=[inputs[1]])
    user.wait(failed.job, lambda status: "timeArchiveDone" in status)
    archived = json.loads(user.get(f"/{user.login}/jobs/{failed.job}/err.txt"))
    assert list(archived) == [
        "taskId", "phaseNum", "server", "machine", "input", "p0input", "what", "code", "message", "stderr",
    ]  # fmt: skip
    assert re.fullmatch(UUID, archived["taskId"])
    assert archived["stderr"].endswith(".0.err." + archived["taskId"])


def test_the_archived_status_is_the_live_one(user: User, ended: Ended) -> None:
    reply = user.session.call("GET", f"/{user.login}/jobs/{ended.job}/job.json")
    assert (reply.headers["content-type"], reply.headers["access-control-allow-origin"]) == ("application/json", "*")
    status = user.jobs.status(ended.job)
    assert json.loads(reply.content) == status
    assert list(status) == [
        "id", "name", "state", "cancelled", "inputDone", "transient", "stats",
        "timeCreated", "timeDone", "timeArchiveStarted", "timeArchiveDone", "phases", "options",
    ]  # fmt: skip
    times = [value for key, value in status.items() if key.startswith("time")]
    assert all(re.fullmatch(TIME, value) for value in times) and times == sorted(times)
    assert status["phases"] == [{"exec": "test $RANDOM -ge 0", "type": "map"}]
    assert (status["name"], status["state"], status["options"]) == ("many", "done", {})


def test_what_was_submitted_comes_back_word_for_word(user: User) -> None:
    phases = [
        {"exec": "cat", "memory": 128, "disk": 2, "image": ">=13.1.0", "assets": [], "uarg": {"ünï": [1, None, 1.5]}},
        {"exec": "cat", "type": "storage-map", "count": 5, "init": "true"},
        {"type": "reduce", "exec": "cat", "count": 2},
    ]
    job = user.create(*phases, name="näme", transient=True)
    status = user.jobs.status(job)
    assert status["phases"] == [{**phases[0], "type": "map"}, {**phases[1], "type": "map"}, phases[2]]
    assert (status["name"], status["transient"], status["stats"]["tasks"]) == ("näme", True, 2)
    user.finish(job)


def test_the_directory_of_a_running_job_has_live_and_stor(user: User, inputs: list[str]) -> None:
    with Gate() as gate:
        job = user.create(gate.wait())
        user.add(job, inputs[1])
        gate.arrivals(1)
        names = [
            json.loads(line)["name"] for line in user.session.call("GET", f"/{user.login}/jobs/{job}").text.splitlines()
        ]
        assert names == ["live", "stor"]
        found = user.session.call("GET", f"/{user.login}/jobs", query={"state": "running"}).text
        assert [json.loads(line)["name"] for line in found.splitlines()] == [job]
        user.put(f"/{user.login}/jobs/{job}/stor/mine", b"the user's own")
    user.finish(job)
    assert user.get(f"/{user.login}/jobs/{job}/stor/mine") == b"the user's own"


def test_a_job_is_found_by_state_and_by_name(user: User, ended: Ended) -> None:
    def search(**query: str) -> list[str]:
        reply = user.session.call("GET", f"/{user.login}/jobs", query=query)
        lines = [json.loads(line) for line in reply.text.splitlines()]
        assert all(set(line) == {"name", "type", "mtime"} and line["type"] == "directory" for line in lines)
        assert ("content-type" in reply.headers) == bool(lines)
        return [line["name"] for line in lines]

    assert search(name="many") == [ended.job]
    assert ended.job in search(state="live") and ended.job in search(status="running")
    assert search(state="running", name="many") == []
    assert search(name="nothing-like-it") == []


def test_an_archive_whose_directory_is_gone_is_not_made(user: User, inputs: list[str]) -> None:
    job = user.create("true")
    user.jobs.status(job)
    for name in ("live", "stor", ""):
        user.session.call("DELETE", f"/{user.login}/jobs/{job}/{name}".rstrip("/"))
    user.finish(job)
    user.wait(job, lambda status: "timeArchiveDone" in status)
    assert not user.exists(f"/{user.login}/jobs/{job}")
