"""A session whose program comes to another gateway than its user: agents know one address, users another."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from tests.support.eventually import eventually_here
from tests.support.machine import needs_namespaces
from tests.support.services.postgres import shared
from tests.support.services.processes import Cluster, clustered
from tests.support.sessions import LOST, PROMPT, asked, ended, session

pytestmark = needs_namespaces


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with clustered(tmp_path_factory.mktemp("cluster"), shared(), gateways=2, told="gateway1") as running:
        yield running


def test_a_session_goes_through_both_gateways(cluster: Cluster) -> None:
    with session(SimpleNamespace(env=cluster.client_env("gateway0")), "mlogin") as running:
        running.read_until(PROMPT)
        assert asked(running, "echo $MANTA_USER; seq 20000 | tail -1") == "jill\n20000\n"
        running.type("exit 5\r")
        assert ended(running)[1] == 5
    assert "a session is passed on" in cluster.parts["gateway1"].log.read_text()
    assert cluster.look(lambda c: c.plain("SELECT count(*) FROM sessions"))[0][0] == 0


def test_a_shell_beside_a_task_is_asked_for_by_way_of_the_records(cluster: Cluster) -> None:
    with cluster.user("gateway0") as user:
        job = user.create("echo begun; sleep 3600")
        user.add(job, user.put("o"))
        (task,) = eventually_here(lambda: list(user.jobs.tasks(job, state="running")), "the task runs")
        eventually_here(lambda: user.jobs.log(job, task["number"], "stdout", 0, 0).data, "it has begun")
        env = SimpleNamespace(env=cluster.client_env("gateway0"))
        with session(env, "mlogin", "-q", "--task", job, task["taskId"], "-c", "echo $MANTA_JOB_ID; exit 6") as shell:
            assert ended(shell) == (f"{job}\r\n", 6)
        user.jobs.cancel(job)
    for table in ("sessions", "running_requests"):
        assert cluster.look(lambda c, table=table: c.plain(f"SELECT count(*) FROM {table}"))[0][0] == 0


def test_a_session_ends_with_the_gateway_between(cluster: Cluster) -> None:
    with session(SimpleNamespace(env=cluster.client_env("gateway0")), "mlogin") as running:
        running.read_until(PROMPT)
        cluster.parts["gateway1"].kill()
        shown, status = ended(running)
    assert "the session is over; run the same command for a new one" in shown and status == LOST
