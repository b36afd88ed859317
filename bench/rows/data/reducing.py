"""Sorts, merges and keyed counts as operations, against GNU sort: stored objects in, one object out.

An operation is isolated, durable and published at once, and cuts its input by itself. The peer reads and writes files
of the same disk, with as much memory as an instance has.
"""

from __future__ import annotations

import json
import shlex
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.measure import Bar, Line, interleave, seconds
from bench.peers import installed, missing
from bench.rows.data.sorting import log_line, number_line, word_line, write_lines
from bench.setting import PLAIN, Setting, lifetime, run_job
from cli.client.jobs import Jobs
from datapath import libexec

FILES, MERGED = 4, 16
MEMORY = "1G"
SORT = "LC_ALL=C sort --parallel=2 -S 1G"


def lines(setting: Setting) -> Iterator[Line]:
    if installed("sort") is None:
        raise missing("sort")
    whole, few = setting.size(1_000_000_000, 20_000_000), setting.size(400_000_000, 10_000_000)
    for what, line, size, keys in (
        ("log lines", log_line, whole, []),
        ("words", word_line, few, []),
        ("numbers", number_line, few, ["1,1n"]),
    ):
        files, names = store(setting, what, line, size)
        document = {"type": "sort", "spec": {"sort_by": keys}}
        command = f"{SORT} {' '.join(f'-k{key}' for key in keys)}"
        name = f"mjob sort of {size / 1e6:,.0f} MB of {what}"
        yield compared(setting, name, "sort", size, document, command, files, names)
    size = setting.size(400_000_000, 10_000_000)
    files, names = store(setting, "counted", word_line, size)
    document = {"type": "map_reduce", "spec": {"reducer": {"exec": "uniq -c"}}}
    yield compared(
        setting, f"keyed count of {size / 1e6:,.0f} MB", "sort | uniq -c", size, document, SORT, files, names,
        then="| uniq -c", exact=False,
    )  # fmt: skip
    files, names = store(setting, "sorted", log_line, whole, MERGED, is_sorted=True)
    document = {"type": "merge", "spec": {"mode": "sorted"}}
    name = f"mjob merge of {MERGED}, {whole / 1e6:,.0f} MB"
    yield compared(setting, name, "sort -m", whole, document, f"{SORT} -m", files, names, goal=1.5)
    files, names = store(setting, "small", log_line, 10_000_000)
    document = {"type": "sort", "spec": {}}
    took = [operation(setting, document, names)[0] for _ in range(setting.rounds)]
    yield Line("mjob sort of 10 MB", "s", took, Bar(0.4, absolute=True, at_most=True))


def store(
    setting: Setting,
    what: str,
    line: Callable[[Any], str],
    size: int,
    parts: int = FILES,
    is_sorted: bool = False,
) -> tuple[list[Path], list[str]]:
    """Lines in so many files and objects; returns the paths of both."""
    directory = setting.directory(f"reduced {what}")
    files, names = [], []
    for number in range(parts):
        files.append(write_lines(directory / f"part{number}", line, size // parts, f"{what}{number}"))
        if is_sorted:
            subprocess.run([libexec("msort"), "-o", files[-1], files[-1]], check=True)
        names.append(f"{setting.home}/{what.replace(' ', '-')}{number}")
        setting.service.run("mput", "-q", "-f", str(files[-1]), names[-1])
    return files, names


def compared(
    setting: Setting,
    what: str,
    peer: str,
    size: int,
    document: Mapping[str, Any],
    command: str,
    files: list[Path],
    names: list[str],
    then: str = "",
    exact: bool = True,
    goal: float = 2.0,
) -> Line:
    """The line of an operation and a command on the same lines, whose results must be the same."""
    target = files[0].parent / "result"
    quoted = shlex.join(map(str, files))
    shell = f"{command} {quoted} {then} > {shlex.quote(str(target))}"
    results: list[str] = []

    def ours() -> float:
        took, path = operation(setting, document, names)
        results[:] = [path]
        return size / 1e6 / took

    def theirs() -> float:
        return size / 1e6 / seconds(lambda: subprocess.run(["bash", "-c", shell], env=PLAIN, check=True))

    samples, others = interleave(setting.rounds, ours, theirs)
    made, found = setting.session.call("GET", results[0]).content, target.read_bytes()
    if made != found if exact else Counter(made.splitlines()) != Counter(found.splitlines()):
        raise RuntimeError(f"{what}: the operation and {peer} do not agree")
    target.unlink()
    return Line(what, "MB/s", samples, Bar(goal=goal), peer, others)


def operation(setting: Setting, document: Mapping[str, Any], names: list[str]) -> tuple[float, str]:
    """Run an operation into one object. Returns its seconds, by the service's clock, and the object's path."""
    path = f"{setting.home}/result"
    whole = {**document, "output": {"path": path, "mode": "replace"}}
    job, status = run_job(Jobs(setting.session), json.dumps(whole).encode(), names)
    if status["status"] != "completed":
        raise RuntimeError(f"operation {job} has failed: {status['result']}")
    return lifetime(status), path
