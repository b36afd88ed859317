"""Every example that the project prints is run as it stands, on data that any user may have.

The data: objects with and without what an example looks for, a directory among the logs, jobs that are done, open
and failed, and no job that runs. An example must end with 0, and must not speak of an error.

`NOT_RUN` names what needs more than a service on this machine. Whatever is not named there runs.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from cli.client.problem import Refused
from cli.main import PROGRAMS
from datapath import libexec
from scheduler.model.credentials.httpsig import PublicKey
from scheduler.records import accounts
from scheduler.records.database import Connection, open_database
from tests.support import examples
from tests.support.eventually import eventually_here
from tests.support.examples import Example
from tests.support.services.cli_service import write_key
from tests.support.services.forks import USUAL, run_command
from tests.support.services.objects import client, put_many
from tests.support.services.service import Service, serving
from tests.support.services.user import User, reduce
from tests.support.variants import thorough

# One command whose words a shell leaves as they are.
ALONE = re.compile(r"(m[a-z0-9]+|remora)( (?!~/)([-\w./~:=,+^]+|'[^'$]*'))*")
A_JOB = re.compile(r"8bd3c96e(-…)?")
# An example begins with one of these, or its page does: why it is not run.
NOT_RUN: Mapping[str, str] = {
    "remora-agent": "wants a gateway of a cluster",
    "remora-cluster": "wants a cluster: tests/cluster, tests/integration/cluster/test_cluster_commands.py",
    "remora-gateway": "wants PostgreSQL: tests/integration/cluster/test_cluster_processes.py",
    "remora-supervisor": "wants PostgreSQL: tests/integration/cluster/test_cluster_processes.py",
    "remora-image": "wants root and containerd: test_containerd_service.py, test_image_pull.py",
    "remora-doctor": "its exit status is the machine's",
    "remora logs -f": "follows until Ctrl-C: tests/integration/operators/test_day_two.py",
    "remora-down": "ends the service: tests/integration/operators/test_day_two.py",
    "remora-backup": "wants another disk: tests/integration/operators/test_day_two.py",
    "remora-restore": "wants a backup: tests/integration/operators/test_day_two.py",
    "remora-install-service": "wants systemd: tests/integration/operators/test_day_two.py",
    "remora-cancel": "wants a job that goes on: tests/integration/operators/test_operator_commands.py",
    "mrjob-cancel": "wants a job that goes on: tests/integration/operators/test_operator_commands.py",
    "remora verify --database-file": "wants PostgreSQL",
    "mrjob cancel": "wants a job that goes on: tests/integration/operators/test_operator_commands.py",
    "remora-up": "serves until Ctrl-C: every test with a service runs it",
    "mchmod": "wants roles, which there are none of",
    "mlogin": "wants a terminal: tests/integration/sessions/test_mlogin.py",
    "mjob-shell": "wants a terminal: tests/integration/sessions/test_shells.py",
    "mjob-debug": "wants a terminal: tests/integration/sessions/test_shells.py",
    "mjob-replay": "what it writes fails as the task did: tests/integration/sessions/test_replay.py",
    "mrm -I": "asks on a terminal: tests/integration/cli/test_cli_objects.py",
    "curl -s https://github.com": "asks another service",
    "ssh-add": "wants an ssh agent",
}
# What an example needs, besides the data, to be there or not to be there.
KINDS: Mapping[str, str] = {
    "mjob-cancel": "open",
    "mjob-close": "open",
    "mjob-errors": "failed",
    "mjob-failures": "failed",
    "mjob-rerun": "failed",
    "mrerrors": "failed",
}
# Pages whose examples are about an operation that runs, which is the newest job.
OF_OPERATIONS = frozenset(
    f"mjob-{name}"
    for name in ("suspend", "resume", "complete", "abort", "update", "abort-attempt", "abandon", "stderr", "input")
)
# Of its task 17 one attempt has failed, and the next goes on.
STUCK = '[ "$MANTA_TASK_NUMBER" = 17 ] || exit 0; [ "$MANTA_ATTEMPT" = 1 ] && { echo no >&2; exit 1; }; exec sleep 1000'
OBJECTS = {
    "lear.txt": b"the king\nof lear\n", "a": b"a\n", "b": b"b\n", "a.txt": b"a\n", "b.txt": b"b\n", "all.tgz": b"tar",
    "prog": b"#!/bin/sh\nexec cat\n", "today.log": b"x\n",
    "logs/a.log": b"an ERROR\n", "logs/none.log": b"nothing\n", "logs/sub/c.log": b"ERROR\nERROR\n",
    "logs/old.gz": b"gz", "logs/old.tmp": b"x\n", "texts/lear.txt": b"the king\n", "first.log": b"x\n",
    "january/1": b"1\n", "february/1": b"1\n", "march/1": b"1\n", "table.csv": b"a,b\n1,2\n", "set/part-000000": b"1\n",
}  # fmt: skip
# Those above others come first.
DIRECTORIES = sorted(
    {"inbox", "logs/2025", "logs/2026", "copy", "backup", *(os.path.dirname(name) for name in OBJECTS)} - {""}
)
FILES = {
    "lear.txt": "lear\n", "borders": "/jill/stor/b\n", "notes": "n\n", "README.md": "# A job\n",
    "names": "/jill/stor/a\n/jill/stor/b\n",
    "first.log": "x\n", "texts/lear.txt": "king\n", "logs/a.log": "x\n",
    "nightly.yaml": "name: nightly\nphases: [{exec: wc}]\n", "copy/a": "a\n", "copy/b": "b\n",
}  # fmt: skip
EMPTY_FIRST = {"mrmdir ~~/stor/logs/2025 ~~/stor/logs": ("logs",)}  # what must be a directory with nothing in it


def why_not(example: Example) -> str | None:
    """Why an example is not run; None if it is."""
    for start, why in NOT_RUN.items():
        if example.page.startswith(start) or example.command.startswith(start):
            return why
    missing = [tool for tool in ("jq", "mandoc", "sudo", "curl", "man")
               if re.search(rf"(^|\| |&& ){tool} ", example.command) and not shutil.which(tool)]  # fmt: skip
    return f"{missing[0]} is not installed" if missing else None


ALL = examples.of_manual()
# Jobs are removed last.
RUN = sorted((example for example in ALL if not why_not(example)), key=lambda e: e.command.startswith("mjob delete"))
# The default run has the first of each page.
FIRST = {example.page: example for example in reversed(RUN)}
ADMINISTRATION = ("remora-user", "remora-key")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("home")
    for name, text in FILES.items():
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_text(text)
    (place / ".ssh").mkdir()
    (place / ".config/fish/conf.d").mkdir(parents=True)
    for name in ("jill", ".ssh/id_ed25519"):
        (place / f"{name}.pub").write_text(write_key(place / name))
    return place


@pytest.fixture(scope="module")
def service(home: Path) -> Iterator[Service]:
    with serving(home.with_name(f"{home.name}-state"), "--login", "jill") as running:
        running.env |= {"HOME": str(home), "PATH": search_path()}
        yield running


def search_path() -> str:
    return f"{sysconfig.get_path('scripts')}:{os.path.dirname(libexec('msplit'))}:{os.environ['PATH']}"


@pytest.fixture(scope="module")
def jill(service: Service) -> Iterator[User]:
    with client(service) as session:
        yield User(session)


@pytest.fixture(scope="module")
def done(jill: User) -> dict[str, str]:
    """Jobs by what became of them. The one that failed has a task that did well, too."""
    return {"done": well(jill), "failed": failing(jill)}


def well(jill: User) -> str:
    """A new job that is done, without an error."""
    return jill.run("cat", reduce("cat", count=2), inputs=[jill.put("good", b"1\n")]).job


def failing(jill: User) -> str:
    """A new job that is done, with an error that it would not have now."""
    inputs = [jill.put("good", b"1\n"), jill.put("bad", b"2\n")]
    failed = jill.run("grep 1 || (echo no >&2; false)", inputs=inputs).job
    jill.put("bad", b"1\n")
    return failed


@pytest.fixture
def records(tmp_path: Path, home: Path) -> Path:
    """Accounts that no service has open, and that may lose their keys: jane, and jill unless she is to be made."""

    def fill(c: Connection) -> None:
        for login in ("jane", "jill"):
            accounts.create(c, login, 1)
            accounts.add_key(c, login, (home / "jill.pub").read_text())

    path = tmp_path / "state"
    path.mkdir(0o700)
    opened = open_database(path / "remora.db")
    asyncio.run(opened.write(fill))
    opened.close()
    return path


def prepare(jill: User, example: Example) -> None:
    """Put the data where an earlier page's example has removed it, and make the job that it calls the last one."""
    if example.page in OF_OPERATIONS:
        operate(jill)
    elif re.search(r"\blast\b", example.command):
        failing(jill) if KINDS.get(example.page) == "failed" else well(jill)
    before = RUN[RUN.index(example) - 1].page if example is not RUN[0] else None
    if before == example.page and "-s running" not in example.command:
        return
    from cli.client import objects

    for name in DIRECTORIES:
        objects.make_directory(jill.session, jill.path(name))
    put_many(jill.session, {jill.path(name): data for name, data in OBJECTS.items()})
    if "-s running" in example.command:  # examples have left jobs open, for which `mjob watch` would wait
        for job in jill.jobs.listing("running"):
            jill.jobs.cancel(job["name"])
    for directory in EMPTY_FIRST.get(example.command, ()):
        objects.remove_tree(jill.session, jill.path(directory), 4)
        objects.make_directory(jill.session, jill.path(directory))
        objects.make_directory(jill.session, jill.path(f"{directory}/2025"))


