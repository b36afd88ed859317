"""mjob and remora against a whole service, started as a user starts it: `remora up`."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from cli.client.jobs import Jobs
from tests.support.services.cli_service import Service, start_remora
from tests.support.services.plain_manta import Reply, manta

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service in a home directory of its own. It must end cleanly on Ctrl-C."""
    home = tmp_path_factory.mktemp("home")
    with start_remora(home) as running:
        yield running


@pytest.fixture(scope="module")
def inputs(service: Service) -> bytes:
    """Three objects, as the lines of a job's input."""
    service.make("~~/stor/in")
    for name, text in (("a", b"x y\n"), ("b", b"y\n"), ("c d", b"z\nx\n")):
        service.put(f"~~/stor/in/{name}", text)
    return b"~~/stor/in/a\n\n~~/stor/in/b\r\n~~/stor/in/../in/c d"


COUNT = ("-m", "tr ' ' '\\n'", "-r", "sort | uniq -c | awk '{print $1, $2}'")


def test_outputs_are_printed_and_nothing_else(service: Service, inputs: bytes) -> None:
    result = service.run("mjob", "create", "-o", *COUNT, stdin=inputs)
    assert (result.code, result.out) == (0, "2 x\n2 y\n1 z\n")
    assert re.fullmatch(rf"added 3 inputs to {UUID.pattern}\n", result.err)


def test_expression_style_runs_the_same_job(service: Service, inputs: bytes) -> None:
    words = ["tr ' ' '\\n'", "^^", "sort | uniq -c | awk '{print $1, $2}'"]
    result = service.run("mjob", "create", "-q", "-o", *words, stdin=inputs)
    assert (result.code, result.out, result.err) == (0, "2 x\n2 y\n1 z\n", "")


def test_without_waiting_the_id_is_printed_and_everything_can_be_asked_by_it(service: Service, inputs: bytes) -> None:
    job = service.ok("mjob", "create", "-n", "counting", *COUNT, stdin=inputs).strip()
    assert UUID.fullmatch(job)
    login = service.login
    status = json.loads(service.ok("mjob", "watch", f"/{login}/jobs/{job}"))
    assert (status["id"], status["state"], status["name"]) == (job, "done", "counting")
    assert service.ok("mjob", "inputs", job) == "".join(f"/{login}/stor/in/{name}\n" for name in ("a", "b", "c d"))
    (output,) = service.ok("mjob", "outputs", job).splitlines()
    assert service.ok("mget", output) == "2 x\n2 y\n1 z\n"
    assert service.ok("mjob", "errors", job) == service.ok("mjob", "failures", job) == ""
    assert json.loads(service.ok("mjob", "get", "--json", job))["stats"]["outputs"] == 1
    assert f"{job}/\n" in service.ok("mjob", "list")
    assert service.ok("mjob", "list", "-n", "counting") == f"{job}/\n"
    assert service.ok("mjob", "list", "--ids", "--limit", "1") == f"{job}/\n"
    line = next(line for line in service.ok("mjob", "list", "-l").splitlines() if job in line)
    assert re.fullmatch(rf"drwxr-xr-x 1 {login} 1 \w{{3}} \d+ \d\d:\d\d {job}", line)


def test_a_failed_job_shows_why_at_once_and_what_to_do_next(service: Service, inputs: bytes) -> None:
    script = "seq 30 >&2; printf 'a\\033[2Jb\\n' >&2; exit 3"
    result = service.run("mjob", "create", "-o", "-m", script, stdin=inputs.splitlines()[0])
    assert (result.code, result.out) == (1, "")
    lines = result.err.splitlines()
    assert re.fullmatch(rf"added 1 input to {UUID.pattern}", lines[0])
    assert lines[1] == "UserTaskError: user command exited with code 3"
    assert lines[2] == f'  in phase 0: input "/{service.login}/stor/in/a"'
    assert lines[3].startswith("  its stderr ends with (all of it: mget /")
    assert lines[4:24] == [f"    {number}" for number in range(12, 31)] + ["    a\\x1b[2Jb"]
    assert [line.partition(" mjob ")[2].rpartition(" ")[0] for line in lines[24:26]] == ["errors", "rerun --failed"]
    assert re.fullmatch(rf"mjob create: error: job {UUID.pattern} had 1 error", lines[26])


