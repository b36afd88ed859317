"""A shell beside a running task, in its instance: what it sees, what it leaves alone, and every end of either."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import pytest

from tests.support.eventually import eventually_here
from tests.support.machine import needs_namespaces
from tests.support.services.service import Service
from tests.support.services.user import User, reduce
from tests.support.sessions import LOST, PROMPT, asked, ended, session
from tests.support.terminal import Terminal

pytestmark = needs_namespaces
WORDS = b"one\ntwo\n"
WAITS = "echo begun; echo of the task > /tmp/note; until test -e /tmp/go; do sleep 0.1; done; cat /tmp/note"


class Running(NamedTuple):
    """A task that runs until `/tmp/go` is there."""

    user: User
    job: str
    task: dict[str, Any]

    @property
    def id(self) -> str:
        return str(self.task["taskId"])

    @property
    def runs(self) -> bool:
        return bool(list(self.user.jobs.tasks(self.job, state="running")))


@pytest.fixture
def begin(user: User) -> Iterator[Callable[..., Running]]:
    """Makes jobs with a task that has begun to print; they are cancelled in the end."""
    jobs: list[str] = []

    def start(script: str = WAITS, *more: Any) -> Running:
        job = user.create(script, *more)
        jobs.append(job)
        user.add(job, user.put("words.txt", WORDS))
        running = eventually_here(lambda: list(user.jobs.tasks(job, state="running")), "the task runs")
        (task,) = running
        eventually_here(lambda: user.jobs.log(job, task["number"], "stdout", 0, 0).data, "it has begun")
        return Running(user, job, task)

    yield start
    for job in jobs:
        if user.jobs.status(job)["state"] == "running":
            user.jobs.cancel(job)


@contextmanager
def beside(service: Service, running: Running, *words: str) -> Iterator[Terminal]:
    """A shell beside a task, at its prompt."""
    with session(service, "mjob", "shell", *words, running.job, running.id) as shell:
        assert "logging in beside the running task" in shell.read_until(PROMPT).decode()
        yield shell


def leave(shell: Terminal, status: int = 0) -> None:
    shell.type(f"exit {status}\r")
    shown, left = ended(shell)
    assert "remote process exited" in shown and left == status


def test_it_sees_the_task_and_leaves_it_alone(service: Service, begin: Callable[..., Running]) -> None:
    task = begin()
    with beside(service, task) as shell:
        assert asked(shell, "pwd; cat /tmp/note $MANTA_INPUT_FILE") == "/\nof the task\none\ntwo\n"
        assert asked(shell, "echo $MANTA_JOB_ID $MANTA_INPUT_OBJECT") == f"{task.job} {task.task['input']}\n"
        assert (
            asked(shell, "tr '\\0' ' ' < /proc/$PPID/cmdline | grep -c terminal; kill -0 $PPID && echo mine")
            == "1\nmine\n"
        )
        assert asked(shell, "grep -sl unt[i]l /proc/[0-9]*/cmdline | wc -l") == "1\n"
        assert asked(shell, "ls -l /proc/$$/fd/1 | grep -c /pts/; echo a line of the shell | tee /dev/stderr") == (
            "1\n" + "a line of the shell\n" * 2
        )
        leave(shell, 3)
    assert task.runs
    with beside(service, task) as shell:  # once more
        assert asked(shell, "echo of the shell > /tmp/note") == ""
        shell.type("touch /tmp/go\r")
        assert "the task has ended" in ended(shell)[0]
    done = task.user.finish(task.job)
    assert (done.stats["errors"], task.user.texts(done)) == (0, ["begun\nof the shell\n"])


def test_its_tools_make_no_outputs_of_the_task(service: Service, begin: Callable[..., Running]) -> None:
    task = begin()
    with beside(service, task) as shell:
        assert "a shell beside a task" in asked(shell, "echo x | mpipe; mcat /x")
        assert "harmless" in asked(shell, "mls ~~/stor > /dev/null && echo harmless")
        leave(shell)


def test_its_use_of_the_processor_is_not_the_task_s(service: Service, begin: Callable[..., Running]) -> None:
    task = begin()
    with beside(service, task) as shell:
        asked(shell, "n=0; while ((n++ < 1000000)); do :; done")
        used = asked(shell, "echo $(($(cut -d' ' -f14 /proc/$$/stat) >= 50))")
        assert used == "1\n"  # half a second, of 100 ticks each
        shell.type("touch /tmp/go\r")
        ended(shell)
    task.user.finish(task.job)
    (record,) = task.user.jobs.tasks(task.job)
    assert record["usage"]["user_us"] < 500_000


@pytest.mark.parametrize("way", ["end", "cancel"])
def test_the_task_s_end_ends_it_and_says_so(service: Service, begin: Callable[..., Running], way: str) -> None:
    task = begin()
    with beside(service, task) as shell:
        shell.type("sleep 1000\r")
        shell.read_until(b"sleep 1000")
        if way == "cancel":
            task.user.jobs.cancel(task.job)
        else:
            task.user.run("true")
            with session(service, "mlogin", "-q", "--task", task.job, task.id, "-c", "true") as second:
                assert "has a master already" in ended(second)[0]
            shell.type("\x03touch /tmp/go\r")
        shown, status = ended(shell)
    assert "session ended: the task has ended" in shown and status == LOST


def test_a_client_that_goes_away_takes_its_shell_with_it(service: Service, begin: Callable[..., Running]) -> None:
    task = begin()
    with beside(service, task) as shell:
        shell.type("sleep 4321\r")
        shell.read_until(b"sleep 4321")
        shell.process.kill()
    with beside(service, task) as shell:
        gone = "until ! grep -asql 4321 /proc/[0-9]*/cmdline; do sleep 0.1; done; echo gone"
        assert asked(shell, gone.replace("4321", "432[1]")) == "gone\n"
        leave(shell)


def test_a_command_beside_a_reducer_whose_input_is_open(service: Service, user: User) -> None:
    job = user.create("cat", reduce("echo begun; cat"))
    user.add(job, user.put("words.txt", WORDS))
    tasks = partial(user.jobs.tasks, job, state="running")
    (task,) = eventually_here(lambda: [each for each in tasks() if each["phaseNum"] == 1], "the reducer runs")
    eventually_here(lambda: user.jobs.log(job, task["number"], "stdout", 0, 0).data, "it has begun")
    with session(service, "mlogin", "-q", "--task", job, task["taskId"], "-c", "echo $MANTA_REDUCER; exit 4") as shell:
        assert ended(shell) == ("0\r\n", 4)
    assert user.texts(user.finish(job)) == ["begun\n" + WORDS.decode()]


def test_a_task_that_has_not_begun_has_a_shell_in_another_instance(service: Service, user: User) -> None:
    job = user.create({"exec": "cat", "init": "until test -e /tmp/go; do sleep 0.1; done"})
    user.add(job, user.put("words.txt", WORDS))
    (task,) = eventually_here(lambda: list(user.jobs.tasks(job, state="running")), "the task is given to a node")
    with session(service, "mjob", "shell", job, task["taskId"]) as shell:
        shell.read_until(b"no shell beside the task: the task does not run now")
        shell.read_until(b"waiting for session")
        shell.type("\x03")
        assert "caught interrupt" in ended(shell)[0]
    user.jobs.cancel(job)


def test_the_session_of_a_task_is_audited(service: Service, begin: Callable[..., Running]) -> None:
    task = begin()
    with beside(service, task) as shell:
        leave(shell)
    log = service.state_dir / "audit.log"

    def found() -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        return [line for line in lines if str(line.get("path")).endswith(f"/{task.job}/master")]

    (line,) = eventually_here(found, "the end of the session is in the log")
    assert (line["event"], line["account"], line["task"]) == ("session", task.user.login, str(task.task["number"]))


def test_a_task_of_an_operation(service: Service, user: User) -> None:
    path, script = user.put("lines", WORDS), "tee /tmp/read; until test -e /tmp/go; do sleep 0.1; done"
    job = service.text("mjob", "map", "--detach", "-o", f"{path}.out", script, path).strip()
    (task,) = eventually_here(lambda: list(user.jobs.tasks(job, state="running")), "its task runs")
    eventually_here(lambda: user.jobs.log(job, task["number"], "stdout", 0, 0).data, "it has begun")
    with session(service, "mjob", "shell", job, task["taskId"]) as shell:
        shell.read_until(PROMPT)
        assert asked(shell, "cat /tmp/read") == WORDS.decode()
        shell.type("touch /tmp/go\r")
        assert "the task has ended" in ended(shell)[0]
    assert user.wait(job, lambda status: status["state"] == "done")["stats"]["errors"] == 0
    assert user.get(f"{path}.out") == WORDS
