"""Operators see and end any job; a disabled account is shut out; usage is counted, and outlives records."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from tests.support.eventually import eventually_here
from tests.support.services.gateway import KEYS, Signer, public_line
from tests.support.services.service import Service
from tests.support.services.user import User


@pytest.fixture(scope="module")
def root(service: Service) -> Signer:
    """An operator's account."""
    line = public_line(KEYS["ecdsa"])
    service.text("remora", "user", "add", "olga", "--operator", "--not-isolated", "--key", "-", stdin=line)
    return Signer("olga", KEYS["ecdsa"])


def ask(service: Service, who: Signer, method: str, path: str) -> tuple[int, str]:
    """Status and error code of a request."""
    reply = httpx.request(method, f"{service.url}{path}", headers=who.headers())
    return reply.status_code, reply.json()["code"] if reply.status_code >= 400 else ""


def records(service: Service, *words: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in service.text("remora", *words, "--json").splitlines()]


def test_an_operator_reads_everything_and_cancels_any_job_and_changes_nothing_else(service, user, root):
    user.put("secret", b"mine")
    job = user.create("wc")
    login = user.login
    assert ask(service, root, "GET", f"/{login}/stor/secret") == (200, "")
    assert ask(service, root, "GET", f"/{login}/jobs/{job}/live/status") == (200, "")
    for method, path in (
        ("PUT", "stor/secret"),
        ("DELETE", "stor/secret"),
        ("POST", "jobs"),
        ("POST", f"jobs/{job}/live/in"),
        ("POST", f"jobs/{job}/live/in/end"),
        ("POST", "tokens"),
    ):
        assert ask(service, root, method, f"/{login}/{path}") == (403, "AuthorizationFailed"), path
    assert ask(service, root, "POST", f"/{login}/jobs/{job}/live/cancel")[0] == 202
    assert user.jobs.status(job)["cancelled"]
    service.text("remora", "user", "set", "olga", "--no-operator")
    assert ask(service, root, "GET", f"/{login}/stor/secret") == (403, "AuthorizationFailed")
    service.text("remora", "user", "set", "olga", "--operator")


def test_an_account_that_is_disabled_is_shut_out_until_it_is_enabled(service):
    line = public_line(KEYS["rsa"])
    service.text("remora", "user", "add", "bob", "--not-isolated", "--key", "-", stdin=line)
    bob = Signer("bob", KEYS["rsa"])
    token = httpx.post(f"{service.url}/bob/tokens", headers=bob.headers()).json()["token"]

    def by_token() -> int:
        return httpx.get(f"{service.url}/bob/stor", headers={"Authorization": f"Token {token}"}).status_code

    assert (ask(service, bob, "GET", "/bob/stor"), by_token()) == ((200, ""), 200)
    service.text("remora", "user", "disable", "bob")
    assert (ask(service, bob, "GET", "/bob/stor"), by_token()) == ((403, "AccountBlocked"), 403)
    assert "bob\t1 key\tdisabled\n" in service.text("remora", "user", "ls")
    assert "state               disabled since " in service.text("remora", "user", "show", "bob")
    service.text("remora", "user", "enable", "bob")
    assert (ask(service, bob, "GET", "/bob/stor"), by_token()) == ((200, ""), 200)
    said = service.run("remora", "user", "disable", "nan", check=False)
    assert (said.returncode, said.stderr) == (1, b'remora user disable: error: there is no account "nan"\n')
    said = service.run("remora", "user", "disable", "poseidon", check=False)
    assert b"is the service's own" in said.stderr


def test_jobs_of_all_accounts_are_listed_and_ended(service: Service, user: User):
    job = user.create("sleep 600", name="endless")
    user.add(job, user.put("one", b"1"))
    (listed,) = [one for one in records(service, "jobs") if one["id"] == job]
    assert (listed["owner"], listed["state"]) == (user.login, "running")
    assert job in service.text("mrjob", "list", "--ids").split()
    assert f"{job[:8]}  {user.login}" in service.text("remora", "jobs")
    assert service.text("remora", "jobs", "-a", "nobody", "--ids") == ""
    eventually_here(lambda: records(service, "top")[0]["running"] == 1, "the task runs")
    (top,) = records(service, "top")
    assert top["running_by_account"] == {user.login: 1}
    assert [one["id"] for one in top["jobs"]] == [job]
    assert [node["running"] for node in top["nodes"]] == [1]
    assert "1 job, 1 running, 0 ready" in service.text("remora", "top")
    said = service.run("remora", "cancel", job[:8], "ffff", check=False)
    assert said.returncode == 1
    assert said.stderr.decode() == (
        f'cancelled {job}\nremora cancel: error: there is no job "ffff", neither on record nor archived\n'
    )
    again = service.run("mrjob", "cancel", job, check=False)
    assert (again.returncode, b"is over" in again.stderr) == (1, True)
    assert job not in service.text("remora", "jobs", "--ids").split()
    assert job in service.text("remora", "jobs", "--all", "--ids").split()


