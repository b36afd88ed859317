"""What `remora cluster` says of a cluster holds: what is not well is told, and what cannot be is not written."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from cli.service.cluster import deploy
from scheduler.records import node_trust, schema
from scheduler.records.database import Connection, open_database
from tests.support.nomad.operating import Operator
from tests.support.services.postgres import shared

VARIABLES = ("nomad/jobs/remora-supervisor", "nomad/jobs/remora-gateway", "nomad/jobs/remora-agent")
JOBS = ("remora-supervisor", "remora-gateway", "remora-agent")


def change(operator: Operator, work: Callable[[Connection], object]) -> None:
    with closing(open_database(operator.url)) as records:
        asyncio.run(records.write(work))


def see(operator: Operator, node: str, ago: int = 0) -> None:
    """A supervisor has heard this node's agent so many ms ago."""
    offer = {"memory_mb": 1024, "disk_gb": 8, "store": "s"}
    change(operator, lambda c: c.run("see_node", name=node, now=c.now() - ago, **offer))


@pytest.fixture
def deployed(operator: Operator) -> Iterator[Operator]:
    """A cluster with three of Nomad's nodes, which is well."""
    operator.right("deploy", env=operator.database)
    for node in ("n1", "n2", "n3"):
        see(operator, node)
    yield operator
    change(operator, lambda c: c.plain("DELETE FROM nodes RETURNING name"))
    change(operator, lambda c: c.plain("DELETE FROM node_credentials RETURNING node"))
    change(operator, lambda c: c.plain("UPDATE supervisors SET trouble = NULL RETURNING id"))


# -- the database ------------------------------------------------------------------------------------


def test_a_database_that_cannot_be_reached_is_not_written_anywhere(deployed: Operator) -> None:
    before = json.dumps(deployed.nomad.variables)
    wrong = deployed.url.replace("@", "x@", 1)
    told = deployed.refused("deploy", env={"REMORA_DATABASE": wrong})
    assert 'password authentication failed for user "remora"' in told
    assert json.dumps(deployed.nomad.variables) == before
    assert deployed.right("status", env={"REMORA_DATABASE": ""})


def test_another_database_exchanges_those_who_read_it_and_nobody_else(deployed: Operator) -> None:
    versions = {job: deployed.nomad.jobs[job]["Version"] for job in JOBS}
    other = f"{deployed.url}?application_name=moved"
    told = json.loads(deployed.right("deploy", "--json", env={"REMORA_DATABASE": other}))
    assert {job["job"] for job in told["jobs"] if job["changed"]} == {"remora-supervisor", "remora-gateway"}
    assert {job: deployed.nomad.jobs[job]["Version"] - versions[job] for job in JOBS} == {
        "remora-supervisor": 1, "remora-gateway": 1, "remora-agent": 0,
    }  # fmt: skip
    assert deployed("plan").exit_code == 0


def test_commands_do_not_migrate_and_say_what_does(operator: Operator) -> None:
    name = shared().empty()
    url = shared().local_url(name)
    told = operator("status", env={"NOMAD_ADDR": "", "REMORA_DATABASE": url})
    assert told.exit_code == 1
    assert "there are no records in it yet: the first service that starts with it makes them" in told.output
    assert shared().execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", name) == [(0,)]
    open_database(url).close()
    for version, sentence in ((schema.newest() - 1, "an older version"), (schema.newest() + 1, "a newer version")):
        shared().execute(f"UPDATE remora_schema SET version = {version}", name)
        told = operator("status", env={"NOMAD_ADDR": "", "REMORA_DATABASE": url})
        assert (told.exit_code, f"it was written by {sentence} of Remora" in told.output) == (1, True), told.output
        assert shared().execute("SELECT version FROM remora_schema", name) == [(version,)]
    shared().drop(url)


def test_a_deploy_says_that_records_will_be_migrated_and_refuses_newer_ones(deployed: Operator) -> None:
    name = deployed.url.rpartition("/")[2]
    shared().execute(f"UPDATE remora_schema SET version = {schema.newest() - 1}", name)
    try:
        told = deployed("deploy", "gateway").stderr
        assert f"brings their schema from {schema.newest() - 1} to {schema.newest()}; the way back is a dump" in told
        shared().execute(f"UPDATE remora_schema SET version = {schema.newest() + 1}", name)
        assert "it was written by a newer version of Remora" in deployed.refused("deploy", "gateway")
    finally:
        shared().execute(f"UPDATE remora_schema SET version = {schema.newest()}", name)