def test_errors_and_failures_of_a_job_are_listed(service: Service, inputs: bytes) -> None:
    job = service.ok("mjob", "create", "-q", "-m", "false", stdin=inputs).strip()
    assert service.run("mjob", "watch", job).code == 1
    records = [json.loads(line) for line in service.ok("mjob", "errors", job).splitlines()]
    assert [one["code"] for one in records] == ["UserTaskError"] * 3
    assert len(service.ok("mjob", "failures", job).splitlines()) == 3
    result = service.run("mjob", "create", "-w", "-m", "false", stdin=inputs)
    assert result.err.endswith(" had 3 errors\n")


def test_input_that_is_left_open_is_added_to_until_it_is_closed(service: Service, inputs: bytes) -> None:
    job = service.ok("mjob", "create", "--open", "-r", "cat").strip()
    one, _, two = inputs.partition(b"\n\n")
    added = service.run("mjob", "addinputs", "--open", job, stdin=one)
    assert (added.code, added.err) == (0, f"added 1 input to {job}\n")
    assert json.loads(service.ok("mjob", "get", job))["inputDone"] is False
    service.ok("mjob", "addinputs", "-o", "-q", job, stdin=two)
    service.ok("mjob", "close", job)
    assert json.loads(service.ok("mjob", "watch", job))["stats"]["outputs"] == 1
    late = service.run("mjob", "addinputs", job, stdin=one)
    assert (late.code, late.err) == (1, f"mjob addinputs: error: job {job} is in state 'done'\n")


def test_inputs_in_many_batches_all_arrive_and_all_outputs_come_out(service: Service, inputs: bytes) -> None:
    lines = b"~~/stor/in/b\n" * 250
    result = service.run("mjob", "create", "-b", "20", "-p", "3", "-o", "-m", "cat", stdin=lines)
    assert (result.code, result.out) == (0, "y\n" * 250)
    assert result.err.count("added 20 inputs to ") == 12
    assert result.err.count("added 10 inputs to ") == 1


def test_cat_prints_all_outputs_or_one_of_them(service: Service, inputs: bytes) -> None:
    job = service.ok("mjob", "create", "-q", "-m", "cat", stdin=inputs).strip()
    service.ok("mjob", "watch", job)
    texts = [service.ok("mget", name) for name in service.ok("mjob", "outputs", job).splitlines()]
    assert sorted(texts) == ["x y\n", "y\n", "z\nx\n"]
    assert service.ok("mjob", "cat", job) == "".join(texts)
    assert service.ok("mjob", "cat", job, "2") == texts[1]
    assert service.ok("mjob", "cat", f"/{service.login}/jobs/{job}", "-1") == texts[2]
    for number in ("4", "-4"):
        said = f"mjob cat: error: job {job} has 3 outputs: there is no output {number}\n"
        assert service.run("mjob", "cat", job, number).err == said
    assert '\nmjob cat: error: "-x" is no number of an output' in service.run("mjob", "cat", job, "-x").err


def test_a_job_is_run_again_with_all_inputs_or_those_that_failed(service: Service, inputs: bytes) -> None:
    missing = b"\n~~/stor/in/gone\n~~/stor/in/gone\n"
    old = service.ok(
        "mjob", "create", "-q", "-n", "again", "-m", "grep x", "-r", "sort", stdin=inputs + missing
    ).strip()
    early = service.run("mjob", "rerun", service.ok("mjob", "create", "--open", "-m", "wc").strip())
    assert early.code == 1
    assert " is running: wait for it (mjob watch " in early.err
    assert json.loads(service.run("mjob", "watch", old).out)["stats"]["errors"] == 3  # b has no x; two times gone
    service.put("~~/stor/in/gone", b"x at last\n")
    some = service.run("mjob", "rerun", "--failed", old)
    new = some.out.strip()
    assert some.err == f"added 2 inputs to {new}\n"
    status = json.loads(service.run("mjob", "watch", new).out)
    assert (status["name"], status["stats"]["errors"]) == ("again", 1)
    assert [phase["exec"] for phase in status["phases"]] == ["grep x", "sort"]
    assert service.ok("mjob", "cat", new) == "x at last\n"
    everything = service.run("mjob", "rerun", "-q", "-w", old)
    assert everything.code == 1  # the input without x again
    assert service.ok("mjob", "cat", everything.out.strip()) == "x\nx at last\nx at last\nx y\n"
    service.session.call("DELETE", f"/{service.login}/stor/in/gone")
    clean = service.ok("mjob", "create", "-q", "-m", "cat", stdin=inputs).strip()
    service.ok("mjob", "watch", clean)
    nothing = service.run("mjob", "rerun", "--failed", clean)
    said = f"mjob rerun: error: job {clean} has no failed inputs: nothing to run again\n"
    assert (nothing.code, nothing.out, nothing.err) == (1, "", said)


