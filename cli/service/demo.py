"""remora demo: the word count, run and checked.

Three small texts that ship with the package are stored, counted by a two-phase job, and
counted once more by the same commands as a plain pipeline on this machine. The two results
must be equal. The service is the one that runs here, or else one that is started for the
demonstration with a state directory of its own and removed afterwards.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.client.problem import Problem
from cli.client.settings import Options, Settings, load
from cli.frame import Plain, connect, note
from scheduler.common import child

if TYPE_CHECKING:
    from cli.client.jobs import Jobs
    from cli.client.session import Session

SAMPLES = Path(__file__).parent.parent / "samples"
MAP = "tr -cs A-Za-z '\\n' | tr A-Z a-z | sort | uniq -c"
REDUCE = "awk '{n[$2] += $1} END {for (w in n) print n[w], w}' | sort -k1,1nr -k2"
LOCAL = f"cat *.txt | {MAP} | {REDUCE}"
SHOWN = 8
STOP_SECONDS = 20


@click.command("demo", cls=Plain)
def command() -> None:
    """Count words in three sample texts, as a job and as a shell pipeline, and compare.

    Uses the service that runs on this machine, or starts one for the occasion, and leaves nothing behind.

    Exit status: 0 if the results are equal, 1 otherwise.
    """
    with a_service() as settings, connect(settings) as session:
        counted = count_as_job(session)
    local = count_locally()
    lines = counted.decode().splitlines()
    print("\n".join([*lines[:SHOWN], f"... {len(lines)} different words"]))
    same = counted == local
    print("the job and the local pipeline are " + ("equal" if same else "DIFFERENT"))
    click.get_current_context().exit(0 if same else 1)


def count_as_job(session: Session) -> bytes:
    """Store the samples, run the job, fetch its output, tidy up. Prints the equivalent commands."""
    from cli.client import objects, transfer
    from cli.client.jobs import Jobs

    directory = f"/{session.settings.account}/stor/remora-demo-{os.getpid()}"
    shown = f"~~/stor/{directory.rpartition('/')[2]}"
    print(f"$ mmkdir {shown}")
    objects.make_directory(session, directory)
    try:
        inputs = []
        for file in sorted(SAMPLES.glob("*.txt")):
            print(f"$ mput -f {file.name} {shown}")
            inputs.append(f"{directory}/{file.name}")
            transfer.put_file(session, inputs[-1], str(file), {"content-type": "text/plain"})
        return run_job(Jobs(session), inputs, shown)
    finally:
        objects.remove_tree(session, directory, parallel=4)


def run_job(jobs: Jobs, inputs: list[str], shown: str) -> bytes:
    """Run the word count over `inputs`; its output. Raises `Problem` if it had errors."""
    from cli.client import transfer
    from cli.jobs.documents.specification import document, encoded
    from cli.jobs.follow import outcome
    from cli.jobs.follow.wait import tell_first_error

    print(f"$ mfind -t o {shown} | mjob create -o -m {in_quotes(MAP)} \\\n      -r {in_quotes(REDUCE)}", flush=True)
    phases = [{"exec": MAP, "type": "map"}, {"exec": REDUCE, "type": "reduce"}]
    job = jobs.create(encoded(document("remora demo", phases)))
    jobs.add_inputs(job, [name.encode() for name in inputs])
    jobs.end_input(job)
    status = jobs.wait(job)
    if status["stats"].get("errors"):
        tell_first_error(jobs, job)
    outcome.check(jobs, job, status)
    pieces: list[bytes] = []
    for name in jobs.records(job, "out"):
        transfer.get(jobs.session, name.decode(), pieces.append)
    jobs.remove(job, parallel=4)
    return b"".join(pieces)


def in_quotes(script: str) -> str:
    """A script as a shell would need it inside double quotes."""
    return '"' + re.sub(r'([\\"$`])', r"\\\1", script) + '"'


def count_locally() -> bytes:
    """The same commands as one pipeline, without a service, and in the plain locale that tasks have."""
    plain = child.environment(LC_ALL="C")
    result = child.run(["bash", "-c", LOCAL], cwd=SAMPLES, env=plain, stdout=subprocess.PIPE)
    if result.returncode:
        raise Problem("the local pipeline failed: are tr, sort, uniq and awk installed?")
    counted: bytes = result.stdout
    return counted


@contextmanager
def a_service() -> Iterator[Settings]:
    """The service that clients find here, or one of our own for the length of the block."""
    from cli.client.session import Session

    try:
        settings = load(Options())
        with Session(settings) as session:
            session.call("HEAD", f"/{settings.account}/stor")
    except Problem:
        with own_service() as settings:
            yield settings
        return
    note(f"using the service at {settings.url}")
    yield settings


@contextmanager
def own_service() -> Iterator[Settings]:
    """A service with a temporary state directory, stopped and removed at the end."""
    state = Path(tempfile.mkdtemp(prefix="remora-demo-"))
    note(f"starting a service with its state in {state}")
    program = "from cli.main import remora; remora()"
    arguments = [*child.PYTHON, "-c", program, "up", "--state-dir", str(state), "--port", "0"]
    with (state / "log").open("wb") as log:
        service = child.start(arguments, stdout=subprocess.PIPE, stderr=log)
    try:
        assert service.stdout is not None
        if not service.stdout.readline():  # the banner comes when it is ready; an end of file if it never is
            tail = (state / "log").read_text(errors="replace").strip().splitlines()[-1:]
            raise Problem(f"the service did not start: {' '.join(tail)}")
        yield load(Options(), {"REMORA_STATE_DIR": str(state)})
    finally:
        stop(service)
        shutil.rmtree(state, ignore_errors=True)


def stop(service: child.Process) -> None:
    """End the service as Ctrl-C does, by force if it does not listen."""
    service.send_signal(signal.SIGINT)
    try:
        service.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        service.kill()
        service.wait()