# -- status ------------------------------------------------------------------------------------------


def wrong(operator: Operator, *words: str, **more: str) -> list[str]:
    result = operator("status", "--json", *words, env=more or None)
    told: list[str] = json.loads(result.stdout)["wrong"]
    assert result.exit_code == bool(told), result.output
    return told


def test_status_shows_every_node_parts_and_supervisors(deployed: Operator) -> None:
    see(deployed, "n9")
    told = json.loads(deployed.right("status", "--json"))
    assert {part["job"]: (part["wanted"], part["healthy"]) for part in told["parts"]} == {
        "remora-supervisor": (2, 2), "remora-gateway": (2, 2), "remora-agent": (3, 3),
    }  # fmt: skip
    assert [(node["node"], node["status"], node["agent"]) for node in told["nodes"]] == [
        ("n1", "ready", "runs"), ("n2", "ready", "runs"), ("n3", "ready", "runs"), ("n9", None, "runs"),
    ]  # fmt: skip
    assert [one["url"] for one in told["supervisors"]] == ["https://n1.example:8090"]
    shown = deployed.right("status")
    assert "https://n1.example:8090" in shown
    assert shown.endswith("no job\n")


def test_a_node_that_is_down_is_told_and_the_status_is_not_0(deployed: Operator) -> None:
    deployed.do(lambda nomad: setattr(nomad.nodes["n1"], "status", "down"))
    see(deployed, "n1", ago=40_000)
    assert wrong(deployed) == ["node n1 is down", "the agent of n1 was last heard 40 s ago"]
    deployed.do(lambda nomad: setattr(nomad.nodes["n1"], "eligible", False))  # it was taken out of use
    assert wrong(deployed) == []


def test_an_agent_that_nomad_does_not_know_is_missed_unless_it_left_or_was_revoked(deployed: Operator) -> None:
    see(deployed, "n9", ago=60_000)
    assert wrong(deployed) == ["the agent of n9 was last heard 60 s ago"]
    change(deployed, lambda c: c.run("node_departs", node="n9"))
    assert wrong(deployed) == []
    see(deployed, "n9", ago=60_000)
    change(deployed, lambda c: node_trust.revoke(c, "n9", c.now()))
    assert wrong(deployed) == []


def test_without_nomad_the_records_alone_are_shown(deployed: Operator) -> None:
    see(deployed, "n9")
    result = deployed("status", env={"NOMAD_ADDR": "", "REMORA_DATABASE": deployed.url})
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("Nomad was not asked\n")
    assert "n9    -       -         runs" in result.stdout


def test_each_half_is_shown_when_the_other_does_not_answer(deployed: Operator) -> None:
    away = deployed("status", env={"NOMAD_ADDR": "http://127.0.0.1:1", "REMORA_DATABASE": deployed.url})
    assert (away.exit_code, "https://n1.example:8090" in away.stdout) == (1, True)
    assert "wrong: Nomad did not list" in away.stderr or "wrong: Nomad did not show" in away.stderr
    blind = deployed("status", env={"REMORA_DATABASE": "postgresql://remora@127.0.0.1:1/remora"})
    assert (blind.exit_code, "remora-agent         3 of 3 healthy" in blind.stdout) == (1, True)
    assert "wrong: cannot use postgresql://remora@127.0.0.1:1/remora: connection refused" in blind.stderr


def test_supervisors_that_cannot_reserve_are_told_by_status_and_fail_a_deploy(
    deployed: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deploy, "PATIENCE_SECONDS", 0.0)
    refused = "Nomad did not list jobs: the token in NOMAD_TOKEN does not allow it"
    change(deployed, lambda c: c.plain("UPDATE supervisors SET trouble = :why RETURNING id", why=refused))
    assert [one.partition(": ")[2] for one in wrong(deployed)] == [refused]
    told = deployed.refused("deploy", "--var", "namespace=compute")
    assert f"supervisors cannot reserve instances: {refused}" in told
    assert "nomad acl policy apply -namespace compute -job remora-supervisor remora-supervisor" in told
    change(deployed, lambda c: c.plain("UPDATE supervisors SET trouble = NULL RETURNING id"))
    assert deployed.right("deploy")


# -- keys --------------------------------------------------------------------------------------------


