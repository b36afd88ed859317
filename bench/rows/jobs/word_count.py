"""Word count, the classic example: words of a larger text, counted in two phases.

The peer is the same pipeline by hand, with GNU parallel for the map and a pipe for the reduce. So
both run the same `tr`, `sort` and `uniq`, and the row shows the cost of doing that as a job:
scheduled, isolated, captured and durable.
"""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from bench.measure import Bar, Line, interleave, seconds
from bench.peers import gnu_parallel, missing
from bench.setting import PLAIN, Setting, lifetime, run_job, words
from cli.client.jobs import Jobs
from tests.support.services.objects import put_many

MAP = "export LC_ALL=C; tr -cs A-Za-z '\\n' | sort | uniq -c"
REDUCE = "awk '{n[$2] += $1} END {for (w in n) print n[w], w}'"
DOCUMENT = json.dumps({"name": "bench words", "phases": [{"exec": MAP}, {"type": "reduce", "exec": REDUCE}]}).encode()
FILES = 8


def lines(setting: Setting) -> Iterator[Line]:
    parallel = gnu_parallel()
    if parallel is None:
        raise missing("GNU parallel")
    size = setting.size(200_000_000, 8_000_000)
    local, remote = prepare(setting, size // FILES)
    found: dict[str, bytes] = {}

    def ours() -> float:
        took, found["job"] = count_by_job(setting, remote)
        return size / took / 1e6

    def theirs() -> float:
        def work() -> None:
            found["parallel"] = count_by_parallel(parallel, local)

        return size / seconds(work) / 1e6

    jobs, pipes = interleave(setting.rounds, ours, theirs)
    if Counter(found["job"].splitlines()) != Counter(found["parallel"].splitlines()):
        raise RuntimeError("the job and the pipeline count words differently")
    yield Line(f"word count of {size / 1e6:,.0f} MB", "MB/s", jobs, Bar(goal=1.0), "parallel -j2, sort", pipes)


def prepare(setting: Setting, each: int) -> tuple[list[str], list[str]]:
    """Store texts of `each` bytes as files and as objects; returns the paths of both."""
    directory = setting.directory("words")
    texts = {f"words{n}": words(each, seed=n) for n in range(FILES)}
    for name, text in texts.items():
        Path(directory / name).write_bytes(text)
    put_many(setting.session, {f"{setting.home}/{name}": text for name, text in texts.items()})
    return [str(directory / name) for name in texts], [f"{setting.home}/{name}" for name in texts]


def count_by_job(setting: Setting, objects: list[str]) -> tuple[float, bytes]:
    """Seconds from the job's creation to its end, and its output."""
    jobs = Jobs(setting.session)
    job, status = run_job(jobs, DOCUMENT, objects)
    (output,) = jobs.records(job, "out")
    return lifetime(status), setting.session.call("GET", output.decode()).content


def count_by_parallel(program: str, files: list[str]) -> bytes:
    """The output of the same pipeline by GNU parallel."""
    mapped = [program, "--will-cite", "-j2", f"({MAP}) < {{}}", ":::", *files]
    with subprocess.Popen(mapped, stdout=subprocess.PIPE, env=PLAIN) as mapping:
        reduced = subprocess.run(
            ["bash", "-c", REDUCE], stdin=mapping.stdout, stdout=subprocess.PIPE, env=PLAIN, check=True
        )
    if mapping.returncode:
        raise RuntimeError("parallel failed")
    return reduced.stdout
