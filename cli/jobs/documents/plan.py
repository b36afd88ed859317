"""A dry run: the job as it would be sent, by the rules of the service, and in a few words.

The rules are the service's own (`scheduler.model.job`), applied here, so that a job that passes would be taken.
The JSON goes to stdout, where scripts expect it; what it comes to, to stderr.
"""

from __future__ import annotations

import os
import stat
import sys
from typing import TYPE_CHECKING, Any

from cli.client.problem import Problem
from cli.frame import note
from cli.jobs.documents.input_names import batches
from cli.text import count, indented, shortened
from scheduler.model.errors import WireError
from scheduler.model.job import JobSpec, decode_job, parse_job
from scheduler.model.tiers import MAX_JOB_BYTES

if TYPE_CHECKING:
    from scheduler.model.phase import PhaseSpec

WIDTH = 60  # characters of a command that are shown
BATCH = 1000


def show(body: bytes, *, quiet: bool, null: bool) -> None:
    """Check a job's JSON text and print it; unless `quiet`, say what would run. Raises `Problem` if it would not."""
    document, spec = checked(body)
    print(indented(document, 4))
    if not quiet:
        sys.stdout.flush()
        for line in summary(spec, inputs_on_stdin(null=null)):
            note(line)


def checked(body: bytes) -> tuple[Any, JobSpec]:
    """A job's document, and what the service would make of it. Raises `Problem` with what it would say."""
    if len(body) > MAX_JOB_BYTES:
        raise Problem(f"the job's JSON has {len(body)} bytes, of at most {MAX_JOB_BYTES}")
    try:
        document = decode_job(body)
        return document, parse_job(document)
    except WireError as error:
        raise Problem(error.message, error.code) from None


def summary(spec: JobSpec, inputs: int | None) -> list[str]:
    """The phases, one a line; then the number of inputs, if it is known."""
    name = f' "{spec.name}"' if spec.name else ""
    lines = [f"would create a job{name} of {count(len(spec.phases), 'phase')}"]
    lines += [f"  {number}  {described(phase)}" for number, phase in enumerate(spec.phases)]
    if inputs is not None:
        lines.append(f"with {count(inputs, 'input')} from stdin")
    return lines


def described(phase: PhaseSpec) -> str:
    """`reduce  1024 MB  8 GB  image 16.1.0  2 reducers  sort`."""
    parts = [
        "reduce" if phase.reduce else "map   ",
        f"{phase.memory_mb:>4} MB",
        f"{phase.disk_gb:>4} GB",
        f"image {phase.image}",
    ]
    if phase.reduce:
        parts.append(count(phase.reducers, "reducer"))
    if phase.timeout_s:
        parts.append(f"timeout {phase.timeout_s} s")
    if phase.retries:
        parts.append(f"retries {phase.retries}")
    if phase.assets:
        parts.append(count(len(phase.assets), "asset"))
    if phase.init:
        parts.append(f"init {shortened(phase.init, WIDTH)}")
    return "  ".join([*parts, shortened(phase.exec, WIDTH)])


def inputs_on_stdin(*, null: bool) -> int | None:
    """How many inputs stdin names, if it is a pipe or a file."""
    if sys.stdin is None:
        return None
    source = sys.stdin.fileno()
    kind = os.fstat(source).st_mode
    if not (stat.S_ISFIFO(kind) or stat.S_ISREG(kind)):
        return None
    return sum(len(batch) for batch in batches(source, BATCH, null=null))
