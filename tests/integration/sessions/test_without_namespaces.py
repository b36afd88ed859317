"""Sessions without namespaces: a shell in the task's directory, which Landlock confines where the kernel has it."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from datapath.passing import Holds
from tests.support.eventually import eventually_here
from tests.support.nodes.lackey_instance import Instance, Mode
from tests.support.services.postgres import shared
from tests.support.services.processes import Cluster, clustered
from tests.support.sessions import PROMPT, asked, ended, session


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with clustered(tmp_path_factory.mktemp("bare"), shared(), nodes=0) as running:
        running.agent("node0", "--provider", "process", "--isolation", "subreaper")
        yield running


def at(cluster: Cluster) -> SimpleNamespace:
    return SimpleNamespace(env=cluster.client_env("gateway0"))


def test_a_shell_has_its_input_and_not_the_node_s_credential(cluster: Cluster) -> None:
    with cluster.user() as user:
        path = user.put("lear.txt", b"king\n")
    with session(at(cluster), "mlogin", path) as running:
        running.read_until(PROMPT)
        assert asked(running, "cat $MANTA_INPUT_FILE; stty size; echo mine > $HOME/x; cat $HOME/x") == (
            "king\n30 200\nmine\n"
        )
        assert denied(asked(running, secret(cluster))) or not has_landlock()
        running.type("exit 3\r")
        assert ended(running)[1] == 3


def test_a_shell_beside_a_task_begins_where_the_task_does_and_ends_with_it(cluster: Cluster) -> None:
    with cluster.user() as user:
        job = user.create("pwd; until test -e go; do sleep 0.1; done")
        user.add(job, user.put("o"))
        (task,) = eventually_here(lambda: list(user.jobs.tasks(job, state="running")), "the task runs")
        began = eventually_here(lambda: user.jobs.log(job, task["number"], "stdout", 0, 0).data, "it has begun")
        with session(at(cluster), "mjob", "shell", job, task["taskId"]) as shell:
            shell.read_until(PROMPT)
            assert asked(shell, "pwd").encode() == began
            assert denied(asked(shell, secret(cluster))) or not has_landlock()
            shell.type("touch go\r")
            assert "session ended: the task has ended" in ended(shell)[0]
        assert user.finish(job).stats["errors"] == 0


def secret(cluster: Cluster) -> str:
    """A command that reads a file of the service's, which every user of the machine may read."""
    file = cluster.directory / "readable"
    file.write_text("secret")
    return f"cat {file}"


def denied(shown: str) -> bool:
    return "secret" not in shown and "ermission denied" in shown


def has_landlock() -> bool:
    instance = Instance(Mode("subreaper"))
    instance.close()
    return Holds.FILES in instance.ready.holds
