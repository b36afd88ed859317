"""What mjob says and does about jobs that are over, or that a client leaves: against a whole service."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.client.job_names import find
from cli.client.jobs import Jobs
from cli.client.problem import NoSuchJob
from tests.support.eventually import eventually_here
from tests.support.gate import Gate
from tests.support.services import service as whole
from tests.support.services.cli_service import Result, Service, start_remora
from tests.support.services.forks import start_command

ONE_OF_THREE = ("-m", "grep x || exit $?")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with start_remora(tmp_path_factory.mktemp("home")) as running:
        running.make("~~/stor/in")
        for name, text in (("a", b"x\n"), ("b", b"y\n"), ("c", b"z\nlast")):
            running.put(f"~~/stor/in/{name}", text)
        yield running


def inputs(*names: str) -> bytes:
    return "".join(f"~~/stor/in/{name}\n" for name in names).encode()


ALL = inputs("a", "b", "c")


def advised(result: Result) -> list[str]:
    """The commands of mjob that the lines before the last propose."""
    return re.findall(r"^  .*: +mjob ([a-z -]+) [0-9a-f-]{36}$", result.err, re.MULTILINE)


def test_outputs_that_there_are_come_before_errors_by_kind_and_what_to_do(service: Service) -> None:
    result = service.run("mjob", "create", "-q", "-o", *ONE_OF_THREE, stdin=ALL + b"~~/stor/gone\n~~/stor/none\n")
    assert (result.code, result.out) == (1, "x\n")
    assert "2 × UserTaskError: user command exited with code 1\n" in result.err
    assert '2 × ResourceNotFoundError: no such object: "…"\n' in result.err
    assert advised(result) == ["cat", "errors", "rerun --failed"]
    assert re.fullmatch(r"mjob create: error: job \S+ had 4 errors", result.err.splitlines()[-1])


@pytest.mark.parametrize(("command", "hinted"), [("false", True), ("echo no >&2; false", False), ("exit 2", False)])
def test_an_exit_of_1_with_nothing_on_stderr_gets_a_hint(service: Service, command: str, hinted: bool) -> None:
    result = service.run("mjob", "create", "-w", "-m", command, stdin=inputs("a"))
    assert ("add `|| true`" in result.err) is hinted


@pytest.mark.parametrize(("line", "hinted"), [("#!/bin/bash\r\n", True), ("#!/bin/bash\n", False)])
def test_a_script_from_windows_gets_a_hint(service: Service, line: str, hinted: bool) -> None:
    service.put("~~/stor/script", f"{line}exit 3\n".encode())
    words = ("-s", "~~/stor/script", "-m", "/assets/$MANTA_USER/stor/script")
    result = service.run("mjob", "create", "-w", *words, stdin=inputs("a"))
    assert ("a script from Windows" in result.err) is hinted


def test_a_job_without_inputs_is_said_to_have_none(service: Service) -> None:
    result = service.run("mjob", "create", "-o", "-q", "-m", "wc")
    assert (result.code, result.err) == (0, "mjob create: the job has no inputs: stdin named no objects\n")


def test_watching_fails_if_any_of_the_jobs_has_failed(service: Service) -> None:
    good = service.ok("mjob", "create", "-q", "-m", "cat", stdin=ALL).strip()
    bad = service.ok("mjob", "create", "-q", *ONE_OF_THREE, stdin=ALL).strip()
    assert service.run("mjob", "watch", good).code == 0
    both = service.run("mjob", "watch", "--json", bad, good)
    assert both.code == 1
    assert [json.loads(line)["id"] for line in both.out.splitlines()] == [bad, good]
    assert both.err.endswith(f"mjob watch: error: job {bad} had 2 errors\n")


def test_a_job_is_cancelled_after_so_many_errors_and_the_rest_is_run_again(service: Service) -> None:
    with Gate() as gate:
        held = f'test "${{MANTA_INPUT_OBJECT##*/}}" = a && echo x && exit; {gate.wait()}'
        creating = service.start("mjob", "create", "-q", "-w", "--halt", "1", "-m", held)
        assert creating.stdin and creating.stdout
        creating.stdin.write(ALL + b"~~/stor/gone\n" + inputs("b") * 200)
        creating.stdin.close()
        job = creating.stdout.readline().decode().strip()
        assert creating.wait(60) == 1
        creating.stdout.close()
        said = creating.stderr.read().decode() if creating.stderr else ""
    assert "cancelling the job\n" in said
    assert said.endswith(f"mjob create: error: job {job} was cancelled\n")
    done = sum(task["state"] == "done" for task in Jobs(service.session).tasks(job))
    again = service.run("mjob", "rerun", "-q", "--failed", job)
    left = 204 - done
    assert again.err == f"job {job} was cancelled: {left} inputs without a result run again\n"
    assert len(service.ok("mjob", "inputs", again.out.strip()).splitlines()) == left
    service.run("mjob", "cancel", again.out.strip())


def test_outputs_are_labelled_in_the_order_of_the_inputs_or_become_files(service: Service, tmp_path: Path) -> None:
    slow_first = 'test "${MANTA_INPUT_OBJECT##*/}" != a || sleep 0.2; cat'
    tagged = service.ok("mjob", "create", "-q", "--tag", "--keep-order", "-m", slow_first, stdin=ALL)
    at = f"/{service.login}/stor/in"
    assert tagged == f"{at}/a\tx\n{at}/b\ty\n{at}/c\tz\n{at}/c\tlast\n"
    service.ok("mjob", "cat", "--results", str(tmp_path), "last")
    files = {str(file.relative_to(tmp_path)): file.read_text() for file in tmp_path.rglob("*") if file.is_file()}
    assert files == {"stor/in/a": "x\n", "stor/in/b": "y\n", "stor/in/c": "z\nlast"}
    assert service.ok("mjob", "create", "-q", "--tag", "-r", "wc -l", stdin=ALL) == "reduce\t3\n"


def test_a_job_that_is_not_to_be_kept_is_gone_once_it_is_printed_but_a_failed_one_stays(service: Service) -> None:
    assert service.ok("mjob", "create", "-q", "-n", "brief", "-o", "--rm", "-m", "cat", stdin=inputs("a")) == "x\n"
    assert service.ok("mjob", "list", "-n", "brief") == ""
    assert service.run("mjob", "create", "-q", "-n", "brief", "-o", "--rm", "-m", "false", stdin=inputs("a")).code == 1
    assert service.ok("mjob", "list", "-n", "brief").count("\n") == 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--rm", "-w", "-m", "wc"), "--rm removes outputs that were not shown"),
        (("-o", "--results", "x", "-m", "wc"), "-o prints the outputs, --results writes them to files"),
        (("--results", "x", "--tag", "-m", "wc"), "--results writes files: --tag and --keep-order are for"),
        (("--open", "--close", "-m", "wc"), "--open and --close exclude each other"),
        (("-f", "job.json", "--memory", "256"), "-f FILE has its own phases, and --memory would not count"),
        (("-f", "job.json", "wc"), "-f FILE has its own phases, and an expression would not count"),
    ],
)
def test_options_that_would_be_ignored_are_refused(service: Service, words: tuple[str, ...], sentence: str) -> None:
    result = service.run("mjob", "create", *words)
    assert (result.code, result.out) == (1, "")
    assert f"mjob create: error: {sentence}" in result.err


def test_a_name_is_given_to_a_job_from_a_file(service: Service, tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text("name: other\nphases:\n  - exec: cat\n")
    service.ok("mjob", "create", "-w", "-n", "of a file", "-f", str(tmp_path / "job.yaml"), stdin=ALL)
    assert json.loads(service.ok("mjob", "get", "of a file"))["phases"] == [{"exec": "cat", "type": "map"}]


@pytest.mark.parametrize("name", ["count words", "a/b", "/jill/stor/x", "ü", "x*y", "-n", "beef", "tab\there", "\n"])
def test_a_job_of_any_name_is_found_by_it_until_it_is_deleted(service: Service, name: str) -> None:
    mine = Jobs(service.session)
    job = mine.create(json.dumps({"name": name, "phases": [{"exec": "cat"}]}).encode())
    assert [entry["name"] for entry in mine.listing(name=name)] == [job]
    assert find(mine, name) == job
    mine.end_input(job)
    mine.wait(job)
    mine.remove(job, parallel=1)
    with pytest.raises(NoSuchJob):
        find(mine, name)


def test_a_job_is_read_and_removed_by_its_name(service: Service) -> None:
    service.ok("mjob", "create", "-w", "-q", "-n", "--", "-m", "cat", stdin=inputs("a"))
    assert service.ok("mjob", "cat", "--", "--") == "x\n"
    service.ok("mjob", "delete", "--", "--")
    assert service.run("mjob", "get", "--", "--").err == 'mjob get: error: no job "--"\n'


def test_the_beginning_of_an_id_or_last_stands_for_a_job(service: Service) -> None:
    old = service.ok("mjob", "create", "-q", "-n", "twice", "-m", "cat", stdin=inputs("a")).strip()
    new = service.ok("mjob", "create", "-q", "-n", "twice", "-m", "cat", stdin=inputs("b")).strip()
    assert service.run("mjob", "watch", "last").code == 0
    assert service.ok("mjob", "cat", "last") == "y\n"
    assert json.loads(service.ok("mjob", "get", old[:13]))["id"] == old
    both = service.run("mjob", "get", "twice").err
    assert re.fullmatch(rf'mjob get: error: "twice" stands for 2 jobs: {new[:8]} \(.+\), {old[:8]} \(.+\)\n', both)
    assert service.run("mjob", "get", "nosuch").err == 'mjob get: error: no job "nosuch"\n'


def test_a_job_that_never_was_is_no_job_whatever_is_asked_of_it(service: Service) -> None:
    mine, never = Jobs(service.session), "00000000-0000-0000-0000-000000000000"
    for ask in (mine.status_or_archive, mine.wait, mine.cancel, mine.end_input, mine.tasks, mine.usage):
        with pytest.raises(NoSuchJob, match=f'no job "{never}"'):
            ask(never)
    with pytest.raises(NoSuchJob):
        next(mine.records(never, "out"))


def test_jobs_are_shown_in_a_table_the_newest_first(service: Service) -> None:
    job = service.ok("mjob", "create", "-q", "-n", "in a table", *ONE_OF_THREE, "-r", "sort", stdin=ALL).strip()
    service.run("mjob", "watch", job)
    head, first, *_ = service.ok("mjob", "list", "--table").splitlines()
    assert head.split() == ["ID", "NAME", "STATE", "DONE", "ERRORS", "AGE", "COMMAND"]
    row = rf"{job[:8]}  in a table +done +4/4 +2 +\d+s  grep x \|\| exit \$\? \^\^ sort"
    assert re.fullmatch(row, first)
    assert service.ok("mjob", "list", "--ids", "-n", "in*") == f"{job}/\n"
    assert f"{job}/" in service.ok("mjob", "list", "-s", "failed", "--since", "1h").split()
    assert service.ok("mjob", "list", "--before", "1h") == ""
    assert json.loads(service.ok("mjob", "list", "-j", "--limit", "1"))["job"]["name"] == "in a table"


def test_a_job_whose_record_is_gone_is_listed_read_and_removed(service: Service) -> None:
    """As after a day: all that is left of the job is its directory."""
    job = "12345678-0000-4000-8000-000000000000"
    document = {
        "id": job, "name": "of long ago", "state": "done", "cancelled": False, "inputDone": True,
        "stats": {"errors": 0, "outputs": 1, "tasks": 1, "tasksDone": 1}, "timeCreated": "2012-01-01T00:00:00.000Z",
        "timeArchiveDone": "2012-01-01T00:00:09.000Z", "phases": [{"exec": "cat", "type": "map"}],
    }  # fmt: skip
    service.make(f"~~/jobs/{job}")
    service.put(f"~~/jobs/{job}/job.json", json.dumps(document).encode())
    service.put(f"~~/jobs/{job}/out.txt", f"/{service.login}/stor/in/a\n".encode())
    assert service.ok("mjob", "list", "-s", "done", "-n", "of long*") == f"{job}/\n"
    assert service.ok("mjob", "cat", "of long ago") == service.ok("mjob", "cat", "12345678") == "x\n"
    assert service.run("mjob", "cancel", job).err == f"mjob cancel: error: job {job} is in state 'done'\n"
    assert "its record is gone" in service.run("mjob", "tasks", job).err
    assert service.run("mjob", "delete", "--older-than", "5w").err == "mjob delete: 0 jobs of that age\n"
    service.ok("mjob", "delete", "12345678/")
    assert service.ok("mjob", "list", "-n", "of long ago") == ""


def test_tasks_are_listed_and_logged_as_gnu_parallel_does(service: Service, tmp_path: Path) -> None:
    log = tmp_path / "log"
    words = ("create", "-q", "-o", "--joblog", str(log), "-m", "grep x || exit 3", "-r", "kill -9 $$")
    assert service.run("mjob", *words, stdin=inputs("a", "b")).code == 1
    head, *lines = [line.split("\t") for line in log.read_text().splitlines()]
    assert head == "Seq Host Starttime JobRuntime Send Receive Exitval Signal Command".split()
    assert [line[6:8] for line in lines] == [["0", "0"], ["3", "0"], ["0", "9"]]
    assert lines[1][8] == f"grep x || exit 3 < /{service.login}/stor/in/b"
    table = [line.split() for line in service.ok("mjob", "tasks", "last").splitlines()]
    assert [row[1:4] for row in table[1:]] == [["0", "done", "1"], ["0", "failed", "1"], ["1", "failed", "1"]]
    (failed,) = service.ok("mjob", "tasks", "--json", "-s", "done", "last").splitlines()
    assert json.loads(failed)["input"] == f"/{service.login}/stor/in/a"


def test_a_task_that_runs_too_long_fails_by_name_after_its_retries(service: Service) -> None:
    words = ("create", "-q", "-w", "--timeout", "1s", "--retries", "1", "-m", "grep x || sleep 1000")
    result = service.run("mjob", *words, stdin=inputs("a", "b"))
    assert result.code == 1
    assert 'TaskTimeoutError: user task ran longer than it may ("timeout": 1 seconds)\n' in result.err
    table = [line.split()[2:4] for line in service.ok("mjob", "tasks", "last").splitlines()]
    assert table[1:] == [["done", "1"], ["failed", "2"]]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--timeout", "soon"), '"soon" is no time (90, 90s, 15m, 2h, 7d)'),
        (("--timeout", "0"), '"0" is not from 1 s to 31536000 s'),
        (("--retries", "-1"), "-1 is not in the range 0<=x<=100"),
    ],
)
def test_what_is_no_limit_is_refused_in_a_sentence(service: Service, words: tuple[str, ...], sentence: str) -> None:
    result = service.run("mjob", "create", *words, "-m", "wc")
    assert (result.code, sentence in result.err) == (1, True), result.err


def test_logs_show_what_failed_tasks_said(service: Service) -> None:
    job = service.ok("mjob", "create", "-q", "-m", "cat >&2; exit 2", stdin=inputs("a", "b")).strip()
    service.run("mjob", "watch", job)
    line = '==> phase 0: input "/{login}/stor/in/{name}": user command exited with code 2 <==\n{said}\n'
    told = [line.format(login=service.login, name=name, said=said) for name, said in (("a", "x"), ("b", "y"))]
    assert sorted(service.ok("mjob", "logs", job).split("==>")) == sorted("".join(told).split("==>"))
    assert service.ok("mjob", "logs", "-f", job, "in/b") == told[1]


def test_logs_of_a_running_task_are_shown_and_followed_over_its_retry(service: Service) -> None:
    with Gate() as gate:
        script = f"echo out $$; (echo err | cat) >&2; {gate.wait()}; mls ~~/stor/go >/dev/null && echo last || exit 3"
        job = service.ok("mjob", "create", "-q", "--retries", "1", "-m", script, stdin=inputs("a")).strip()
        gate.arrivals(1)
        task = service.ok("mjob", "tasks", job).splitlines()[1].split()[0]
        heading = f"==> task {task} (/{service.login}/stor/in/a), attempt {{}}: {{}} <==\n"
        assert service.ok("mjob", "logs", "--stderr", job) == heading.format(1, "stderr") + "err\n"
        follower = service.start("mjob", "logs", "-f", "--stdout", job, task)
        assert follower.stdout
        assert follower.stdout.readline().decode() == heading.format(1, "stdout")
        first = follower.stdout.readline()
        gate.open()
        gate.arrivals(1)
        service.put("~~/stor/go", b"")
        gate.open()
        rest, _ = follower.communicate(timeout=60)
    second, *lines = rest.decode().splitlines(keepends=True)
    assert (second, lines[-1], len(lines), follower.returncode) == (heading.format(2, "stdout"), "last\n", 2, 0)
    assert first.startswith(b"out ")


def test_all_that_a_job_prints_is_followed_once_until_its_end(service: Service) -> None:
    with Gate() as gate:
        script = f"read word; echo $word >&2; {gate.wait()}; test $word = x"
        job = service.ok("mjob", "create", "-q", "-m", script, stdin=inputs("a", "b")).strip()
        gate.arrivals(2)
        follower = service.start("mjob", "logs", "-f", job)
        assert follower.stdout
        head = [follower.stdout.readline() for _ in range(4)]
        gate.open()
        rest, err = follower.communicate(timeout=60)
    assert sorted(line for line in head if not line.startswith(b"==>")) == [b"x\n", b"y\n"]
    failed = f'==> phase 0: input "/{service.login}/stor/in/b": user command exited with code 1 <==\n'
    assert (rest.decode(), err, follower.returncode) == (failed, b"", 0)


def test_an_interrupt_ends_the_watching_of_logs_alone(service: Service) -> None:
    with Gate() as gate:
        job = service.ok("mjob", "create", "-q", "-m", f"echo on; {gate.wait()}", stdin=inputs("a")).strip()
        gate.arrivals(1)
        follower = service.start("mjob", "logs", "-f", job)
        assert follower.stdout
        follower.stdout.readline()
        follower.send_signal(signal.SIGINT)
        _, err = follower.communicate(timeout=60)
        assert follower.returncode == 130
        assert f"stopped watching; job {job} goes on" in err.decode()
    assert service.run("mjob", "watch", job).code == 0


def test_logs_of_a_task_that_ended_are_what_it_has_left(service: Service) -> None:
    job = service.ok("mjob", "create", "-w", "-q", "-m", "cat; echo quiet >&2", stdin=inputs("a")).strip()
    task = service.ok("mjob", "tasks", job).splitlines()[1].split()[0]
    heading = f"==> task {task} (/{service.login}/stor/in/a), attempt 1: stdout <==\n"
    assert service.ok("mjob", "logs", job, task) == service.ok("mjob", "logs", "-f", job, task) == f"{heading}x\n"


def test_whatever_ends_a_client_says_that_the_job_goes_on(service: Service) -> None:
    with Gate() as gate:
        watching = service.start("mjob", "create", "-o", "-q", "-m", gate.wait())
        assert watching.stdin
        watching.stdin.write(inputs("a"))
        watching.stdin.close()
        gate.arrivals(1)
        eventually_here(lambda: json.loads(service.ok("mjob", "get", "last"))["inputDone"], "the input has ended")
        watching.stdin = None
        watching.send_signal(signal.SIGTERM)
        _, err = watching.communicate(timeout=30)
    assert watching.returncode == 128 + signal.SIGTERM
    assert re.search(r"^stopped watching; job \S+ goes on$", err.decode(), re.MULTILINE)
    assert advised(Result(0, "", err.decode())) == ["watch", "cat", "cancel"]
    adding = service.start("mjob", "create", "-m", "wc", "-b", "1")
    assert adding.stdin and adding.stdout and adding.stderr
    job = adding.stdout.readline().decode().strip()
    adding.stdin.write(inputs("a"))
    adding.stdin.flush()
    adding.stderr.readline()  # added 1 input
    adding.send_signal(signal.SIGINT)
    _, err = adding.communicate(timeout=30)
    assert adding.returncode == 130
    assert f"job {job} is left with its input open\n" in err.decode()
    assert advised(Result(0, "", err.decode())) == ["addinputs", "close", "cancel"]
    service.ok("mjob", "cancel", job)


def test_an_interrupt_while_outputs_are_printed_says_how_to_get_all_of_them(service: Service) -> None:
    printing = service.start("mjob", "create", "-o", "-q", "-m", "head -c 1000000 /dev/zero")
    assert printing.stdin and printing.stdout
    printing.stdin.write(inputs("a"))
    printing.stdin.close()
    printing.stdin = None
    printing.stdout.read(1)  # the rest does not fit into the pipe
    printing.send_signal(signal.SIGINT)
    _, err = printing.communicate(timeout=30)
    assert printing.returncode == 130
    assert re.search(r"^job \S+ is done, and keeps its outputs$", err.decode(), re.MULTILINE)
    assert advised(Result(0, "", err.decode())) == ["cat", "outputs"]


def test_a_watcher_outlives_a_restart_of_the_service_at_another_port(tmp_path: Path) -> None:
    service = whole.Service(tmp_path / "state").start()
    service.run("mput", "~~/stor/a", stdin=b"x\n")
    with Gate() as gate:
        words = ("mjob", "create", "-q", "-o", "-m", f"{gate.wait()}; cat")
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        creating = start_command(*words, env=service.env, **pipes)
        creating.stdin.write(b"~~/stor/a\n")
        creating.stdin.close()
        creating.stdin = None
        gate.arrivals(1)
        assert service.stop() == 0
        assert b"; asking again for 60 s\n" in creating.stderr.readline()
        service.start()
        gate.arrivals(1)
        gate.open()
        out, err = creating.communicate(timeout=60)
    assert (creating.returncode, out, err) == (0, b"x\n", b"the service answers again\n")
    assert service.stop() == 0
