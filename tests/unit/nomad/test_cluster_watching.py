"""What a deployment has come to, judged by what Nomad shows."""

from __future__ import annotations

from typing import Any

import pytest

from cli.service.cluster.plan import differences, lacks
from cli.service.cluster.status import table
from cli.service.cluster.watching import judge, last_line

Json = dict[str, Any]
JOB: Json = {"Type": "service", "Version": 3, "JobModifyIndex": 20, "TaskGroups": [{"Count": 2}]}
SYSTEM: Json = JOB | {"Type": "system", "TaskGroups": [{"Count": 1}]}


def allocation(node: str = "n1", status: str = "running", healthy: bool | None = True, **more: Any) -> Json:
    event = {"Type": "Driver Failure", "DisplayMessage": "no such file", "Time": 2}
    older = {"Type": "Received", "DisplayMessage": "Task received", "Time": 1}
    found: Json = {
        "NodeName": node, "ClientStatus": status, "DesiredStatus": "run", "JobVersion": 3,
        "TaskStates": {"task": {"Events": [event, older]}},
        "DeploymentStatus": None if healthy is None else {"Healthy": healthy},
    }  # fmt: skip
    return found | more


def deployment(status: str, total: int = 2, version: int = 3) -> Json:
    return {"Status": status, "StatusDescription": f"it is {status}", "JobVersion": version,
            "TaskGroups": {"g": {"DesiredTotal": total}}}  # fmt: skip


def test_what_runs_is_well_only_once_nomad_has_found_it_healthy() -> None:
    both = [allocation("n1"), allocation("n2", healthy=None)]
    found = judge(JOB, both, deployment("running"), [])
    assert (found.wanted, found.healthy, found.done, str(found)) == (2, 1, False, "1 of 2 healthy")
    assert judge(JOB, [allocation(), allocation("n2")], deployment("running"), []).done


def test_what_was_replaced_after_a_deployment_has_no_health_and_is_well() -> None:
    both = [allocation("n1"), allocation("n2", healthy=None)]
    assert judge(JOB, both, deployment("successful"), []).done
    assert judge(JOB, both, None, []).done


def test_what_does_not_run_is_told_by_its_newest_event() -> None:
    found = judge(JOB, [allocation(), allocation("n2", "failed", False)], deployment("running"), [])
    assert str(found) == "1 of 2 healthy; on n2: Driver Failure: no such file"
    nothing_said = allocation("n2", "pending", None, TaskStates=None)
    assert str(judge(JOB, [nothing_said], deployment("running"), [])) == "0 of 2 healthy; on n2: pending"


def test_that_a_task_is_started_again_is_not_what_is_wrong_with_it() -> None:
    ended = {"Type": "Terminated", "DisplayMessage": "Exit Code: 1", "Time": 2}
    again = {"Type": "Restarting", "DisplayMessage": "Task restarting in 1.13507182s", "Time": 3}
    one = allocation("n2", "pending", False, TaskStates={"task": {"Events": [ended, again]}})
    assert judge(JOB, [one], deployment("running"), []).troubles == ("on n2: Terminated: Exit Code: 1",)


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("", ""),
        ("starts\nremora gateway: error: no such directory\n\n", "remora gateway: error: no such directory"),
        ('{"msg": "no gateway lists the supervisors", "why": "connection refused"}\n',
         "no gateway lists the supervisors: connection refused"),
        ('["a list"]\n', '["a list"]'),
        ('{"level": "info"}', '{"level": "info"}'),
    ],
)  # fmt: skip
def test_the_last_line_of_a_log_is_told_as_a_sentence(log: str, said: str) -> None:
    assert last_line(log) == said


def test_older_versions_and_what_is_told_to_stop_do_not_count() -> None:
    old = [allocation(JobVersion=2), allocation(JobVersion=2), allocation(DesiredStatus="stop")]
    assert judge(JOB, old, deployment("successful", version=2), []).healthy == 0


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_a_deployment_that_was_given_up_is_never_done(status: str) -> None:
    found = judge(JOB, [allocation(), allocation("n2")], deployment(status), [])
    assert (found.failed, found.done) == (f"it is {status}", False)


def test_a_system_job_is_wanted_on_as_many_nodes_as_its_deployment_says_or_as_it_was_placed_on() -> None:
    assert judge(SYSTEM, [allocation()], deployment("running", total=3), []).wanted == 3
    assert judge(SYSTEM, [allocation(), allocation("n2")], None, []).wanted == 2
    nowhere = judge(SYSTEM, [], None, [])
    assert (str(nowhere), nowhere.done) == ("no node for it yet", False)


def test_a_shortage_is_told_while_it_lasts() -> None:
    metric = {"DimensionExhausted": {"memory": 2}, "ConstraintFiltered": {"${attr.driver}": 1}, "NodesEvaluated": 3}
    blocked = {"ModifyIndex": 25, "Status": "blocked", "FailedTGAllocs": {"gateway": metric}}
    told = "gateway: no node has room: ${attr.driver} on 1, memory on 2"
    assert judge(JOB, [], None, [blocked]).troubles == (told,)
    assert judge(JOB, [], None, [blocked, blocked | {"ModifyIndex": 26, "Status": "complete"}]).troubles == ()
    assert judge(JOB, [], None, [blocked | {"ModifyIndex": 5}]).troubles == ()
    assert judge(JOB, [allocation(), allocation("n2")], None, [blocked]).troubles == ()  # all are there by now
    assert list(lacks({"g": {"NodesEvaluated": 0}})) == ["g: no node has room: 0 nodes were looked at"]


def test_differences_are_told_down_to_the_field() -> None:
    field = {"Type": "Edited", "Name": "memory", "Old": "512", "New": "1024"}
    same = {"Type": "None", "Name": "cpu", "Old": "1", "New": "1"}
    added = {"Type": "Added", "Name": "A", "Old": "", "New": "b"}
    parts = [
        {"Type": "Edited", "Name": "Resources", "Fields": [field, same]},
        {"Type": "None", "Name": "Env", "Fields": [field]},
    ]
    task = {"Type": "Edited", "Name": "gateway", "Fields": [added], "Objects": parts}
    diff = {"Type": "Edited", "TaskGroups": [{"Type": "Edited", "Name": "gateway", "Tasks": [task]}]}
    assert list(differences(diff)) == [
        "gateway.gateway.A: nothing -> b",
        "gateway.gateway.Resources.memory: 512 -> 1024",
    ]


def test_a_table_is_as_wide_as_it_must_be() -> None:
    assert list(table("node", ("node", "tasks"), [("n1", 2), ("long-name", 10)])) == [
        "", "node       tasks", "n1         2", "long-name  10",
    ]  # fmt: skip
    assert list(table("node", ("node",), [])) == ["", "no node"]
