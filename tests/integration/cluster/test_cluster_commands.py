"""`remora cluster` against a Nomad that answers as the real one does, and one that does not."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cli.client.problem import Problem
from cli.service.cluster import command as cluster
from scheduler.gateway import node_credentials
from scheduler.records.database import open_database
from tests.support.nomad.fake_scheduler import Node
from tests.support.nomad.operated_nomad import OperatedNomad

URL = "postgresql://remora:secret@db/remora"
DATABASE = {"REMORA_DATABASE": URL}


class Operator:
    """A fake Nomad on a thread of its own, and the commands against it."""

    def __init__(self, nomad: OperatedNomad, loop: asyncio.AbstractEventLoop) -> None:
        self.nomad = nomad
        self._loop = loop

    def do(self, work: Callable[[OperatedNomad], Any]) -> None:
        """Change the fake, on its own thread."""

        async def on_loop() -> None:
            work(self.nomad)

        asyncio.run_coroutine_threadsafe(on_loop(), self._loop).result(10)

    def __call__(self, *words: str, env: dict[str, str] | None = None) -> Result:
        told = {"NOMAD_ADDR": self.nomad.url, "NOMAD_TOKEN": "", "REMORA_DATABASE": "", "REMORA_AGENT_KEY": ""}
        return CliRunner().invoke(cluster, list(words), env=told | (env or {}))

    def right(self, *words: str, **more: Any) -> str:
        result = self(*words, **more)
        assert result.exit_code == 0, result.output
        return result.stdout

    def refused(self, *words: str, **more: Any) -> str:
        """The one sentence that it ends with."""
        result = self(*words, **more)
        assert result.exit_code == 1
        assert isinstance(result.exception, SystemExit | Problem), result.exception
        return result.output.strip().splitlines()[-1]


@contextlib.contextmanager
def operating(nomad: OperatedNomad) -> Iterator[Operator]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(nomad.__aenter__(), loop).result(10)
        yield Operator(nomad, loop)
    finally:
        asyncio.run_coroutine_threadsafe(nomad.__aexit__(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@pytest.fixture
def operator() -> Iterator[Operator]:
    with operating(OperatedNomad(*(Node(name, 8192) for name in ("n1", "n2", "n3")))) as running:
        yield running


def test_a_first_deploy_makes_secrets_and_jobs_in_order_and_tells_the_gateways(operator: Operator) -> None:
    result = operator("deploy", env=DATABASE)
    assert result.exit_code == 0, result.output
    assert operator.nomad.registered == ["remora-supervisor", "remora-gateway", "remora-agent"]
    kept = {path: variable["Items"] for path, variable in operator.nomad.variables.items()}
    assert kept["nomad/jobs/remora-gateway"] == kept["nomad/jobs/remora-supervisor"]
    assert kept["nomad/jobs/remora-gateway"]["database"] == URL
    assert set(kept["nomad/jobs/remora-agent"]) == {"agent_key"}
    assert result.stdout.splitlines() == ["https://n1.example:8080", "https://n2.example:8080"]
    assert "remora-agent: 3 of 3 healthy" in result.stderr
    assert "secret" not in result.output


def test_a_second_deploy_changes_nothing_and_needs_no_database(operator: Operator) -> None:
    operator.right("deploy", env=DATABASE)
    before = {**operator.nomad.variables}
    told = json.loads(operator.right("deploy", "--json"))
    assert [job["changed"] for job in told["jobs"]] == [False, False, False]
    assert len(operator.nomad.registered) == 3
    assert operator.nomad.variables == before


def test_a_changed_choice_changes_its_job_alone(operator: Operator) -> None:
    operator.right("deploy", env=DATABASE)
    planned = operator("plan", "--var", "gateways=3")
    assert planned.exit_code == 1
    assert planned.stdout.splitlines() == [
        "remora-supervisor: unchanged",
        "remora-gateway: changed",
        "  gateway.Count: 2 -> 3",
        "remora-agent: unchanged",
    ]
    told = json.loads(operator.right("deploy", "--json", "--var", "gateways=3"))
    assert [(job["job"], job["changed"], job["healthy"]) for job in told["jobs"]] == [
        ("remora-supervisor", False, 2), ("remora-gateway", True, 3), ("remora-agent", False, 3),
    ]  # fmt: skip
    assert operator("plan", "--var", "gateways=3").exit_code == 0


def test_a_job_that_does_not_come_up_is_named_with_what_its_task_says(operator: Operator) -> None:
    operator.do(lambda nomad: nomad.trouble.update({"remora-gateway": "Exit Code: 1"}))
    told = operator.refused("deploy", "--timeout", "1", env=DATABASE)
    assert "remora-gateway is not healthy after 1 s: 0 of 2 healthy; on n1: Terminated: Exit Code: 1" in told
    assert "remora-agent" not in operator.nomad.registered


def test_a_job_that_nomad_gave_up_is_not_waited_for(operator: Operator) -> None:
    operator.do(lambda nomad: nomad.failed.update({"remora-supervisor": "Failed due to unhealthy allocations"}))
    told = operator.refused("deploy", env=DATABASE)
    assert "remora-supervisor does not come up: Failed due to unhealthy allocations" in told


def test_a_job_that_somebody_changes_meanwhile_is_left_alone(operator: Operator) -> None:
    operator.right("deploy", env=DATABASE)
    conflict = "Enforcing job modify index 3: job exists with conflicting job modify index: 17"
    operator.do(lambda nomad: nomad.fail("(POST|PUT) /v1/job(s|/remora-gateway)", 500, conflict))
    told = operator.refused("deploy", "--var", "gateways=3")
    assert told.endswith("remora-gateway was changed by another process at the same time: look, and deploy again")


def test_a_password_among_the_words_of_a_command_is_refused(operator: Operator) -> None:
    for words in (("deploy",), ("status",), ("drain", "n1"), ("credential", "n1", "--revoke")):
        told = operator(*words, "--database", URL)
        assert (told.exit_code, "all users of this machine see the password" in told.output) == (1, True), words
        assert "secret" not in told.output


def test_what_deploy_takes_for_granted_is_said_when_it_is_not_so(operator: Operator) -> None:
    assert "where are the records?" in operator.refused("deploy")
    assert "several nodes cannot share a file" in operator.refused("deploy", "--database", "/tmp/remora.db")
    assert "there is no job 'gatway'" in operator.refused("deploy", "gatway")
    operator.do(lambda nomad: setattr(nomad, "oversubscription", False))
    assert "set-config -memory-oversubscription=true" in operator.refused("deploy", env=DATABASE)
    operator.do(lambda nomad: setattr(nomad, "_version", "1.6.5"))
    assert "this Nomad is 1.6.5; it takes 1.7.0 or newer" in operator.refused("plan")


def test_where_nomad_asks_for_tokens_supervisors_get_a_policy_once(operator: Operator) -> None:
    operator.do(lambda nomad: setattr(nomad, "acl", True))
    assert "policy remora-supervisor: written" in operator("deploy", env=DATABASE).stderr
    policy = operator.nomad.policies["remora-supervisor"]
    assert policy["JobACL"] == {"Namespace": "default", "JobID": "remora-supervisor"}
    assert "submit-job" in policy["Rules"]
    assert "policy" not in operator("deploy").stderr


def test_without_leave_to_write_policies_deploy_says_who_must_run_what(operator: Operator) -> None:
    operator.do(lambda nomad: setattr(nomad, "acl", True))
    operator.do(lambda nomad: nomad.fail(".* /v1/acl/policy/.*", 403, "Permission denied"))
    result = operator("deploy", env=DATABASE)
    assert result.exit_code == 0
    assert "nomad acl policy apply -namespace default -job remora-supervisor remora-supervisor" in result.stderr


def test_a_namespace_is_made_where_it_is_missing(operator: Operator) -> None:
    assert "namespace compute: made" in operator("deploy", "--var", "namespace=compute", env=DATABASE).stderr
    assert operator.nomad.spaces == ["default", "compute"]


@pytest.mark.parametrize(
    ("pattern", "status", "text", "sentence"),
    [
        (".*", 403, "Permission denied", "the token in NOMAD_TOKEN does not allow it (Permission denied)"),
        (".*/parse", 400, "Failed to parse job: no", "Nomad did not parse a job file: 400, Failed to parse job: no"),
        (".*", 500, "No cluster leader", "500, No cluster leader"),
    ],
)
def test_what_nomad_refuses_is_one_sentence(
    operator: Operator, pattern: str, status: int, text: str, sentence: str
) -> None:
    operator.do(lambda nomad: nomad.fail(pattern, status, text))
    assert sentence in operator.refused("plan")


def test_a_nomad_that_is_not_there_is_one_sentence(operator: Operator) -> None:
    told = operator.refused("plan", env={"NOMAD_ADDR": "http://127.0.0.1:1"})
    assert told.endswith("error: Nomad did not show its version: Connection refused")
    assert "NOMAD_ADDR is no address" in operator.refused("plan", env={"NOMAD_ADDR": "nomad"})


def test_render_prints_files_documents_and_variables(operator: Operator, tmp_path: Path) -> None:
    assert '= "/x/bin"\n' in operator.right("render", "gateway", "--var", "bin=/x/bin")
    assert json.loads(operator.right("render", "--json", "agent"))["ID"] == "remora-agent"
    variables = tmp_path / "site.hcl"
    variables.write_text(operator.right("render", "--variables", "--var", "gateways=5"))
    assert "gateways = 5\n" in variables.read_text()
    assert operator.right("render", "--var-file", str(variables)) == operator.right("render", "--var", "gateways=5")


def test_files_that_were_written_are_used_instead(operator: Operator, tmp_path: Path) -> None:
    operator.right("render", "--dir", str(tmp_path / "jobs"), "--var", "namespace=compute", "--var", "gateways=4")
    assert 'namespace "compute"' in (tmp_path / "jobs" / "policies" / "supervisor.hcl").read_text()
    changed = tmp_path / "jobs" / "gateway.nomad.hcl"
    changed.write_text(changed.read_text() + "\n# ours\n")
    told = operator.right("render", "gateway", "--jobs", str(tmp_path / "jobs"))
    assert told.endswith("# ours\n")
    assert "default = 4" in told


def test_a_credential_is_made_of_the_key_that_nomad_keeps_or_of_one_that_is_given(
    operator: Operator, tmp_path: Path
) -> None:
    assert "there is no agents' key" in operator.refused("credential", "n4")
    operator.right("deploy", env=DATABASE)
    key = operator.nomad.variables["nomad/jobs/remora-agent"]["Items"]["agent_key"]
    there = {"REMORA_DATABASE": str(tmp_path / "remora.db")}
    assert operator.right("credential", "n4", env=there).strip() == node_credentials.issue(key, "n4")
    file = tmp_path / "key"
    file.write_text("another\n")
    told = operator.right("credential", "n4", "--agent-key-file", str(file))
    assert node_credentials.verify("another", f"Bearer {told.strip()}") == ("n4", 0)
    assert operator.right("credential", "n4", env={"REMORA_AGENT_KEY": "another"}) == told
    assert "cannot be the name of a node" in operator.refused("credential", "n 4")
    assert "cannot read the agents' key in /nowhere" in operator.refused(
        "credential", "n4", env={"REMORA_AGENT_KEY_FILE": "/nowhere"}
    )


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """Records with a supervisor and a job that waits."""
    path = tmp_path / "remora.db"
    database = open_database(path)

    async def fill() -> None:
        await database.write(lambda c: c.run("insert_supervisor", url="http://n1.example:8090", now=c.now()))

    asyncio.run(fill())
    database.close()
    return path


def test_status_shows_nodes_parts_and_supervisors(operator: Operator, records: Path) -> None:
    before = operator("status", "--database", str(records))
    assert before.exit_code == 1
    assert "remora-agent         0 of 0 healthy; not deployed" in before.stdout
    operator.right("deploy", env=DATABASE)
    told = json.loads(operator.right("status", "--database", str(records), "--json"))
    assert {part["job"]: (part["wanted"], part["healthy"]) for part in told["parts"]} == {
        "remora-supervisor": (2, 2), "remora-gateway": (2, 2), "remora-agent": (3, 3),
    }  # fmt: skip
    assert [(node["node"], node["status"], node["agent"]) for node in told["nodes"]] == [
        ("n1", "ready", True), ("n2", "ready", True), ("n3", "ready", True),
    ]  # fmt: skip
    assert [one["url"] for one in told["supervisors"]] == ["http://n1.example:8090"]
    shown = operator.right("status", "--database", str(records))
    assert "http://n1.example:8090" in shown
    assert shown.endswith("no job\n")


def test_a_node_is_drained_until_it_is_empty_and_used_again(operator: Operator, records: Path) -> None:
    told = operator.right("drain", "n2", "--database", str(records))
    assert told == "n2 holds no task; 0 intermediates there are still needed\n"
    assert not operator.nomad.nodes["n2"].eligible
    nodes = json.loads(operator("status", "--database", str(records), "--json").stdout)["nodes"]
    assert [node["eligible"] for node in nodes] == [True, False, True]
    assert operator.right("drain", "n2", "--end") == "n2 is in use again\n"
    assert operator.nomad.nodes["n2"].eligible
    assert "Nomad knows no node by the name of 'n9'; there are n1, n2, n3" in operator.refused("drain", "n9")
