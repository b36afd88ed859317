"""Sorting on one machine: `msort` against `LC_ALL=C sort`, on log lines, words and numbers, and merges of sorted files.

The samples are gigabytes for each second of CPU, in user and kernel, of all threads: tasks fill a node's processors, so
what one sort takes is what another does not get. All have the same memory, less than the text with its lines takes,
and write their runs to the same place. DuckDB sorts beside them where it is installed. `parsort` does not: it waits for
none of its sorting processes, so its CPU time is unknown; row reducing compares its time.
"""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.measure import Bar, Line, Turn, interleave
from bench.peers import compiled, duckdb, installed, missing
from bench.setting import Setting
from datapath import libexec

MERGED = 16  # files
MEMORY = "1G"


def lines(setting: Setting) -> Iterator[Line]:
    if (sort := installed("sort")) is None:
        raise missing("sort")
    directory = setting.directory("sort")
    commands = {"": [str(libexec("msort"))], "sort": [sort, "--parallel=2"]}
    for what, kind, size, options, order in (
        ("log lines", "log", setting.text_size(1_000_000_000, 4_000_000), (), duckdb.WHOLE_LINE),
        ("words", "word", setting.text_size(400_000_000, 2_000_000), (), duckdb.WHOLE_LINE),
        ("numbers", "number", setting.text_size(400_000_000, 2_000_000), ("-n",), duckdb.NUMBER),
    ):
        text = write_lines(setting, directory / "text", kind, size)
        turns = {name: turn(command, options, [text], directory) for name, command in commands.items()}
        if duckdb.is_installed():
            turns[duckdb.NAME] = turn_of_duckdb(text, order)
        ours, *others = interleave(setting.rounds, *turns.values())
        for peer, theirs in zip(list(turns)[1:], others, strict=True):
            yield Line(f"sort {what}", "GB/CPU s", ours, Bar(3 if peer == "sort" else 1), peer, theirs)
    parts = [directory / f"part{number}" for number in range(MERGED)]
    for seed, part in enumerate(parts):
        write_lines(setting, directory / "text", "log", setting.text_size(1_000_000_000, 4_000_000) // MERGED, seed)
        subprocess.run([libexec("msort"), "-o", part, directory / "text"], check=True)
    merging = [turn(command, ("-m",), parts, directory) for command in commands.values()]
    ours, theirs = interleave(setting.rounds, *merging)
    yield Line(f"merge of {MERGED}", "GB/CPU s", ours, Bar(1.5), "sort -m", theirs)
    if not duckdb.is_installed():
        raise missing("duckdb")


def write_lines(setting: Setting, path: Path, kind: str, size: int, seed: int = 0) -> Path:
    """Write about `size` bytes of lines of a kind (`peers/lines.c`)."""
    program = compiled("lines", setting.scratch)
    with open(path, "wb") as file:
        subprocess.run([program, kind, str(size), str(seed)], stdout=file, check=True)
    return path


def turn(command: Sequence[str], options: Sequence[str], inputs: Sequence[Path], directory: Path) -> Turn:
    """A turn that sorts the inputs into a file, which is removed again."""
    size = sum(path.stat().st_size for path in inputs)
    target = directory / "sorted"
    whole = [*command, "-S", MEMORY, "-T", str(directory), *options, *map(str, inputs)]

    def work() -> float:
        before = cpu()
        with open(target, "wb") as file:
            subprocess.run(whole, env=os.environ | {"LC_ALL": "C"}, stdout=file, check=True)
        return rate(target, size, cpu() - before)

    return work


def turn_of_duckdb(text: Path, order: str) -> Turn:
    """A turn in which DuckDB sorts a file into another one, which is removed again."""
    size, target = text.stat().st_size, text.parent / "sorted"

    def work() -> float:
        before = cpu()
        duckdb.sort([text], target, order, f"{MEMORY}B")
        return rate(target, size, cpu() - before)

    return work


def rate(target: Path, size: int, took: float) -> float:
    """Gigabytes in each second, once the result is seen to have as many bytes as the input, and is removed."""
    if target.stat().st_size != size:
        raise RuntimeError(f"{target} has {target.stat().st_size} bytes, and not {size}")
    target.unlink()
    return size / 1e9 / took


def cpu() -> float:
    """CPU seconds of this process, and of all children that have ended."""
    usages = [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
