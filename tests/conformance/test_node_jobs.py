"""Scripts from the days of Manta: its published client runs jobs here.

Where a command of ours exists, it is run too, and must say the same. What differs, and is meant to:

- ours names itself before every message (`mjob addinputs: error: …`), shows the first error of a
  job that failed, and adds the usage to a usage error;
- `mjob create --dry-run` shows the empty name that is sent, and a plan on stderr.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import time
from pathlib import Path

import pytest

from scheduler.records.database import open_database
from scheduler.supervisor.jobs.retention import LINGER_MS, purge_expired
from tests.conformance.clients import Both, Said, lines
from tests.support.gate import Gate
from tests.support.machine import needs_namespaces
from tests.support.services.objects import put_many
from tests.support.services.service import Service
from tests.support.services.user import User
from tests.support.variants import thorough, variants

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
NOBODY = "11111111-2222-4333-8444-555555555555"


@pytest.fixture(scope="module")
def inputs(both: Both, user: User) -> str:
    """Three objects, as `mfind` names them; and their names, as an object that is a manifest."""
    user.session.call("PUT", "/jill/stor/in", headers={"content-type": "application/json; type=directory"})
    put_many(user.session, {f"/jill/stor/in/{n}": f"common w{n}\nline l{n}\n".encode() for n in (1, 2, 3)})
    found = "".join(f"{line}\n" for line in lines(both.ok("mfind", "-t", "o", "~~/stor/in")))
    user.put("inputs", found.encode())
    return found


def without_ids(text: str) -> str:
    return re.sub(UUID, "ID", text)


JOBS = {
    "a map": (["-m", "echo $(wc)"], ["2 4 18"] * 3),
    "a map and a reduce": (["-m", "cut -d' ' -f1", "-r", "sort | uniq -c | awk '{print $1 $2}'"], ["3common", "3line"]),
    "an expression": (["tail -n1", "^", "cat", "^^", "sort"], ["line l1", "line l2", "line l3"]),
    "two reducers of an expression": (["cut -d' ' -f1 | msplit -n 2", "^^^^", "wc -l"], ["0", "6"]),
    "two reducers": (
        ["-m", "msplit -d ' ' -f 2 -n 2", "--count", "2", "-r", "echo $MANTA_REDUCER $(sort)"],
        ["0 common w1 common w2 common w3 line l3", "1 line l1 line l2"],
    ),
    "an init": (
        ["--init", "exit 0", "--memory", "256", "--disk", "2", "-m", "head -1"],
        [f"common w{n}" for n in "123"],
    ),
    "phases that pipe": (["-m", "head -1 | mpipe", "-m", "cut -d' ' -f2"], ["w1", "w2", "w3"]),
}


@pytest.mark.parametrize("kind", variants(JOBS, 2))
def test_a_job_gives_its_outputs(both: Both, inputs: str, kind: str) -> None:
    words, expected = JOBS[kind]
    theirs, ours = both.each("mjob", "create", "-o", *words, stdin=inputs)
    assert (theirs.code, lines(theirs.out)) == (ours.code, lines(ours.out)) == (0, expected)
    assert without_ids(theirs.err) == without_ids(ours.err) == "added 3 inputs to ID\n"


def test_a_manifest_is_the_input_of_a_job_that_reads_what_it_names(both: Both, inputs: str) -> None:
    words = ("mjob", "create", "-q", "-o", "-m", "xargs mcat", "-m", "wc")
    theirs, ours = both.each(*words, stdin="~~/stor/inputs\n")
    assert (theirs.code, theirs.out.split(), theirs.err) == (0, ["2", "4", "18"] * 3, "")
    assert ours == theirs


@needs_namespaces
def test_an_asset_is_set_up_by_init_and_used_by_every_task(both: Both, inputs: str) -> None:
    both.ok("mput", "~~/stor/tool", stdin='#!/bin/sh\necho "$1 $(wc -l)"\n')
    words = ("-s", "~~/stor/tool", "--init", "cp /assets/jill/stor/tool /tmp/t", "-m", "/tmp/t lines")
    theirs, ours = both.each("mjob", "create", "-q", "-o", *words, stdin=inputs)
    assert theirs == ours == Said(0, "lines 2\n" * 3, "")


EXAMPLES: dict[str, tuple[list[str], list[str]]] = {
    "routing by fields": (
        ["-m", r"printf 'a,b,c,d,e\nx,y,c,z,e\n1,2,3,4,5\n' | msplit -d , -f 5,3 -n 4",
         "--count", "4", "-r", "sort -u"],
        ["1,2,3,4,5", "a,b,c,d,e", "x,y,c,z,e"],
    ),
    "a copy on the way": (
        ["-m", "mtee ~~/stor/tee.${MANTA_INPUT_OBJECT##*/} | wc -l", "-m", "cat; mget -q ~~/stor/tee.2"],
        lines("2\ncommon w2\nline l2\n" * 3),
    ),
    "outputs with names": (
        ["-m", "wc -l | mpipe -p ~~/stor/named/$MANTA_JOB_ID${MANTA_INPUT_OBJECT}-lines",
         "-m", "echo ${MANTA_INPUT_OBJECT##*/} $(cat)"],
        ["1-lines 2", "2-lines 2", "3-lines 2"],
    ),
    "several outputs of a task": (
        ["-m", "head -1 | mpipe; tail -1 $MANTA_INPUT_FILE | mpipe", "-r", "sort"],
        ["common w1", "common w2", "common w3", "line l1", "line l2", "line l3"],
    ),
    "a reducer replaced by cat": (["-m", "wc -l", "-r", "cat"], ["2"] * 3),
    "objects by HTTP": (
        ["-m", "curl -fsS -T - -H 'x-manta-stream: stdout' -H 'x-manta-reducer: 1' "
               "$MANTA_URL${MANTA_OUTPUT_BASE:1}http",
         "--count", "2", "-r", "echo $MANTA_REDUCER $(wc -l)"],
        ["0 0", "1 6"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", variants(EXAMPLES))
def test_an_example_of_the_manual_gives_what_it_promises(both: Both, inputs: str, kind: str) -> None:
    words, expected = EXAMPLES[kind]
    said = both.node("mjob", "create", "-q", "-o", *words, stdin=inputs)
    assert (said.code, lines(said.out), said.err) == (0, expected, "")


@needs_namespaces
def test_a_program_in_a_tarball_is_unpacked_by_init_in_every_instance(both: Both, inputs: str, tmp_path: Path) -> None:
    """The manual's large example: asset, init, tiers, image and two reducers, in a file."""
    (tmp_path / "program/bin").mkdir(parents=True)
    program = tmp_path / "program/bin/count"
    program.write_text("#!/bin/sh\necho $(wc -l)\n")
    program.chmod(0o755)
    subprocess.run(["tar", "-czf", "program.tgz", "program"], cwd=tmp_path, check=True)
    both.ok("mput", "-f", str(tmp_path / "program.tgz"), "~~/stor/program.tgz")
    counting = {"type": "reduce", "exec": "/var/tmp/program/bin/count", "count": 2, "image": ">=13.1.0",
                "assets": ["/jill/stor/program.tgz"], "init": "cd /var/tmp && tar xzf /assets/jill/stor/program.tgz",
                "memory": 2048, "disk": 16}  # fmt: skip
    phases = [{"exec": "grep -w common"}, counting]
    (tmp_path / "job.json").write_text(json.dumps({"phases": phases}))
    said = both.node("mjob", "create", "-q", "-o", "-f", str(tmp_path / "job.json"), stdin=inputs)
    assert (said.code, sum(map(int, said.out.split())), len(said.out.split())) == (0, 3, 2), said


