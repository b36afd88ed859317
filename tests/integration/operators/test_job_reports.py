"""mrjob, mrerrors and mrjobreport say the same of a job while it is on record, and when only its archive is left."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from scheduler.records.database import open_database
from tests.support.eventually import eventually_here
from tests.support.services.service import Service
from tests.support.services.user import Ended, User, reduce


@pytest.fixture(scope="module")
def ended(service: Service, user: User) -> Ended:
    """A job of ten map tasks, one of which fails, and a reducer; it is archived."""
    names = [user.put(f"in{number}", b"x") for number in range(10)]
    command = "case $MANTA_INPUT_OBJECT in */in3) echo bad >&2; exit 3;; esac; cat"
    ended = user.run(command, reduce("wc -c"), inputs=names)
    eventually_here(lambda: user.jobs.status_or_archive(ended.job).get("timeArchiveDone"), "it is archived")
    return ended


@pytest.fixture(params=["record", "archive"])
def job(request: pytest.FixtureRequest, service: Service, ended: Ended) -> Iterator[str]:
    """The job; of `archive`, as if its records had been removed a day later."""
    away = "x" + ended.job[1:]

    def rename(before: str, after: str) -> None:
        with closing(open_database(service.database)) as db:
            sql = f"UPDATE jobs SET uuid = '{after}' WHERE uuid = '{before}' RETURNING 1"
            db.write_soon(lambda c: c.plain(sql)).result()

    if request.param == "archive":
        rename(ended.job, away)
    yield ended.job
    if request.param == "archive":
        rename(away, ended.job)


def test_a_job_is_shown(service: Service, job: str, user: User):
    said = service.text("mrjob", "show", job[:13])
    assert f"job      {job} of {user.login}" in said
    assert "tasks    11 of 11" in said
    assert "phase 1  reduce  wc -c" in said
    shown = json.loads(service.text("mrjob", "show", job, "--json"))
    assert [phase["tasks"] for phase in shown["usage"]] == [10, 1]


def test_where_the_time_went_is_explained(service: Service, job: str):
    said = service.text("mrjob", "explain", job)
    assert f"job {job} of " in said
    assert "is done" in said
    assert "critical path: phase 0" in said
    found = json.loads(service.text("mrjob", "explain", job, "--json"))
    assert [phase["ran"] for phase in found["phases"]] == [10, 1]
    assert found["reasons"] == []
    assert [step["phase"] for step in found["critical_path"]] == [0, 1]


def test_errors_are_counted_with_an_example(service: Service, job: str):
    (kind,) = [json.loads(line) for line in service.text("mrerrors", job, "--json").splitlines()]
    assert (kind["code"], kind["count"], kind["jobs"]) == ("UserTaskError", 1, 1)
    assert kind["example"]["job"] == job
    assert "/in3" in kind["example"]["what"]
    said = service.text("mrerrors", "--since", "1h")
    assert "UserTaskError: user command exited with code 3  (" in said
    assert service.text("mrerrors", "--since", "1h", "--code", "Nothing") == ""


def test_the_report_is_a_page_with_the_sums_of_mjob_cost(service: Service, job: str, tmp_path: Path):
    cost = json.loads(service.text("mjob", "cost", "--json", job))
    file = tmp_path / "report.html"
    done = service.run("mrjobreport", job, "-o", str(file))
    assert done.stderr.decode().startswith(f"wrote {file}: ")
    html = file.read_text()
    assert "Critical path" in html
    assert "/in3" in html or "Stragglers" in html
    report = json.loads(service.text("mrjobreport", "--json", job))
    assert report["total"] == cost["total"]
    assert report["cost"] == cost["phases"]
    assert service.text("mrjobreport", "--svg", job).startswith('<svg xmlns="http://www.w3.org/2000/svg"')
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_what_a_job_waits_for_is_explained(service: Service, user: User):
    job = user.create("sleep 600")
    said = service.text("mrjob", "explain", job)
    assert "its input is open (0 so far): it cannot end before mjob close" in said
    user.add(job, *(user.put(f"w{n}", b"x") for n in range(99)))

    def runs() -> bool:
        return ": sleep" not in said and "tasks run, the longest:" in service.text("mrjob", "explain", job)

    eventually_here(runs, "its tasks run")
    said = service.text("mrjob", "explain", job)
    assert "ready tasks wait for a free instance: " in said
    assert f"{user.login} runs " in said
    service.text("remora", "user", "set", user.login, "--limit", "instances=50")
    assert f"; {user.login} may have 50 instances at once\n" in service.text("mrjob", "explain", job)
    service.text("remora", "user", "set", user.login, "--limit", "instances=default")
    service.text("remora", "cancel", job)


def test_what_is_no_job_is_one_sentence(service: Service):
    for words in (["mrjob", "show"], ["mrjob", "explain"], ["mrerrors"], ["mrjobreport"]):
        said = service.run(*words, "01234567", check=False)
        assert said.returncode == 1
        assert b'there is no job "01234567", neither on record nor archived' in said.stderr