def test_cost_says_what_each_phase_took(service: Service, inputs: bytes) -> None:
    job = service.ok("mjob", "create", "-q", "--memory", "256", "-m", "cat", "-r", "wc -l", stdin=inputs).strip()
    service.ok("mjob", "watch", job)
    head, *lines = [line.split() for line in service.ok("mjob", "cost", job).splitlines()]
    assert head == ["phase", "type", "memory", "tasks", "wall", "cpu", "peak", "in", "out", "GB·s"]
    assert [line[:5] for line in lines[:2]] == [["0", "map", "256", "MB", "3"], ["1", "reduce", "1024", "MB", "1"]]
    assert (lines[0][-3:-1], lines[1][-3:-1], lines[2][:2]) == (["10", "10"], ["10", "2"], ["all", "4"])
    said = json.loads(service.ok("mjob", "cost", "--json", "--price", "2", job))
    took = said["total"]["gb_seconds"]
    assert took == pytest.approx(sum(p["wall_us"] * p["memory"] / 1024e6 for p in said["phases"]), abs=1e-5)
    assert said["total"]["dollars"] == pytest.approx(2 * took)
    assert service.ok("mjob", "cost", "-q", "-n", "x", "-p", "3", job) == f"{took:.3f}\n"
    shown = service.ok("mjob", "cost", "-q", "--price", "2", job)
    assert float(shown.removeprefix("$")) == pytest.approx(2 * took, rel=0.01)
    nothing = service.run("mjob", "cost", "00000000-0000-0000-0000-000000000000")
    assert nothing.code == 1
    assert " is not known: it has no record and no usage.json" in nothing.err


def test_a_job_is_shared_as_a_page_that_anybody_can_read(service: Service, inputs: bytes, tmp_path: Path) -> None:
    job = service.ok("mjob", "create", "-q", "-n", "to share", "-m", "cat", stdin=inputs).strip()
    service.ok("mjob", "watch", job)
    Jobs(service.session).wait_archived(job)
    (tmp_path / "README").write_text("about <it>")
    page = service.ok("mjob", "share", "--stdout", "-r", str(tmp_path / "README"), job)
    assert "<h1>to share</h1>\n<pre>about &lt;it&gt;</pre>" in page
    assert page.count(f"<h3>/{service.login}/stor/in/") == 3
    url = service.ok("mjob", "share", job).strip()
    assert url.endswith(f"/{service.login}/public/jobshares/{job}/index.html")
    with urlopen(url) as reply:  # by nobody in particular
        assert reply.headers["content-type"] == "text/html; charset=utf-8"
        assert b"<h1>to share</h1>" in reply.read()
    cancelled = service.ok("mjob", "create", "-m", "wc", "--open").strip()
    assert " is running: " in service.run("mjob", "share", cancelled).err
    service.ok("mjob", "cancel", cancelled)
    assert " was cancelled: there is nothing whole to share" in service.run("mjob", "share", cancelled).err