def test_usage_is_by_account_and_period_and_outlives_the_records_of_jobs(service: Service, user: User):
    before = {one["account"]: one for one in records(service, "usage") if "objects" in one}[user.login]
    user.put("more", b"12345")
    ended = user.run("wc; sleep 0.1", inputs=[user.put("input", b"x y z")])  # GB·s are rounded to ms

    def used() -> dict[str, object]:
        (one,) = [one for one in records(service, "usage", "--no-stored", "-a", user.login) if "jobs" in one]
        return one

    assert ended.stats["tasksDone"] == 1
    now = {one["account"]: one for one in records(service, "usage") if "objects" in one}[user.login]
    assert now["bytes"] >= before["bytes"] + 10
    first = used()
    assert first["tasks"] >= 1
    assert first["wall_us"] > 0
    assert first["gb_seconds"] > 0
    eventually_here(lambda: user.jobs.status_or_archive(ended.job).get("timeArchiveDone"), "it is archived")
    assert used() == first
    table = service.text("remora", "usage", "--by", "month")
    assert "ACCOUNT" in table
    assert "TASK SECONDS" in table
    said = service.run("remora", "usage", "-a", "nan", check=False)
    assert said.stderr == b'remora usage: error: there is no account "nan"\n'


def test_limits_are_of_an_account_and_in_all_and_status_says_what_is_used(service: Service, user: User):
    user.put("counted", b"12345")
    assert "limits" not in service.text("remora", "status")
    service.text("remora", "limits", "--in-all", "bytes=1T", "requests=5K")
    found = json.loads(service.text("remora", "limits", "--json"))
    assert (found["account"]["jobs"], found["account"]["requests"]) == (1000, 10_000)
    assert found["in_all"]["requests"] == {"most": 5120, "used": None}
    assert found["in_all"]["bytes"]["most"] == 1 << 40
    assert found["in_all"]["bytes"]["used"] >= 5
    table = [line.split() for line in service.text("remora", "limits").splitlines()]
    assert ["inputs", "10000000", "-", "-"] in table
    assert ["requests", "10000", "5120", "-"] in table
    said = service.text("remora", "status")
    assert " of 1T, requests at most 5120\n" in said
    service.text("remora", "limits", "--in-all", "bytes=default", "requests=none")
    assert "limits" not in service.text("remora", "status")
    refused = service.run("remora", "limits", "--in-all", "inputs=5", check=False)
    assert b'"inputs=5" sets no limit' in refused.stderr
    assert b"say what to set" in service.run("remora", "limits", "--in-all", check=False).stderr


def test_instances_in_all_bound_what_computes_at_once(service: Service, user: User):
    service.text("remora", "limits", "--in-all", "instances=1")
    job = user.create("sleep 600")
    user.add(job, *[user.put(f"one{number}", b"1") for number in range(8)])

    def told() -> float:
        lines = httpx.get(f"{service.url}/metrics").text.splitlines()
        return sum(float(line.split()[1]) for line in lines if line.startswith("remora_node_instances{"))

    try:
        eventually_here(lambda: records(service, "top")[0]["running"] >= 1 and told() == 1, "one instance is left")
        service.text("remora", "limits", "--in-all", "instances=none")
        eventually_here(lambda: told() >= 3, "the others begin")
    finally:
        service.text("remora", "limits", "--in-all", "instances=none")
        service.run("remora", "cancel", job)


def test_a_place_without_a_service_is_one_sentence(service: Service, tmp_path: Path):
    for words in (["jobs"], ["top"], ["usage"], ["cancel", "last"], ["verify"]):
        said = service.run("remora", *words, "--state-dir", str(tmp_path / "none"), check=False)
        assert said.returncode == 1
        assert said.stderr.decode().startswith(f"remora {words[0]}: error: no service has its state in ")
