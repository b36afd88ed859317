"""Every message that a job's error record or an HTTP reply about jobs can hold, word for word, with its keys in order.

Each row provokes one message for real: an infrastructure that is broken is broken here too, by taking a
blob away under the service or by killing the agent. All jobs run side by side; the agent dies last.

Not here, since they cannot happen: `requested image is not available` (refused when the job is created),
`no servers available …` and `internal error ending reduce task input` (tasks wait, and an end of input is
no message that could be lost), `TaskKilledError` (instances are shared out between tasks, not by ending them).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from scheduler.agent.slots.capacity import memory_mb
from tests.support.gate import Gate
from tests.support.machine import needs_core_files
from tests.support.nodes.caps import of_memory, out_of_disk, out_of_memory
from tests.support.services.neighbour import neighbour
from tests.support.services.service import Service, agents_below, serving
from tests.support.services.user import Ended, Phase, User, reduce

UUID = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
LIVE = ("phase", "what", "code", "message", "stderr", "core", "input", "p0input")
ARCHIVED = (
    "taskId", "phaseNum", "server", "machine", "input", "p0input", "what", "code", "message", "stderr", "core",
)  # fmt: skip
STOR = "/jill/stor"
ITEM = f"{STOR}/item"
LONG = f"{STOR}/{'n' * 300}"
GONE = f"{STOR}/gone"
NO_SUCH = (f"{STOR}/missing", "/nobody/stor/x", "/jill/", STOR)
MALFORMED = ("/jill", "relative", "/")
UNUSUAL = " (WARNING: input file was mapped at an unusual location because the object name was too long)"
RETRIEVAL = 'failed to dispatch task: first of 1 error: error retrieving asset "{}" (status code {})'
HOG = "head -c 400M /dev/zero | tail | wc -c; exit ${PIPESTATUS[1]}"


@dataclass(frozen=True)
class Wrong:
    """One error: its code and message, what provokes it, and what is kept of the task that failed."""

    code: str
    message: str
    phases: tuple[Phase, ...]
    given: str = ITEM
    phase: int = 0
    keeps: tuple[str, ...] = ()
    may_keep: tuple[str, ...] = ()
    ran: bool = True
    retries: int = 0


def user_error(message: str, command: str, given: str = ITEM, **more: Any) -> Wrong:
    return Wrong("UserTaskError", message, ({"exec": command, **more},), given, keeps=("stderr",))


def disk_error(command: str) -> Wrong:
    """The kernel may have the program dump core for a file that is too large."""
    message = out_of_disk(2, 4)
    return Wrong("UserTaskError", message, ({"exec": command, "disk": 2},), keeps=("stderr",), may_keep=("core",))


def unlocated(code: str, message: str, given: str) -> Wrong:
    """An input that never became a task."""
    return Wrong(code, message, ("cat",), given, ran=False)


def init_error(message: str, init: str, *keeps: str) -> Wrong:
    return Wrong("TaskInitError", message, ({"exec": "cat", "init": init},), keeps=keeps)


def asset_error(path: str, status: int) -> Wrong:
    return Wrong("TaskInitError", RETRIEVAL.format(path, status), ({"exec": "cat", "assets": [ITEM, path]},))


WRONGS: dict[str, Wrong] = {
    **{
        f"malformed name {name}": unlocated("ResourceNotFoundError", f'malformed object name: "{name}"', name)
        for name in MALFORMED
    },
    **{f"no object {name}": unlocated("ResourceNotFoundError", f'no such object: "{name}"', name) for name in NO_SUCH},
    "an object that vanished": Wrong("ResourceNotFoundError", "failed to load object", ("cat",), GONE),
    "a directory": unlocated(
        "InvalidArgumentError",
        f'objects of type "directory" are not supported: "{STOR}/directory"',
        f"{STOR}/directory",
    ),
    "a reducer beyond the count": Wrong(
        "InvalidArgumentError", 'reducer "7" specified, but only 2 reducers exist',
        (f"mcat -r 7 {ITEM}", reduce("cat", count=2)), phase=1, ran=False,
    ),
    "what is another's": unlocated(
        "AuthorizationError", 'permission denied: "/bob/stor/private"', "/bob/stor/private"
    ),
    "what is another's, by mcat": Wrong(
        "AuthorizationError", 'permission denied: "/bob/stor/private"', ("mcat /bob/stor/private", "cat"),
        phase=1, ran=False,
    ),
    "a reducer's input that vanished": Wrong(
        "ServiceUnavailableError", "error fetching inputs", (reduce("cat"),), GONE, retries=2
    ),
    "init fails": init_error("user command exited with code 5", "echo why >&2; exit 5", "stderr"),
    "an asset is missing": asset_error(f"{STOR}/missing", 404),
    "an asset is another's": asset_error("/bob/stor/private", 403),
    "exit code": user_error("user command exited with code 255", "echo why >&2; exit 255"),
    "no such command": user_error("user command exited with code 127", "no-such-command"),
    "no command at all": user_error("user command exited with code 2", "("),
    "SIGTERM": user_error("user command terminated by SIGTERM", "kill -TERM $$"),
    "SIGKILL": user_error("user command terminated by SIGKILL", "kill -KILL $$"),
    "SIGHUP": user_error("user command terminated by SIGHUP", "kill -HUP $$"),
    "a child by SIGTERM": user_error("user command exited with code 9", "bash -c 'kill -TERM $$'; exit 9"),
    "a real-time signal": user_error("user command terminated by SIGRTMIN", "kill -34 $$"),
    "memory": user_error(out_of_memory(128, 256), HOG, memory=128),
    "disk": disk_error("truncate -s 3G x"),
    "disk, told by the last program": disk_error("exec truncate -s 3G $HOME/x"),
    "a name that is too long": user_error(f"user command exited with code 3{UNUSUAL}", "exit 3", LONG),
    "a later phase": Wrong("UserTaskError", "user command exited with code 1", ("cat", "false"), phase=1,
                           keeps=("stderr",)),
    "a reducer": Wrong("UserTaskError", "user command exited with code 4", (reduce("exit 4"),), keeps=("stderr",)),
}  # fmt: skip
WITH_CORES: dict[str, Wrong] = {
    "a core": Wrong("UserTaskError", "user command or child process dumped core",
                    ("echo why >&2; kill -SEGV $$",), keeps=("stderr", "core")),
    "a core comes before an exit code": Wrong("UserTaskError", "user command or child process dumped core",
                                              ("bash -c 'kill -SEGV $$'; exit 3",), keeps=("stderr", "core")),
    "a core comes before a signal": Wrong("UserTaskError", "user command or child process dumped core",
                                          ("bash -c 'kill -SEGV $$'; kill -TERM $$",), keeps=("stderr", "core")),
    "a core of init": init_error("user command or child process dumped core", "kill -SEGV $$", "stderr", "core"),
}  # fmt: skip
ALL = WRONGS | WITH_CORES


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("service") / "state", "--login", "jill") as running:
        yield running


@pytest.fixture(scope="module")
def submitted(service: Service, user: User) -> dict[str, str]:
    """A job for each row; by its name."""
    for path in (ITEM, LONG, GONE):
        user.put(path, b"the content\n")
    user.session.call("PUT", f"{STOR}/directory", headers={"content-type": "application/json; type=directory"})
    with neighbour(service) as bob:
        bob.put("private", b"secret\n")
    lose_blob(service, user, GONE)
    jobs = {}
    for name, wrong in ALL.items():
        jobs[name] = user.create(*wrong.phases)
        user.add(jobs[name], wrong.given)
        user.jobs.end_input(jobs[name])
    return jobs


def lose_blob(service: Service, user: User, path: str) -> None:
    """A disk that forgets: the object is still listed, but its bytes are gone."""
    blob = user.session.call("HEAD", path).headers["etag"]
    (file,) = (service.state_dir / "blobs").glob(f"*/{blob}")
    file.unlink()


def expected(wrong: Wrong, ended: Ended, found: dict[str, Any]) -> dict[str, Any]:
    """The live record. What the service named itself is taken from `found`, once it has the right form."""
    record: dict[str, Any] = {"phase": str(wrong.phase), "code": wrong.code, "message": wrong.message}
    reducing = wrong.ran and not isinstance(phase := wrong.phases[wrong.phase], str) and phase.get("type") == "reduce"
    base = "/reduce" if reducing else wrong.given
    named = {
        "stderr": rf"{re.escape(ended.stor + base)}\.{wrong.phase}\.err\.{UUID}",
        "core": rf"{re.escape(ended.stor)}/cores/{wrong.phase}/core\.(bash|truncate)\.{UUID}",
    }
    for kind in (*wrong.keeps, *(kind for kind in wrong.may_keep if kind in found)):
        assert re.fullmatch(named[kind], found[kind])
        record[kind] = found[kind]
    if reducing:
        return {**record, "what": f"phase {wrong.phase}: reduce"}
    given = found["input"] if wrong.phase else wrong.given
    assert not wrong.keeps or given == wrong.given or re.fullmatch(rf"{ended.stor}{ITEM}\.0\.{UUID}", given)
    origin = f' (from job input "{wrong.given}")' if wrong.phase else ""
    return {**record, "input": given, "p0input": wrong.given, "what": f'phase {wrong.phase}: input "{given}"{origin}'}


@pytest.mark.parametrize(
    "name", [*WRONGS, *(pytest.param(name, marks=needs_core_files) for name in WITH_CORES)]
)  # fmt: skip
def test_the_record_of_an_error_is_complete(user: User, submitted: dict[str, str], name: str) -> None:
    wrong = ALL[name]
    ended = user.ended(submitted[name])
    live = ended.error
    assert live == expected(wrong, ended, live)
    assert list(live) == [key for key in LIVE if key in live]
    assert (ended.stats["errors"], ended.stats["retries"]) == (1, wrong.retries)
    assert ended.failures == ([live["p0input"]] if "p0input" in live else [])
    look_at_archive(user, ended, wrong)
    if "echo why >&2" in json.dumps(wrong.phases):
        assert user.get(live["stderr"]) == b"why\n"


def look_at_archive(user: User, ended: Ended, wrong: Wrong) -> None:
    """`err.txt` says the same in its own keys, and which task it was, if it was one."""
    user.wait(ended.job, lambda status: "timeArchiveDone" in status)
    (archived,) = [json.loads(line) for line in user.get(f"/jill/jobs/{ended.job}/err.txt").splitlines()]
    assert list(archived) == [key for key in ARCHIVED if key in archived]
    assert ("taskId" in archived) == wrong.ran
    task = archived.pop("taskId", "")
    where = {archived.pop(key, None) for key in ("server", "machine")}
    assert wrong.ran or where == {None}
    assert {"phase": archived.pop("phaseNum"), **archived} == ended.error
    assert "stderr" not in archived or archived["stderr"].endswith(f".err.{task}")


@pytest.mark.usefixtures("submitted")
def test_who_waited_for_an_init_that_failed_is_told_so(user: User) -> None:
    ended = user.run({"exec": "cat", "init": "exit 5"}, inputs=[ITEM] * 20)
    own, earlier = "user command exited with code 5", "task aborted because a previous task failed to initialize"
    messages = [error["message"] for error in ended.errors]
    assert len(messages) == 20 and {error["code"] for error in ended.errors} == {"TaskInitError"}
    assert set(messages) == {own, f"{earlier} (see other errors for details)"}


@pytest.mark.usefixtures("submitted")
@pytest.mark.parametrize(("tier", "scarce"), [({"disk": 1024}, "disk space"), ({"memory": 8192}, "memory")])
def test_a_tier_that_no_machine_has_is_said_at_once(
    service: Service, user: User, tier: dict[str, int], scarce: str
) -> None:
    there = shutil.disk_usage(service.state_dir).total >> 30 if "disk" in tier else memory_mb()
    if there >= max(tier.values()):
        pytest.skip(f"this machine has it: {there}; see test_supervisor_misfit.py")
    error = user.run({"exec": "cat", **tier}, inputs=[ITEM]).error
    message = f"failed to dispatch task: not enough {scarce} available"
    assert (error["code"], error["message"]) == ("TaskInitError", message)
    assert (error["input"], "stderr" in error) == (ITEM, False)


@pytest.mark.usefixtures("submitted")
def test_memory_that_ran_out_unnoticed_is_a_warning(user: User) -> None:
    ended = user.run({"exec": "head -c 400M /dev/zero | tail; exit 3", "memory": 128}, inputs=[ITEM])
    warned = f"user command exited with code 3 (WARNING: ran out of memory during execution){of_memory(128, 256)}"
    # With cgroups the kernel killed `tail`; without them the whole task is killed.
    assert ended.error["message"] in (warned, out_of_memory(128, 256))


# HTTP.

MAP = b'{"phases":[{"exec":"wc"}]}'
Ask = tuple[str, str, bytes]
REFUSALS: dict[str, tuple[Ask, int, str]] = {
    "InvalidJob": (("POST", "/jill/jobs", b"{}"), 400, 'property "phases": is missing and it is required'),
    "InvalidContent": (("POST", "/jill/jobs", b"{"), 400, "Invalid JSON: "),
    "RequestEntityTooLargeError": (("POST", "/jill/jobs", MAP.ljust(100_001)), 413, "body too large"),
    "InvalidJobState": (("POST", "{live}/in", b"x"), 409, "job {job} is in state 'done'"),
    "InvalidParameter": (("GET", "/jill/jobs?state=queued", b""), 400, '"queued" is invalid for "state"'),
    "ResourceNotFound": (("GET", "/jill/jobs/x/live/status", b""), 404, "/jill/jobs/x/live/status does not exist"),
    "AuthorizationFailed": (("GET", "/bob/jobs", b""), 403, "jill is not allowed to access /bob/jobs"),
    "InternalError": (("GET", GONE, b""), 500, "an unexpected error occurred"),
}


@pytest.mark.parametrize("code", REFUSALS)
def test_a_refusal_has_its_status_code_and_message(user: User, submitted: dict[str, str], code: str) -> None:
    (method, target, body), status, message = REFUSALS[code]
    job = user.ended(submitted["exit code"]).job
    path, _, query = target.format(live=f"/jill/jobs/{job}/live").partition("?")
    headers = {"content-type": "application/json"}
    asked = dict([query.split("=")]) if query else None
    with user.session.exchange(method, path, query=asked, headers=headers, body=body) as reply:
        reply.read()
        said = reply.json()
        assert (reply.status_code, said["code"], list(said)) == (status, code, ["code", "message"])
        assert said["message"].startswith(message.format(job=job))


# Tasks whose worker dies: retried twice, and only the last loss is reported.


def test_a_task_whose_agent_dies_each_time_is_an_internal_error(
    service: Service, user: User, submitted: object
) -> None:
    with Gate() as gate:
        job = user.create(gate.wait("$MANTA_INPUT_OBJECT"), reduce("wc -c"))
        user.add(job, ITEM)
        for _ in range(3):
            assert gate.arrivals(1) == [ITEM]
            os.kill(agent(service), signal.SIGKILL)
            assert gate.left() == 0
        user.jobs.end_input(job)
    ended = user.ended(job)
    assert (ended.error["code"], ended.error["message"]) == ("InternalError", "internal error")
    assert "stderr" not in ended.error and ended.failures == [ITEM]
    assert (ended.stats["retries"], ended.stats["errors"], user.texts(ended)) == (2, 1, ["0\n"])


def agent(service: Service) -> int:
    assert service.process is not None
    return agents_below(service.process.pid)[0]