def operate(jill: User) -> None:
    """Start an operation, in the place of all jobs that run."""
    for running in jill.jobs.listing("running"):
        with suppress(Refused):  # it is ending
            jill.jobs.cancel(running["name"])
    lines = jill.put("lines", b"".join(b"%d\n" % n for n in range(18)))
    document = {"type": "map", "inputs": [lines], "spec": {"exec": STUCK, "task_count": 18}}
    job = jill.jobs.create(json.dumps(document).encode())
    eventually_here(lambda: list(jill.jobs.attempts(job, state="running", task="17")), "its task 17 runs again")


def spelled(example: Example, jill: User, done: dict[str, str], state: Path) -> str:
    """The command with a job of its kind in the place of an id, and the variable that an earlier one has set."""
    kind = "failed" if "--failed" in example.command else KINDS.get(example.page, "done")
    command = example.command.replace("/tmp/try", str(state))
    if example.page in OF_OPERATIONS:
        command = A_JOB.sub("last", command)
    if A_JOB.search(command):
        job = done.get(kind) or jill.create("wc")
        if example.page == "mjob-delete":
            job = jill.run("wc", inputs=[]).job
        command = A_JOB.sub(job, command)
    if "$job" in command and example.page != "mjob-addinputs":
        command = command.replace("$job", done["done"])
    if "$job" in command:
        command = f"{next(e.command for e in ALL if e.command.startswith('job='))}; {command}"
    if example.page == "msplit":
        command = f"echo ~~/stor/a | mjob create -o -m {shlex.quote(command)} --count 4 -r cat"
    return command


