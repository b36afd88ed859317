"""`remora cluster` against a Nomad that answers as the real one does, and one that does not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scheduler.gateway import node_credentials
from tests.support.nomad.operating import Operator
from tests.support.services.postgres import PASSWORD


def test_a_first_deploy_makes_secrets_and_jobs_in_order_and_tells_the_gateways(operator: Operator) -> None:
    result = operator("deploy", env=operator.database)
    assert result.exit_code == 0, result.output
    assert operator.nomad.registered == ["remora-supervisor", "remora-gateway", "remora-agent"]
    kept = {path: variable["Items"] for path, variable in operator.nomad.variables.items()}
    assert kept["nomad/jobs/remora-gateway"] == kept["nomad/jobs/remora-supervisor"]
    assert kept["nomad/jobs/remora-gateway"]["database"] == operator.url
    assert set(kept["nomad/jobs/remora-agent"]) == {"agent_key"}
    assert result.stdout.splitlines() == ["https://n1.example:8080", "https://n2.example:8080"]
    assert "remora-agent: 3 of 3 healthy" in result.stderr
    assert PASSWORD not in result.output


def test_a_second_deploy_changes_nothing_and_needs_no_database(operator: Operator) -> None:
    operator.right("deploy", env=operator.database)
    before = {**operator.nomad.variables}
    told = json.loads(operator.right("deploy", "--json"))
    assert [job["changed"] for job in told["jobs"]] == [False, False, False]
    assert len(operator.nomad.registered) == 3
    assert operator.nomad.variables == before


def test_a_changed_choice_changes_its_job_alone(operator: Operator) -> None:
    operator.right("deploy", env=operator.database)
    planned = operator("plan", "--var", "gateways=3")
    assert planned.exit_code == 2
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
    told = operator.refused("deploy", "--timeout", "1", env=operator.database)
    assert "remora-gateway is not healthy after 1 s: 0 of 2 healthy; on n1: Terminated: Exit Code: 1" in told
    assert "remora-agent" not in operator.nomad.registered


def test_a_job_that_nomad_gave_up_is_not_waited_for(operator: Operator) -> None:
    operator.do(lambda nomad: nomad.failed.update({"remora-supervisor": "Failed due to unhealthy allocations"}))
    told = operator.refused("deploy", env=operator.database)
    assert "remora-supervisor does not come up: Failed due to unhealthy allocations" in told


def test_a_job_that_somebody_changes_meanwhile_is_left_alone(operator: Operator) -> None:
    operator.right("deploy", env=operator.database)
    conflict = "Enforcing job modify index 3: job exists with conflicting job modify index: 17"
    operator.do(lambda nomad: nomad.fail("(POST|PUT) /v1/job(s|/remora-gateway)", 500, conflict))
    told = operator.refused("deploy", "--var", "gateways=3")
    assert told.endswith("remora-gateway was changed by another process at the same time: look, and deploy again")


def test_a_password_among_the_words_of_a_command_is_refused(operator: Operator) -> None:
    for words in (("deploy",), ("status",), ("drain", "n1"), ("credential", "n1", "--revoke")):
        told = operator(*words, "--database", operator.url)
        assert (told.exit_code, "all users of this machine see the password" in told.output) == (1, True), words
        assert PASSWORD not in told.output


def test_what_deploy_takes_for_granted_is_said_when_it_is_not_so(operator: Operator) -> None:
    assert "where are the records?" in operator.refused("deploy")
    assert "several nodes cannot share a file" in operator.refused("deploy", "--database", "/tmp/remora.db")
    assert "there is no job 'gatway'" in operator.refused("deploy", "gatway")
    operator.do(lambda nomad: setattr(nomad, "oversubscription", False))
    assert "set-config -memory-oversubscription=true" in operator.refused("deploy", env=operator.database)
    operator.do(lambda nomad: setattr(nomad, "_version", "1.6.5"))
    assert "this Nomad is 1.6.5; it takes 1.7.0 or newer" in operator.refused("plan")


def test_where_nomad_asks_for_tokens_supervisors_get_a_policy_once(operator: Operator) -> None:
    operator.do(lambda nomad: setattr(nomad, "acl", True))
    assert "policy remora-supervisor: written" in operator("deploy", env=operator.database).stderr
    policy = operator.nomad.policies["remora-supervisor"]
    assert policy["JobACL"] == {"Namespace": "default", "JobID": "remora-supervisor"}
    assert "submit-job" in policy["Rules"]
    assert "policy" not in operator("deploy").stderr


def test_without_leave_to_write_policies_deploy_is_quiet_if_supervisors_can_book_all_the_same(
    operator: Operator,
) -> None:
    operator.do(lambda nomad: setattr(nomad, "acl", True))
    operator.do(lambda nomad: nomad.fail(".* /v1/acl/policy/.*", 403, "Permission denied"))
    result = operator("deploy", env=operator.database | {"NOMAD_TOKEN": "operator's"})
    assert result.exit_code == 0, result.output
    assert "policy" not in result.stderr


def test_a_namespace_is_made_where_it_is_missing(operator: Operator) -> None:
    assert "namespace compute: made" in operator("deploy", "--var", "namespace=compute", env=operator.database).stderr
    assert operator.nomad.spaces == ["default", "compute"]


@pytest.mark.parametrize(
    ("pattern", "status", "text", "sentence"),
    [
        (".*", 403, "Permission denied", "it asks for a token, and NOMAD_TOKEN is not set"),
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
    operator.right("deploy", env=operator.database)
    key = operator.nomad.variables["nomad/jobs/remora-agent"]["Items"]["agent_key"]
    assert operator.right("credential", "n4", env=operator.database).strip() == node_credentials.issue(key, "n4")
    file = tmp_path / "key"
    file.write_text("another\n")
    told = operator.right("credential", "n4", "--agent-key-file", str(file))
    assert node_credentials.verify("another", f"Bearer {told.strip()}") == ("n4", 0)
    assert operator.right("credential", "n4", env={"REMORA_AGENT_KEY": "another"}) == told
    assert "cannot be the name of a node" in operator.refused("credential", "n 4")
    assert "cannot read the agents' key in /nowhere" in operator.refused(
        "credential", "n4", env={"REMORA_AGENT_KEY_FILE": "/nowhere"}
    )


def test_a_node_is_drained_until_it_is_empty_and_used_again(operator: Operator) -> None:
    told = operator.right("drain", "n2", env=operator.database)
    assert told == "n2 holds no task; 0 intermediates there are still needed\n"
    assert not operator.nomad.nodes["n2"].eligible
    nodes = json.loads(operator("status", "--json", env=operator.database).stdout)["nodes"]
    assert [node["eligible"] for node in nodes] == [True, False, True]
    assert operator.right("drain", "n2", "--end") == "n2 is in use again\n"
    assert operator.nomad.nodes["n2"].eligible
    assert "Nomad knows no node by the name of 'n9'; there are n1, n2, n3" in operator.refused("drain", "n9")
