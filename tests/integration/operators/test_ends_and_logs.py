"""An operator bounds how long tasks run, and reads in the log what became of jobs."""

from __future__ import annotations

import json

from tests.support.eventually import eventually_here
from tests.support.services.service import Service
from tests.support.services.user import User


def archived(service: Service, job: str) -> dict[str, object]:
    """What the log says of the end of a job."""

    def line() -> dict[str, object] | None:
        said = service.text("remora", "logs", "--json", "-n", "1000").splitlines()
        found = (json.loads(each) for each in said if job in each and "job archived" in each)
        return next(found, None)

    return eventually_here(line, "the job is archived")


def test_a_task_ends_when_its_account_may_let_none_run_longer(service: Service, user: User):
    service.text("remora", "user", "set", user.login, "--limit", "task-seconds=1")
    try:
        ended = user.run("sleep 600", inputs=[user.put("any", b"1")])
    finally:
        service.text("remora", "user", "set", user.login, "--limit", "task-seconds=default")
    assert ended.error["code"] == "TaskTimeoutError"
    assert archived(service, ended.job)["outcome"] == "errors"


def test_the_log_says_of_a_job_whose_it_was_how_it_ended_and_how_long_it_took(service: Service, user: User):
    job = user.create("exit 3", name="nightly")
    user.add(job, user.put("any", b"1"))
    user.finish(job)
    line = archived(service, job)
    said = (line["owner"], line["job_name"], line["outcome"], line["errors"])
    assert said == (user.login, "nightly", "errors", 1)
    assert line["seconds"] > 0
    text = service.text("remora", "logs", "-n", "1000")
    assert f"job archived (job={job} owner={user.login} job_name=nightly outcome=errors" in text