def run(command: str, service: Service, home: Path, **env: str) -> subprocess.CompletedProcess[bytes]:
    """Run an example in a shell, unless that would do nothing but start one command in Python."""
    if not ALONE.fullmatch(command) or shlex.split(command)[0] not in PROGRAMS:
        return in_a_shell(command, service, home, **env)
    name, *words = shlex.split(command)
    return run_command(name, *words, env={**service.env, **USUAL, **env}, cwd=home)


def in_a_shell(command: str, service: Service, home: Path, **env: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["bash", "-c", command],
        cwd=home,
        env=service.env | env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
    )


def check(command: str, ended: subprocess.CompletedProcess[bytes]) -> None:
    said = ended.stderr.decode()
    assert ended.returncode == 0, (command, said)
    assert not re.search(r"error|usage|left out", said, re.IGNORECASE), (command, said)


def of(administration: bool) -> list[Any]:
    """The examples about accounts, or the others, as parameters."""
    return [
        e if e is FIRST[e.page] else pytest.param(e, marks=thorough)
        for e in RUN
        if e.page.startswith(ADMINISTRATION) == administration
    ]


@pytest.mark.parametrize("example", of(administration=False), ids=str)
def test_an_example_runs_as_it_stands(
    example: Example, service: Service, jill: User, done: dict[str, str], home: Path
) -> None:
    prepare(jill, example)
    shutil.rmtree(home / "results", ignore_errors=True)  # of an example that has it as a directory
    command = spelled(example, jill, done, service.state_dir)
    check(command, run(command, service, home))