def test_a_running_job_is_not_deleted_and_a_finished_one_is(service: Service) -> None:
    job = service.ok("mjob", "create", "--open", "-m", "wc").strip()
    refused = service.run("mjob", "delete", job)
    assert refused.code == 1
    assert re.fullmatch(
        rf"mjob delete: error: job {job} is \w+: wait for it \(mjob watch {job}\) "
        rf"or end it \(mjob cancel {job}\) first\n",
        refused.err,
    )
    service.ok("mjob", "cancel", job)
    again = service.run("mjob", "cancel", job)
    assert (again.code, again.err) == (1, f"mjob cancel: error: job {job} is in state 'cancelled'\n")
    waited = service.run("mjob", "wait", job)
    assert (waited.code, json.loads(waited.out)["cancelled"]) == (1, True)
    assert waited.err.endswith(f"mjob wait: error: job {job} was cancelled\n")
    service.ok("mjob", "delete", job)
    assert f"{job}/" not in service.ok("mjob", "list").split()


def test_dry_run_prints_the_job_and_makes_none(service: Service) -> None:
    before = service.ok("mjob", "list")
    text = service.ok("mjob", "create", "--dry-run", "-s", "~~/stor/a", "-m", "wc", "--count", "2", "-r", "cat")
    assert (
        text
        == json.dumps(
            {
                "name": "",
                "phases": [
                    {"assets": [f"/{service.login}/stor/a"], "exec": "wc", "type": "map"},
                    {"count": 2, "exec": "cat", "type": "reduce"},
                ],
            },
            indent=4,
        )
        + "\n"
    )
    assert service.ok("mjob", "list") == before


def test_dry_run_goes_by_the_rules_of_the_service_and_says_what_would_run(service: Service, inputs: bytes) -> None:
    words = ("create", "--dry-run", "-n", "plan", "--memory", "256", "-m", "wc")
    shown = service.run("mjob", *words, stdin=inputs)
    assert shown.code == 0
    assert shown.err.splitlines() == [
        'would create a job "plan" of 1 phase',
        "  0  map      256 MB     8 GB  image *  wc",
        "with 3 inputs from stdin",
    ]
    assert service.run("mjob", *words, "-q").err == ""
    refused = service.run("mjob", "create", "--dry-run", "--count", "129", "-r", "wc")
    real = service.run("mjob", "create", "--count", "129", "-r", "wc")
    assert (refused.code, refused.out, refused.err) == (real.code, real.out, real.err)
    assert refused.err == 'mjob create: error: property "phases[0].count": must have a maximum value of 128\n'


