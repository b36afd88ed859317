"""The cases of which everybody who reimplements this API can be sure: each known to hold upstream, in their order.

A case is a job and what must come of it. All jobs are submitted first and run side by side; then each
is looked at. The last three cases are about a job that is still running.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from cli.client.problem import Refused
from tests.support.gate import Gate
from tests.support.machine import needs_core_files
from tests.support.services.neighbour import neighbour
from tests.support.services.service import Service, serving
from tests.support.services.user import Ended, Phase, User, reduce

UUID = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
LINES = 300
ODD_NAMES = ("with two  spaces", "naïve 鱼 🐟", "new\nline")
TEXTS = {
    "obj1": b"1\n",
    "obj2": b"2\n",
    "obj3": b"3\n",
    "lines": "".join(f"key{n}\t{n}\n" for n in range(1, LINES + 1)).encode(),
    "one line": b"foo\n",
    "paths": "".join(f"/jill/stor/{name}\0" for name in ODD_NAMES).encode(),
    **{name: f"{name}\n".encode() for name in ODD_NAMES},
}
THREE = ("obj1", "obj2", "obj3")
Look = Callable[[User, Ended], None]


@dataclass(frozen=True)
class Case:
    """What runs, on which of `TEXTS` (or of any names), and what must have come of it."""

    phases: tuple[Phase, ...]
    inputs: tuple[str, ...]
    look: Look


def gives(*texts: str) -> Look:
    """Outputs of these contents, in any order, and no error."""

    def look(user: User, ended: Ended) -> None:
        assert ended.errors == []
        assert user.texts(ended) == sorted(texts)
        assert ended.stats["outputs"] == len(texts) == len(set(ended.outputs))

    return look


def fails(code: str, message: str, count: int = 1) -> Look:
    """So many errors, all the same, and no output."""

    def look(_: User, ended: Ended) -> None:
        assert [(error["code"], error["message"]) for error in ended.errors] == [(code, message)] * count
        assert (ended.outputs, len(ended.failures)) == ([], count)

    return look


def counted(user: User, ended: Ended) -> None:
    assert ended.errors == []
    assert [text.split() for text in user.texts(ended)] == [["1", "1", "2"]] * 4
    assert (ended.stats["tasks"], len(set(ended.outputs))) == (4, 4)


def named_after_job_inputs(user: User, ended: Ended) -> None:
    gives("1\n", "1\n", "1\n")(user, ended)
    bases = [re.fullmatch(rf"{ended.stor}(/jill/stor/.*)\.1\.{UUID}", name) for name in ended.outputs]
    assert sorted(match[1] for match in bases if match) == [user.path(name) for name in THREE]


def lists_the_input(user: User, ended: Ended) -> None:
    assert (ended.outputs, ended.errors) == ([user.path("obj1")] * 2, [])


def splits(user: User, ended: Ended) -> None:
    """Three streams, of which each line went to exactly one, and all of a key to the same."""
    parts = user.texts(ended)
    assert len(parts) == 3 and all(parts)
    assert sorted("".join(parts)) == sorted(TEXTS["lines"].decode())
    assert sum(int(line.split("\t")[1]) for part in parts for line in part.splitlines()) == LINES * (LINES + 1) // 2


def beyond_count(user: User, ended: Ended) -> None:
    message = 'reducer "5" specified, but only 2 reducers exist'
    assert (ended.error["code"], ended.error["message"]) == ("InvalidArgumentError", message)
    assert ended.error["phase"] == "1"
    assert (user.texts(ended), user.get("beyond")) == (["0\n", "0\n"], b"1\n")


def dumped(user: User, ended: Ended) -> None:
    fails("UserTaskError", "user command or child process dumped core")(user, ended)
    assert user.get(ended.error["core"]).startswith(b"\x7fELF")


def not_initialized(user: User, ended: Ended) -> None:
    earlier = "task aborted because a previous task failed to initialize (see other errors for details)"
    assert [error["code"] for error in ended.errors] == ["TaskInitError"] * 3
    messages = {error["message"] for error in ended.errors}
    assert "user command exited with code 5" in messages <= {"user command exited with code 5", earlier}
    assert (ended.outputs, len(ended.failures)) == ([], 3)


def not_there(user: User, ended: Ended) -> None:
    found = {error["input"]: (error["code"], error["message"]) for error in ended.errors}
    directory, missing = (user.path(name) for name in ("directory", "missing"))
    assert found == {
        missing: ("ResourceNotFoundError", f'no such object: "{missing}"'),
        directory: ("InvalidArgumentError", f'objects of type "directory" are not supported: "{directory}"'),
        "/jill": ("ResourceNotFoundError", 'malformed object name: "/jill"'),
        "/bob/stor/private": ("AuthorizationError", 'permission denied: "/bob/stor/private"'),
    }
    assert (ended.stats["tasks"], ended.stats["errors"], ended.outputs) == (0, 4, [])
    assert sorted(ended.failures) == sorted(found)


def by_odd_names(user: User, ended: Ended) -> None:
    """Each as the input of a task, and as a line of the list of outputs of a job of its own."""
    assert ended.errors == []
    assert user.texts(ended) == sorted(f"{name}\n{user.path(name)}\n" for name in ODD_NAMES)


RETRIEVAL = 'failed to dispatch task: first of 1 error: error retrieving asset "/jill/stor/missing" (status code 404)'
TOOL_FAILED = fails("UserTaskError", "user command exited with code 1")
BAD_INPUTS = ("missing", "directory", "/jill", "/bob/stor/private")
SHOW_INPUT = 'cat "$MANTA_INPUT_FILE"; echo "$MANTA_INPUT_OBJECT"'

CASES = {
    "wc of four inputs, of which one is a duplicate": Case(("wc",), (*THREE, "obj1"), counted),
    "a map without inputs": Case(("wc",), (), gives()),
    "a reducer without inputs": Case((reduce("wc | tr -s ' '"),), (), gives(" 0 0 0\n")),
    "a map that prints nothing": Case(("true",), ("obj1",), gives("")),
    "a map of a map is named after the job's input": Case(("cat", "wc -l"), THREE, named_after_job_inputs),
    "mpipe replaces what is printed": Case(("echo foo; echo bar | mpipe",), ("obj1",), gives("bar\n")),
    "mcat lists the object itself": Case(("mcat $MANTA_INPUT_OBJECT $MANTA_INPUT_OBJECT",), ("obj1",), lists_the_input),
    "msplit sends each line to one of three reducers": Case(
        ("msplit -n 3", reduce("cat", count=3)), ("lines",), splits
    ),
    "msplit leaves a reducer without lines, and it runs": Case(
        ("msplit -n 3", reduce('echo "$MANTA_REDUCER $(wc -l)"', count=3)),
        ("one line",), gives("0 0\n", "1 1\n", "2 0\n"),
    ),
    "a reducer beyond the count": Case(
        ("mpipe -r 5 ~~/stor/beyond", reduce("wc -c", count=2)), ("obj1",), beyond_count
    ),
    "a child that is left behind": Case(("sleep 86400 & echo done",), ("obj1",), gives("done\n")),
    "false, three times": Case(("false",), THREE, fails("UserTaskError", "user command exited with code 1", 3)),
    "a core dump": Case(("kill -SEGV $$",), ("obj1",), dumped),
    "an init that fails": Case(({"exec": "cat", "init": "exit 5"},), THREE, not_initialized),
    "an asset that is missing": Case(
        ({"exec": "cat", "assets": ["/jill/stor/missing"]},), ("obj1",), fails("TaskInitError", RETRIEVAL)
    ),
    "inputs that cannot be": Case(("wc",), BAD_INPUTS, not_there),
    "mget and mjob inside of a task, without keys": Case(
        ("mget -q $MANTA_INPUT_OBJECT; mjob inputs $MANTA_JOB_ID",), ("obj1",), gives("1\n/jill/stor/obj1\n")
    ),
    "mpipe into a directory that does not exist": Case(("mpipe ~~/stor/no/such/x",), ("obj1",), TOOL_FAILED),
    "mpipe to reducer 128": Case(("mpipe -r128",), ("obj1",), TOOL_FAILED),
    "odd names": Case(("xargs -0 mcat", SHOW_INPUT), ("paths",), by_odd_names),
}  # fmt: skip
NEEDS = {"a core dump": needs_core_files}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("service") / "state", "--login", "jill") as running:
        yield running


@pytest.fixture(scope="module")
def submitted(service: Service, user: User) -> dict[str, str]:
    """All jobs of the table, by the name of their case."""
    for name, content in TEXTS.items():
        user.put(name, content)
    user.session.call("PUT", user.path("directory"), headers={"content-type": "application/json; type=directory"})
    with neighbour(service) as bob:
        bob.put("private", b"secret\n")
    jobs = {}
    for name, case in CASES.items():
        jobs[name] = user.create(*case.phases)
        if case.inputs:
            user.add(jobs[name], *map(user.path, case.inputs))
        user.jobs.end_input(jobs[name])
    return jobs


@pytest.mark.parametrize("name", [pytest.param(name, marks=NEEDS.get(name, ())) for name in CASES])
def test_a_case_that_holds_upstream_holds_here(user: User, submitted: dict[str, str], name: str) -> None:
    CASES[name].look(user, user.ended(submitted[name]))


def test_a_job_that_is_cancelled_is_done_and_what_ran_is_an_error(user: User, submitted: dict[str, str]) -> None:
    with Gate() as gate:
        job = user.create(gate.wait("$MANTA_INPUT_OBJECT"), reduce("cat"))
        user.add(job, *map(user.path, THREE[:2]))
        assert gate.arrivals(2) == [user.path(name) for name in THREE[:2]]
        assert user.session.call("POST", f"/jill/jobs/{job}/live/cancel").status_code == 202
        assert (gate.left(), gate.left()) == (0, 0)
    ended = user.ended(job)
    assert (ended.status["state"], ended.status["cancelled"], ended.status["inputDone"]) == ("done", True, True)
    fails("JobCancelledError", "job was cancelled", 2)(user, ended)
    for late in ("in", "in/end", "cancel"):
        refused(user, job, late, "cancelled")


def test_input_ends_twice_and_takes_nothing_after(user: User, submitted: dict[str, str]) -> None:
    with Gate() as gate:
        job = user.create(f"{gate.wait()} && cat")
        user.add(job, user.path("obj1"))
        gate.arrivals(1)
        end = f"/jill/jobs/{job}/live/in/end"
        assert [user.session.call("POST", end).status_code for _ in range(2)] == [202, 202]
        refused(user, job, "in", "inputDone")
    gives("1\n")(user, user.ended(job))
    for late in ("in", "in/end", "cancel"):
        refused(user, job, late, "done")


def refused(user: User, job: str, what: str, state: str) -> None:
    with pytest.raises(Refused, match=f"job {job} is in state '{state}'") as refusal:
        user.session.call("POST", f"/jill/jobs/{job}/live/{what}", body=b"/jill/stor/obj1\n")
    assert (refusal.value.status, refusal.value.name) == (409, "InvalidJobStateError")