@pytest.mark.parametrize("example", of(administration=True), ids=str)
def test_an_example_about_accounts_runs_as_it_stands(
    example: Example, service: Service, home: Path, records: Path
) -> None:
    key = PublicKey.parse((home / "jill.pub").read_text())
    command = re.sub(r"SHA256:\S*…", key.sha256, example.command)
    command = re.sub(r"\S+:…", key.md5, command)
    if "user add jill" in command:
        command = command.replace("jill --key", "june --key")  # jill is there for the others
    check(command, run(command, service, home, REMORA_STATE_DIR=str(records)))


def test_what_is_not_run_is_an_example_still() -> None:
    for start in NOT_RUN:
        assert any(e.page.startswith(start) or e.command.startswith(start) for e in ALL), start


def test_every_command_has_examples() -> None:
    from cli import manual

    without = {page.name for page in manual.pages() if not page.examples and not page.commands}
    assert without <= {"mpipe", "mcat", "mtee", "remora-demo", "remora-version"}, without


def block_with(text: str) -> str:
    (found,) = (block for block in examples.blocks() if text in block)
    return found


def test_what_readme_says_of_logs_and_texts_runs_as_it_stands(service: Service, home: Path) -> None:
    """In the order in which a reader comes to them, in the directory of the clone, on a log without a match."""
    log = home / "dpkg.log"
    log.write_text("startup\n")
    (home / "logs").mkdir(exist_ok=True)
    (home / "logs/a.log").write_text("ERROR\n")
    *_, answer = block_with("--put logs").splitlines()
    assert in_a_shell(answer.replace(".venv/bin/", ""), service, home).stdout.endswith(b"1\n")
    for text in ("mmkdir -p ~~/stor/logs", "mmkdir ~~/stor/texts"):
        block = "\n".join(line for line in block_with(text).splitlines() if "/bin/activate" not in line)
        script = "set -e\n" + block.replace("/var/log/dpkg.log", str(log))
        ended = in_a_shell(script, service, examples.ROOT)
        assert ended.returncode == 0, ended
        assert ended.stdout
        assert b"rror" not in ended.stderr


def test_what_readme_says_of_a_failure_is_what_is_printed(service: Service, jill: User) -> None:
    jill.session.call("PUT", "/jill/stor/logs", headers={"content-type": "application/json; type=directory"})
    jill.put("logs/dpkg.log", b"x\n")
    (one,) = examples.shown(block_with("no such column"))
    ended = in_a_shell(f"({one.command}) 2>&1", service, service.state_dir)
    assert ended.returncode == 1
    assert examples.pattern(one.output).fullmatch(ended.stdout.decode()), ended.stdout.decode()