def keys(operator: Operator) -> list[list[str]]:
    return [operator.nomad.variables[path]["Items"]["agent_key"].splitlines() for path in VARIABLES]


def test_the_agents_key_is_replaced_in_two_steps_and_a_deploy_meanwhile_changes_nothing(deployed: Operator) -> None:
    [[old], _, _] = keys(deployed)
    order = len(deployed.nomad.log)
    deployed.right("rotate-key")
    [supervisor, gateway, agent] = keys(deployed)
    assert supervisor == gateway == [agent[0], old]
    assert agent[0] != old
    registered = [line for line in deployed.nomad.log[order:] if line.startswith(("POST /v1/job/", "PUT /v1/job/"))]
    assert [line.rpartition("/")[2] for line in registered if not line.endswith("plan")] == list(JOBS)
    assert deployed("plan").exit_code == 0
    assert all(not job["changed"] for job in json.loads(deployed.right("deploy", "--json"))["jobs"])
    deployed.right("rotate-key", "--finish")
    assert keys(deployed) == [agent, agent, agent]


def test_a_replacement_that_was_interrupted_goes_on(deployed: Operator) -> None:
    [[old], _, _] = keys(deployed)
    deployed.do(lambda nomad: nomad.variables[VARIABLES[0]]["Items"].update(agent_key=f"new\n{old}"))
    assert "`remora cluster rotate-key` goes on with a replacement" in deployed.refused("deploy")
    assert "agents have credentials of the old key" in deployed.refused("rotate-key", "--finish")
    deployed.right("rotate-key")
    assert keys(deployed) == [["new", old], ["new", old], ["new"]]


def test_nodes_with_credentials_in_files_are_not_given_the_new_key(operator: Operator) -> None:
    operator.right("deploy", "--var", "credential=/etc/remora/credential", env=operator.database)
    operator.right("rotate-key")
    assert [len(found) for found in keys(operator)] == [2, 2, 0]
    operator.right("rotate-key", "--finish")
    assert [len(found) for found in keys(operator)] == [1, 1, 0]


# -- namespaces, files, words ------------------------------------------------------------------------


def test_a_namespace_that_is_not_there_is_planned_as_new(operator: Operator) -> None:
    told = operator("plan", "--var", "namespace=compute")
    assert (told.exit_code, told.stdout) == (2, "remora-supervisor: new\nremora-gateway: new\nremora-agent: new\n")
    assert operator.nomad.spaces == ["default"]


def test_who_may_not_make_a_namespace_reads_who_may(operator: Operator) -> None:
    operator.do(lambda nomad: nomad.fail("(POST|PUT) /v1/namespaces?", 403, "Permission denied"))
    environment = operator.database | {"NOMAD_TOKEN": "operator's"}
    told = operator.refused("deploy", "--var", "namespace=compute", env=environment)
    assert told.endswith("to make it takes a management token: nomad namespace apply compute")


def test_the_namespace_of_the_other_commands_is_in_the_same_file(operator: Operator, tmp_path) -> None:
    site = tmp_path / "site.hcl"
    site.write_text('namespace = "compute"\n')
    seen: list[str] = []
    operator.do(lambda nomad: nomad.spaces.append("compute"))
    operator.nomad.asked = seen
    operator("status", "--var-file", str(site), env=operator.database)
    operator("drain", "n1", "--var-file", str(site), env=operator.database)
    operator("credential", "n1", "--var-file", str(site), env=operator.database)
    assert set(seen) - {""} == {"compute"}  # nodes are in no namespace


def test_one_supervisor_is_refused_before_nomad_does(operator: Operator) -> None:
    told = operator.refused("render", "--var", "supervisors=1")
    assert told.endswith("supervisors is at least 2, not 1: of fewer than two supervisors none is left when one dies")


def test_a_job_that_does_not_come_up_is_told_with_the_last_line_of_its_log(operator: Operator) -> None:
    operator.do(lambda nomad: nomad.trouble.update({"remora-gateway": "Exit Code: 1"}))
    said = "remora gateway: error: --objects: there is no directory /mnt/shared/remora: is it mounted?"
    operator.do(lambda nomad: setattr(nomad, "said", f'{{"msg": "starts"}}\n{said}\n'))
    told = operator.refused("deploy", "--timeout", "1", env=operator.database)
    assert told.endswith(f"it last said: {said}")
