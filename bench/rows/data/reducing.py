"""Sorts, merges and keyed counts as operations, beside what sorts files: stored objects in, one object out.

An operation is isolated, durable and published at once, and cuts its input by itself. The peers read and write files
of the same disk, with as much memory as an instance has: GNU sort, and where they are installed `parsort`, DuckDB, and
Spark for the count.
"""

from __future__ import annotations

import contextlib
import json
import shlex
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.measure import Bar, Line, Turn, interleave, seconds
from bench.peers import duckdb, installed, missing, spark
from bench.rows.data.sorting import write_lines
from bench.setting import PLAIN, Setting, lifetime, run_job
from cli.client.jobs import Jobs
from datapath import libexec

FILES, MERGED = 4, 16
MEMORY = "1G"
PARALLEL = "--parallel=2 -S 1G"
SORT, PARSORT = f"LC_ALL=C sort {PARALLEL}", f"LC_ALL=C parsort {PARALLEL}"
Work = Callable[[Sequence[Path], Path], None]  # files into one target


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer: its name, what it does, and what the ratio to it should be."""

    name: str
    work: Work
    bar: Bar


def lines(setting: Setting) -> Iterator[Line]:
    if installed("sort") is None:
        raise missing("sort")
    whole, few = setting.text_size(1_000_000_000, 20_000_000), setting.text_size(400_000_000, 10_000_000)
    for what, kind, size, keys, order in (
        ("log lines", "log", whole, [], duckdb.WHOLE_LINE),
        ("words", "word", few, [], duckdb.WHOLE_LINE),
        ("numbers", "number", few, ["1,1n"], duckdb.NUMBER),
    ):
        files, names = store(setting, what, kind, size)
        document = {"type": "sort", "spec": {"sort_by": keys}}
        name = f"mjob sort of {size / 1e6:,.0f} MB of {what}"
        yield from compared(setting, name, size, document, sorters(keys, order), files, names)
    files, names = store(setting, "counted", "word", few)
    document = {"type": "map_reduce", "spec": {"reducer": {"exec": "uniq -c"}}}
    with counters(setting) as peers:
        name = f"keyed count of {few / 1e6:,.0f} MB"
        yield from compared(setting, name, few, document, peers, files, names, exact=False)
    files, names = store(setting, "sorted", "log", whole, MERGED, is_sorted=True)
    document = {"type": "merge", "spec": {"mode": "sorted"}}
    name = f"mjob merge of {MERGED}, {whole / 1e6:,.0f} MB"
    merger = Peer("sort -m", shell(f"{SORT} -m"), Bar(goal=1.5))
    yield from compared(setting, name, whole, document, [merger], files, names)
    files, names = store(setting, "small", "log", 10_000_000)
    document = {"type": "sort", "spec": {}}
    (took,) = interleave(setting.rounds, lambda: operation(setting, document, names)[0])
    yield Line("mjob sort of 10 MB", "s", took, Bar(0.4, absolute=True, at_most=True))
    known = {"parsort": installed("parsort"), "duckdb": duckdb.is_installed(), "pyspark": spark.is_installed()}
    if absent := ", ".join(name for name, is_here in known.items() if not is_here):
        raise missing(absent)


def sorters(keys: Sequence[str], order: str) -> Iterator[Peer]:
    """The peers that sort by some keys."""
    options = "".join(f" -k{key}" for key in keys)
    yield Peer("sort", shell(SORT + options), Bar(2))
    if installed("parsort"):
        yield Peer("parsort", shell(PARSORT + options), Bar(1))
    if duckdb.is_installed():
        yield Peer(duckdb.NAME, lambda files, target: duckdb.sort(files, target, order, f"{MEMORY}B"), Bar(1))


@contextlib.contextmanager
def counters(setting: Setting) -> Iterator[list[Peer]]:
    """The peers that count lines by their keys."""
    with contextlib.ExitStack() as stack:
        peers = [Peer("sort | uniq -c", shell(SORT, "| uniq -c"), Bar(2))]
        if spark.is_installed():
            count = stack.enter_context(spark.session(setting.directory("spark"), MEMORY))
            peers.append(Peer(spark.NAME, count, Bar(1)))
        yield peers


def shell(command: str, then: str = "") -> Work:
    """The work of a command on files, and of what its output goes through."""

    def work(files: Sequence[Path], target: Path) -> None:
        script = f"{command} {shlex.join(map(str, files))} {then} > {shlex.quote(str(target))}"
        subprocess.run(["bash", "-c", script], env=PLAIN, check=True)

    return work


def store(
    setting: Setting, what: str, kind: str, size: int, parts: int = FILES, is_sorted: bool = False
) -> tuple[list[Path], list[str]]:
    """Lines in so many files and objects; returns the paths of both."""
    directory = setting.directory(f"reduced {what}")
    files, names = [], []
    for number in range(parts):
        files.append(write_lines(setting, directory / f"part{number}", kind, size // parts, number))
        if is_sorted:
            subprocess.run([libexec("msort"), "-o", files[-1], files[-1]], check=True)
        names.append(f"{setting.home}/{what.replace(' ', '-')}{number}")
        setting.service.run("mput", "-q", "-f", str(files[-1]), names[-1])
    return files, names


def compared(
    setting: Setting,
    what: str,
    size: int,
    document: Mapping[str, Any],
    peers: Iterable[Peer],
    files: list[Path],
    names: list[str],
    exact: bool = True,
) -> Iterator[Line]:
    """The lines of an operation and its peers on the same text, whose results must be the same."""
    peers, made = list(peers), ""

    def ours() -> float:
        nonlocal made
        took, made = operation(setting, document, names)
        return size / 1e6 / took

    def turn(peer: Peer) -> Turn:
        target = files[0].parent / peer.name.partition(" ")[0]
        return lambda: size / 1e6 / seconds(lambda: peer.work(files, target))

    samples, *others = interleave(setting.rounds, ours, *map(turn, peers))
    result = setting.session.call("GET", made).content
    for peer, theirs in zip(peers, others, strict=True):
        target = files[0].parent / peer.name.partition(" ")[0]
        found = target.read_bytes()
        target.unlink()
        if result != found if exact else Counter(result.splitlines()) != Counter(found.splitlines()):
            raise RuntimeError(f"{what}: the operation and {peer.name} do not agree")
        yield Line(what, "MB/s", samples, peer.bar, peer.name, theirs)


def operation(setting: Setting, document: Mapping[str, Any], names: list[str]) -> tuple[float, str]:
    """Run an operation into one object. Returns its seconds, by the service's clock, and the object's path."""
    path = f"{setting.home}/result"
    whole = {**document, "output": {"path": path, "mode": "replace"}}
    job, status = run_job(Jobs(setting.session), json.dumps(whole).encode(), names)
    if status["status"] != "completed":
        raise RuntimeError(f"operation {job} has failed: {status['result']}")
    return lifetime(status), path