@needs_namespaces
def test_a_script_is_an_asset_of_the_phase_that_runs_it(both: Both, inputs: str) -> None:
    both.ok("mput", "~~/stor/myscript", stdin="#!/bin/sh\nsort | uniq -c | sort -rn | awk 'NR == 1 { print $2 }'\n")
    words = ("-m", "cut -d' ' -f1", "-s", "~~/stor/myscript", "-r", "/assets/jill/stor/myscript")
    theirs, ours = both.each("mjob", "create", "-q", "-o", *words, stdin=inputs)
    assert theirs == ours and theirs.out in ("common\n", "line\n")


def test_what_mfind_finds_is_the_input_of_a_job(both: Both, inputs: str) -> None:
    found = both.node("mfind", "-t", "o", "-n", "[12]$", "~~/stor/in").out
    assert lines(both.node("mjob", "create", "-q", "-o", "-m", "head -1", stdin=found).out) == [
        "common w1",
        "common w2",
    ]


def test_what_a_job_left_behind_is_removed_as_any_directory(both: Both, user: User, inputs: str) -> None:
    job = both.ok("mjob", "create", "-q", "-m", "grep w1", stdin=inputs).strip()
    user.wait(job, lambda status: "timeArchiveDone" in status)
    both.ok("mrm", "-r", f"~~/jobs/{job}")
    assert job not in both.ok("mls", "~~/jobs")