def test_a_job_kept_as_yaml_runs(service: Service, inputs: bytes, tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text("# lines\nphases:\n  - exec: cat\n  - {type: reduce, exec: wc -l}\n")
    made = service.run("mjob", "create", "-q", "-o", "-f", str(tmp_path / "job.yaml"), stdin=inputs)
    assert (made.code, made.out) == (0, "4\n")


def test_a_manifest_is_used_as_it_is(service: Service, inputs: bytes, tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text('{"phases": [{"exec": "cat"}, {"type": "reduce", "exec": "wc -l"}]}')
    made = service.run("mjob", "create", "-q", "-o", "-f", str(tmp_path / "job.json"), stdin=inputs)
    assert (made.code, made.out) == (0, "4\n")
    (tmp_path / "job.json").write_text("{")
    broken = service.run("mjob", "create", "-f", str(tmp_path / "job.json"))
    assert broken.code == 1
    assert broken.err.startswith(f"mjob create: error: {tmp_path}/job.json is not JSON: ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "At least one map or reduce task must be specified\n"),
        (("-m", "wc", "x"), 'cannot use -m/-r along with a job expression\n(did you forget a "-m" or "-r"?)\n'),
        (("--memory", "3", "-m", "x"), 'property "phases[0].memory": does not have a value '),
    ],
)
def test_what_is_wrong_with_a_job_is_said(service: Service, words: tuple[str, ...], message: str) -> None:
    result = service.run("mjob", "create", *words)
    assert (result.code, result.out) == (1, "")
    assert f"mjob create: error: {message}" in result.err


def test_a_job_that_could_not_be_fed_is_named(service: Service) -> None:
    result = service.run("mjob", "create", "-o", "-m", "wc", stdin=b"/" + b"x" * 100_000)
    assert result.code == 1
    job = UUID.search(result.err)
    assert job
    assert f"\njob {job[0]} is left with its input open\n" in result.err
    assert result.err.endswith(f" mjob cancel {job[0]}\n")
    service.ok("mjob", "cancel", job[0])


def test_commands_that_need_a_job_say_so(service: Service) -> None:
    for name in ("close", "get", "watch", "cancel", "inputs", "outputs", "errors", "failures", "addinputs", "delete"):
        result = service.run("mjob", name)
        assert result.code == 1
        said = f"mjob {name}: error: At least one JobId must be specified\n"
        assert result.err == f"usage: mjob {name} [OPTIONS] job...\noptions: mjob {name} --help\n{said}"
    for name in ("share", "cost", "rerun", "cat"):
        assert service.run("mjob", name).err.endswith(f"\nmjob {name}: error: Exactly one JobId must be specified\n")
    two = service.run("mjob", "rerun", "a", "b")
    assert two.err.endswith("\nmjob rerun: error: Exactly one JobId must be specified\n")


def test_an_unknown_command_and_none_are_errors(service: Service) -> None:
    assert service.run("mjob", "frob").err == 'mjob: error: unknown command: "frob"\n'
    nothing = service.run("mjob")
    assert nothing.code == 1
    assert nothing.err.endswith("mjob: error: no command given\n")


def test_ctrl_c_while_watching_says_how_to_go_on_and_the_job_goes_on(service: Service) -> None:
    job = service.ok("mjob", "create", "--open", "-m", "wc").strip()
    watcher = service.start("mjob", "watch", "-v", job)
    assert watcher.stdin and watcher.stdout and watcher.stderr
    watcher.stderr.readline()  # the first look at the job has been answered
    watcher.send_signal(signal.SIGINT)
    out, err = watcher.communicate(timeout=30)
    assert (watcher.returncode, out) == (130, b"")
    assert f"mjob watch {job}" in err.decode()
    assert f"mjob cancel {job}" in err.decode()
    assert json.loads(service.ok("mjob", "get", job))["state"] != "done"
    service.ok("mjob", "cancel", job)


def on_a_terminal(service: Service, *words: str) -> tuple[int, str]:
    """Run a command whose stdin and stderr are a terminal: status, and what the terminal got."""
    leader, follower = pty.openpty()
    process = service.start(*words, stdin=follower, stderr=follower)
    os.close(follower)
    shown = b""
    try:
        while data := os.read(leader, 65536):
            shown += data
    except OSError:  # the terminal is gone: all its users have ended
        pass
    os.close(leader)
    process.communicate(timeout=30)
    return process.returncode, shown.decode()


def test_on_a_terminal_a_line_shows_how_the_job_gets_on(service: Service) -> None:
    code, shown = on_a_terminal(service, "mjob", "create", "--close", "-w", "-r", "cat")
    assert code == 0
    assert re.search(r"\r\x1b\[K\w+  \d/1 tasks  \d+/s", shown)
    assert shown.endswith("\r\x1b[K")


def test_on_a_terminal_input_is_left_open_with_a_warning(service: Service) -> None:
    code, shown = on_a_terminal(service, "mjob", "create", "-m", "cat")
    assert (code, shown) == (0, "mjob: warning: input stream left open\r\n")


def test_completion_offers_names_of_the_service(service: Service, inputs: bytes) -> None:
    words = {"_MLS_COMPLETE": "bash_complete", "COMP_WORDS": "mls ~~/stor/in/c", "COMP_CWORD": "1"}
    assert service.run("mls", env=words).out == "plain,~~/stor/in/c d\n"


def test_completion_offers_jobs(service: Service) -> None:
    job = service.ok("mjob", "create", "-m", "cat").strip()
    words = {"_MJOB_COMPLETE": "bash_complete", "COMP_WORDS": f"mjob get {job[:5]}", "COMP_CWORD": "2"}
    assert f"plain,{job}\n" in service.run("mjob", env=words).out


def test_an_object_that_arrives_damaged_is_an_error(service: Service) -> None:
    with manta() as broken:
        broken.replies["GET /jill/stor/a"] = [Reply(body=b"abc", headers={"content-md5": "AAAA"})]
        result = service.run("mget", "/jill/stor/a", env=broken.environ())
    assert result.code == 1
    assert result.err.startswith("mget: ChecksumError: /jill/stor/a: ")
