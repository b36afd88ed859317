"""The job files, and what is chosen in them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import hcl2
import pytest

from cli.client.problem import Problem
from cli.service.cluster import jobfiles, secrets
from scheduler.nomad import job_documents

GOLDEN = Path(__file__).parents[2] / "golden"
DEFAULTS = jobfiles.choices((), ())
needs_nomad = pytest.mark.skipif(shutil.which("nomad") is None, reason="the nomad program is not on PATH")


def read(text: str) -> dict[str, Any]:
    """A file in HCL; names and texts without their quotes."""
    return plain(hcl2.loads(text))


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {plain(key): plain(below) for key, below in value.items() if key != "__is_block__"}
    if isinstance(value, list):
        return [plain(below) for below in value]
    return value.strip('"') if isinstance(value, str) else value


def job_of(text: str) -> dict[str, Any]:
    (job,) = read(text)["job"]
    (body,) = job.values()
    return body


def task_of(text: str) -> dict[str, Any]:
    (group,) = job_of(text)["group"][0].values()
    (task,) = group["task"][0].values()
    return task


@pytest.mark.parametrize("job", jobfiles.JOBS)
def test_a_job_file_declares_variables_that_there_are_with_the_defaults_that_hold(job: str) -> None:
    declared = {name: body for block in read(jobfiles.text_of(f"{job}.nomad.hcl"))["variable"]
                for name, body in block.items()}  # fmt: skip
    assert declared
    assert {name: body["default"] for name, body in declared.items()} == {name: DEFAULTS[name] for name in declared}


def test_every_variable_is_used_somewhere() -> None:
    texts = "".join(jobfiles.text_of(f"{job}.nomad.hcl") for job in jobfiles.JOBS)
    assert {name for name in DEFAULTS if not re.search(rf"var\.{name}\b", texts)} == set()


@pytest.mark.parametrize("job", jobfiles.JOBS)
def test_a_choice_becomes_the_default_and_nothing_else_changes(job: str) -> None:
    text = jobfiles.text_of(f"{job}.nomad.hcl")
    assert jobfiles.fill(text, DEFAULTS) == text
    chosen = jobfiles.fill(text, DEFAULTS | {"bin": "/elsewhere/bin"})
    changed = [line for line in chosen.splitlines() if line not in text.splitlines()]
    assert [line.split() for line in changed] == [["default", "=", '"/elsewhere/bin"']]


def test_there_are_two_supervisors_and_an_agent_on_each_node() -> None:
    assert DEFAULTS["supervisors"] == 2
    assert job_of(jobfiles.text_of("agent.nomad.hcl"))["type"] == "system"


@pytest.mark.parametrize("job", jobfiles.JOBS)
def test_a_job_runs_remora_as_it_is_told_by_its_environment(job: str) -> None:
    task = task_of(jobfiles.text_of(f"{job}.nomad.hcl"))
    assert task["driver"] == "raw_exec"
    assert task["config"][0]["command"] == "${var.bin}/remora"
    assert task["config"][0]["args"][0] == job
    assert {"REMORA_LISTEN", "REMORA_OBJECTS"} <= set(task["env"][0])


def test_the_agent_is_not_given_the_key_that_its_credential_is_made_of() -> None:
    (credential, gateways) = task_of(jobfiles.text_of("agent.nomad.hcl"))["template"]
    assert re.findall("REMORA_[A-Z_]+", credential["data"]) == ["REMORA_AGENT_CREDENTIAL"]
    assert "hmacSHA256Hex $node .agent_key.Value" in credential["data"]
    assert gateways["change_mode"] == "noop"


@pytest.mark.parametrize("job", jobfiles.JOBS)
def test_secrets_come_from_the_variable_that_deploy_writes(job: str) -> None:
    templates = "".join(template["data"] for template in task_of(jobfiles.text_of(f"{job}.nomad.hcl"))["template"])
    assert re.findall('nomadVar "([^"]+)"', templates) == [secrets.path(job)]
    read_there = set(re.findall(r"\.([a-z_]+)\.Value", templates))
    assert read_there == {name for name, readers in secrets.READERS.items() if job in readers}


@needs_nomad
@pytest.mark.parametrize("job", jobfiles.JOBS)
def test_nomad_reads_a_job_file_as_it_was_recorded(job: str, tmp_path: Path) -> None:
    file = tmp_path / "job.nomad.hcl"
    file.write_text(jobfiles.text_of(f"{job}.nomad.hcl"))
    told = subprocess.run(["nomad", "job", "run", "-output", str(file)], capture_output=True, text=True, check=True)
    assert json.loads(told.stdout) == json.loads((GOLDEN / f"nomad_{job}.json").read_text())


@needs_nomad
def test_nomad_refuses_a_single_supervisor(tmp_path: Path) -> None:
    file = tmp_path / "job.nomad.hcl"
    file.write_text(jobfiles.fill(jobfiles.text_of("supervisor.nomad.hcl"), {"supervisors": 1}))
    told = subprocess.run(["nomad", "job", "run", "-output", str(file)], capture_output=True, text=True)
    assert told.returncode != 0
    assert "none is left when one dies" in " ".join((told.stdout + told.stderr).split())


@needs_nomad
def test_the_instance_for_reading_is_what_a_supervisor_registers(tmp_path: Path) -> None:
    file = tmp_path / "instance.nomad.hcl"
    file.write_text(jobfiles.text_of("instance.nomad.hcl"))
    told = subprocess.run(["nomad", "job", "run", "-output", str(file)], capture_output=True, text=True, check=True)
    booking = job_documents.Booking(7, "5f0c91aa-7c1e-4d0e-8b7a-2f1f6a3e9d10", 0, 1024, 8, "n1")
    template = job_documents.Template(cluster="0123abcd", launcher="/opt/remora/libexec/launcher",
                                  socket="/var/lib/remora/launch.sock")  # fmt: skip
    written = json.loads(told.stdout)["Job"]
    registered = job_documents.document(booking, 4, template)["Job"]
    assert holds(written, registered) == []


def holds(written: Any, registered: Any, path: str = "") -> list[str]:
    """Where a parsed job does not say what a document says; what only Nomad fills in does not count."""
    if isinstance(registered, dict):
        return [
            told
            for key, value in registered.items()
            for told in holds((written or {}).get(key), value, f"{path}.{key}")
        ]
    if isinstance(registered, list) and len(registered) == len(written or []):
        return [told for n, value in enumerate(registered) for told in holds(written[n], value, f"{path}[{n}]")]
    return [] if written == registered else [f"{path}: {written!r}, not {registered!r}"]


# Choosing.


def chosen(tmp_path: Path, text: str, *words: str) -> dict[str, jobfiles.Value]:
    file = tmp_path / "site.hcl"
    file.write_text(text)
    return jobfiles.choices([file], words)


def test_the_last_choice_wins(tmp_path: Path) -> None:
    text = '# ours\ngateways = 3 // more\n\nobjects="/mnt/objects"\ndatacenters = ["a",\n  "b"]\n'
    found = chosen(tmp_path, text, "gateways=4", "objects=/other", "datacenters=[]")
    assert found == DEFAULTS | {"gateways": 4, "objects": "/other", "datacenters": []}
    assert chosen(tmp_path, text)["datacenters"] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("gateway = 3", "there is no variable 'gateway'"),
        ('gateways = "3"', 'gateways takes a whole number, not "3"'),
        ("gateways = true", "gateways takes a whole number, not true"),
        ("bin = 3", "bin takes a text in quotes"),
        ("datacenters = [1]", "datacenters takes a list of texts"),
        ("gateways = three", "line 1: gateways is set to 'three', which is no number, text or list"),
        ("\ngateways = 3\ngateways = 4", "line 3: gateways is set twice"),
        ("\n\ngateways: 3", "line 3: a variable is set by NAME = VALUE, not by 'gateways: 3'"),
        ('bin = "${attr.x}"', "bin is taken as it is"),
        ('bin = "a\\nb"', "bin is taken as it is"),
    ],
)
def test_a_choice_that_cannot_be_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(Problem, match=re.escape(sentence)):
        chosen(tmp_path, text)


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("gateways", "--var wants NAME=VALUE"),
        ("gateways=x", "--var gateways: 'x' is no number"),
        ("a=1", "no variable"),
    ],
)
def test_a_word_that_cannot_be_is_one_sentence(word: str, sentence: str) -> None:
    with pytest.raises(Problem, match=re.escape(sentence)):
        jobfiles.choices((), [word])


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(Problem, match=r"cannot read the variables in .*missing.hcl: No such file"):
        jobfiles.choices([tmp_path / "missing.hcl"], ())
    with pytest.raises(Problem, match=r"cannot read .*variables.hcl: No such file"):
        jobfiles.choices((), (), tmp_path)
    (tmp_path / "site.hcl").write_bytes(b"bin = \xff")
    with pytest.raises(Problem, match="it is not UTF-8"):
        jobfiles.choices([tmp_path / "site.hcl"], ())


@pytest.mark.parametrize("name", ["supervisor", "operator"])
def test_a_policy_is_for_the_namespace_that_is_chosen(name: str) -> None:
    (default,) = read(jobfiles.policy(name, "default"))["namespace"][0]
    (other,) = read(jobfiles.policy(name, "compute"))["namespace"][0]
    assert (default, other) == ("default", "compute")


# Secrets.

NOTHING: dict[str, dict[str, str]] = {"supervisor": {}, "gateway": {}, "agent": {}}
URL = "postgresql://remora@db/remora"


def test_secrets_are_made_once_and_shared_by_their_readers() -> None:
    made = secrets.decide(NOTHING, {"database": URL})
    assert made["supervisor"] == made["gateway"]
    assert set(made["agent"]) == {"agent_key"}
    assert made["agent"]["agent_key"] == made["gateway"]["agent_key"] != made["gateway"]["token_secret"]
    assert secrets.decide(made, {}) == made
    keyless = secrets.decide(made, {}, credentials=True)
    assert keyless == made | {"agent": {"agent_key": ""}}
    assert secrets.decide(keyless, {}, credentials=True) == keyless
    assert secrets.decide(keyless, {}) == made
    other = secrets.decide(made, {"database": "postgresql://other/remora"})
    assert other["gateway"] == made["gateway"] | {"database": "postgresql://other/remora"}


def test_a_secret_that_one_job_has_is_taken_for_all_and_others_stay() -> None:
    found = NOTHING | {"gateway": {"agent_key": "k", "more": "x"}}
    made = secrets.decide(found, {"database": URL})
    assert [made[job]["agent_key"] for job in made] == ["k", "k", "k"]
    assert made["gateway"]["more"] == "x"


def test_secrets_that_differ_are_named_and_nothing_is_changed() -> None:
    found = NOTHING | {"gateway": {"agent_key": "k"}, "agent": {"agent_key": "other"}}
    with pytest.raises(
        Problem, match="agent_key differs between nomad/jobs/remora-gateway and nomad/jobs/remora-agent"
    ):
        secrets.decide(found, {"database": URL})


def test_without_a_database_somebody_must_say_where_it_is() -> None:
    with pytest.raises(Problem, match="where are the records"):
        secrets.decide(NOTHING, {})