def test_a_job_of_a_file_is_used_as_it_is(both: Both, inputs: str, tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text(
        '{"name":"of a file","phases":[{"exec":"cat"},{"type":"reduce","exec":"wc -l"}]}'
    )
    job = both.ok("mjob", "create", "-q", "-w", "-f", str(tmp_path / "job.json"), stdin=inputs).strip()
    status = json.loads(both.run("mjob", "get", job).out)
    assert (status["name"], status["state"], status["stats"]["outputs"]) == ("of a file", "done", 1)


@pytest.fixture(scope="module")
def partly(both: Both, user: User, inputs: str) -> str:
    """A job of which one task succeeds and two inputs fail, each in its way; archived."""
    words = ("-n", "partly", "-m", "grep w2 || exit 3")
    job = both.ok("mjob", "create", "-q", *words, stdin=f"{inputs}~~/stor/none\n").strip()
    status = user.wait(job, lambda status: "timeArchiveDone" in status)
    assert (status["stats"]["tasks"], status["stats"]["errors"]) == (3, 3)
    return job


def test_status_and_lists_of_a_job_are_the_same(both: Both, partly: str, inputs: str) -> None:
    theirs, ours = both.each("mjob", "watch", partly)
    assert ours.out == theirs.out == both.run("mjob", "get", partly).out
    assert (theirs.code, ours.code) == (0, 1)  # the job had errors
    assert lines(both.run("mjob", "inputs", partly).out) == [*lines(inputs), "/jill/stor/none"]
    (output,) = both.run("mjob", "outputs", f"/jill/jobs/{partly}").out.splitlines()
    assert re.fullmatch(rf"/jill/jobs/{partly}/stor/jill/stor/in/2\.0\.{UUID}", output)
    assert both.run("mget", output).out == "common w2\n"
    failed = [name for name in (*lines(inputs), "/jill/stor/none") if not name.endswith("2")]
    assert lines(both.run("mjob", "failures", partly).out) == failed


def test_errors_of_a_job_say_what_happened_where(both: Both, partly: str) -> None:
    errors = {error["input"]: error for error in map(json.loads, both.run("mjob", "errors", partly).out.splitlines())}
    assert errors["/jill/stor/none"]["code"] == "ResourceNotFoundError"
    assert errors["/jill/stor/none"]["message"] == 'no such object: "/jill/stor/none"'
    assert errors["/jill/stor/in/1"]["message"] == "user command exited with code 3"
    assert both.ok("mget", errors["/jill/stor/in/1"]["stderr"]) == ""


def test_a_job_with_errors_fails_and_only_we_print_the_outputs_that_there_are(both: Both, inputs: str) -> None:
    theirs, ours = both.each("mjob", "create", "-o", "-m", "grep w2", stdin=inputs)
    assert (theirs.code, theirs.out) == (1, "")
    assert (ours.code, ours.out) == (1, "common w2\n")
    last = [without_ids(said.err.splitlines()[-1]) for said in (theirs, ours)]
    assert last == ["mjob create: error: job ID had 2 errors"] * 2


def test_jobs_are_listed_by_name_and_by_state(both: Both, partly: str) -> None:
    assert f"{partly}/\n" in both.run("mjob", "list", shape=lines).out  # ours are the newest first
    assert both.run("mjob", "list", "-n", "partly").out == f"{partly}/\n"
    line = next(line for line in both.run("mjob", "list", "-l", shape=lines).out.splitlines() if partly in line)
    assert re.fullmatch(rf"drwxr-xr-x 1 jill 1 \w{{3}} \d\d? \d\d:\d\d {partly}", line)
    theirs, ours = ({*lines(said.out)} for said in both.each("mjob", "list", "-s", "done"))
    assert f"{partly}/" in ours <= theirs  # which has jobs that were removed, too


def test_an_open_job_takes_inputs_until_it_is_closed(both: Both, inputs: str) -> None:
    job = both.ok("mjob", "create", "--open", "-r", "sort").strip()
    assert both.run("mjob", "list", "-s", "running").out == f"{job}/\n"
    one, two, three = inputs.splitlines()
    for run, name in ((both.node, one), (both.ours, two), (both.node, three)):
        assert run("mjob", "addinputs", "--open", job, stdin=name) == Said(0, "", f"added 1 input to {job}\n")
    assert json.loads(both.run("mjob", "get", job).out)["inputDone"] is False
    both.ok("mjob", "close", job)
    both.ok("mjob", "watch", job)
    assert both.ok("mget", both.ok("mjob", "outputs", job).strip()) == "".join(
        [f"common w{n}\n" for n in "123"] + [f"line l{n}\n" for n in "123"]
    )
    late = both.each("mjob", "addinputs", job, stdin=one)
    assert [said.code for said in late] == [1, 1]
    assert [said.err.partition("rror: ")[2] for said in late] == [f"job {job} is in state 'done'\n"] * 2


def test_addinputs_closes_the_job_unless_told_otherwise(both: Both, inputs: str) -> None:
    job = both.ok("mjob", "create", "--open", "-m", "wc").strip()
    both.node("mjob", "addinputs", job, stdin=inputs)
    assert json.loads(both.ok("mjob", "watch", job))["stats"]["outputs"] == 3


def test_a_cancelled_job_is_done_and_takes_nothing_more(both: Both, inputs: str) -> None:
    with Gate() as gate:
        job = both.ok("mjob", "create", "-q", "-m", gate.wait(), stdin=inputs.splitlines()[0]).strip()
        gate.arrivals(1)
        both.ok("mjob", "cancel", job)
    assert [said.code for said in both.each("mjob", "watch", job)] == [0, 1]
    status = json.loads(both.run("mjob", "get", job).out)
    assert (status["state"], status["cancelled"]) == ("done", True)
    (error,) = map(json.loads, both.run("mjob", "errors", job).out.splitlines())
    assert (error["code"], error["message"]) == ("JobCancelledError", "job was cancelled")
    assert both.run("mjob", "cancel", job).err == f"mjob cancel: error: job {job} is in state 'cancelled'\n"


@pytest.mark.parametrize("words", variants(["get", "outputs", "watch", "close"]))
def test_a_job_that_never_was_is_reported(both: Both, words: str) -> None:
    theirs, ours = both.each("mjob", words, NOBODY)
    assert (theirs.code, theirs.out) == (ours.code, ours.out) == (1, "")
    assert re.fullmatch(rf"mjob {words}: error: /jill/jobs/{NOBODY}/\S+ (was not found|does not exist)\n", theirs.err)
    assert ours.err == f'mjob {words}: error: no job "{NOBODY}"\n'


@pytest.mark.parametrize(
    "words",
    variants(
        [
            ["frob"],
            ["create", "--memory", "3", "-m", "wc"],
            ["create", "--image", "nonsense", "-m", "wc"],
        ]
    ),
)
def test_a_job_that_cannot_be_is_refused_in_the_same_words(both: Both, words: list[str]) -> None:
    said = both.run("mjob", *words)
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("mjob")


@pytest.mark.parametrize("style", [["-m", "wc"], ["wc"]], ids=["options", "expression"])
def test_an_asset_that_is_no_path_is_refused_before_there_is_a_job(both: Both, style: list[str]) -> None:
    theirs, ours = both.each("mjob", "create", "-s", "relative/x", *style)
    assert (theirs.code, theirs.out) == (ours.code, ours.out) == (1, "")
    assert theirs.err == "mjob: error: relative/x is not a valid Manta path\n"
    assert ours.err == "mjob create: error: relative/x is not a valid Manta path\n"


@pytest.mark.parametrize("words", variants([["create"], ["create", "-m", "wc", "x"], ["get"]]))
def test_wrong_usage_of_mjob_ends_with_the_same_words(both: Both, words: list[str]) -> None:
    theirs, ours = both.each("mjob", *words)
    assert (theirs.code, theirs.out) == (ours.code, ours.out) == (1, "")
    assert ours.err.startswith(f"usage: mjob {words[0]} ")
    assert ours.err.endswith(f"\n{theirs.err}")


@pytest.mark.parametrize(
    "words",
    [
        ["-s", "~~/stor/a", "--init", "echo ü", "--image", ">=1", "-m", "wc", "--count", "2", "-r", "cat"],
        ["-s", "~~/stor/a", "--memory", "256", "wc", "^", "cat", "^^^^", "cat"],
    ],
    ids=["options", "expression"],
)
def test_the_same_words_describe_the_same_job(both: Both, words: list[str]) -> None:
    theirs, ours = both.each("mjob", "create", "--dry-run", "-n", "x", *words)
    assert (ours.code, ours.out) == (theirs.code, theirs.out)
    assert '"exec": "wc"' in ours.out


def test_a_job_is_shared_as_a_page(both: Both, partly: str) -> None:
    page = both.ok("mjob", "share", "-s", partly)
    assert "common w2" in page
    assert "user command exited with code 3" in page


@thorough
def test_long_after_its_end_a_job_is_told_from_its_archive(
    both: Both, service: Service, user: User, inputs: str
) -> None:
    job = both.ok("mjob", "create", "-q", "-m", "grep w2", stdin=inputs).strip()
    user.wait(job, lambda status: "timeArchiveDone" in status)
    asked = ("get", "inputs", "outputs", "errors", "failures")
    live = {name: lines(both.ok("mjob", name, job)) for name in asked[1:] if name != "errors"}
    forget_archived_jobs(service)
    archived = {name: both.run("mjob", name, job).out for name in asked}
    status = json.loads(archived.pop("get"))
    errors = [json.loads(line) for line in archived.pop("errors").splitlines()]
    assert [(error["code"], error["phaseNum"]) for error in errors] == [("UserTaskError", "0")] * 2
    assert (status["id"], status["state"], status["stats"]["errors"]) == (job, "done", 2)
    assert {name: lines(text) for name, text in archived.items()} == live
    assert both.ok("mls", f"~~/jobs/{job}") == ("err.txt\nfail.txt\nin.txt\njob.json\nout.txt\nstor/\nusage.json\n")


def forget_archived_jobs(service: Service) -> None:
    """What the service itself does when the records of its jobs have been kept long enough."""
    database = open_database(service.database)
    try:
        asyncio.run(purge_expired(database, time.time_ns() // 1_000_000 + LINGER_MS))
    finally:
        database.close()
