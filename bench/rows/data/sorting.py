"""Sorting on one machine: `msort` against `LC_ALL=C sort`, on log lines, words and numbers, and merges of sorted files.

The samples are gigabytes for each second of CPU, in user and kernel, of all threads: tasks fill a node's processors, so
what one sort takes is what another does not get. Both have the same memory, less than the text with its lines takes,
and write their runs to the same place.
"""

from __future__ import annotations

import os
import random
import resource
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from bench.measure import Bar, Line, Turn, interleave
from bench.peers import installed, missing
from bench.setting import Setting
from datapath import libexec

KINDS = 20_000  # of words
MERGED = 16  # files
PIECE = 100_000  # lines that are written at once
MEMORY = "1G"


def lines(setting: Setting) -> Iterator[Line]:
    sort = installed("sort")
    if sort is None:
        raise missing("sort")
    directory = setting.directory("sort")
    commands = ([str(libexec("msort"))], [sort, "--parallel=2"])
    for what, line, size, options in (
        ("log lines", log_line, setting.size(1_000_000_000, 4_000_000), ()),
        ("words", word_line, setting.size(400_000_000, 2_000_000), ()),
        ("numbers", number_line, setting.size(400_000_000, 2_000_000), ("-n",)),
    ):
        text = write_lines(directory / "text", line, size)
        turns = [turn(command, options, [text], directory) for command in commands]
        ours, theirs = interleave(setting.rounds, *turns)
        yield Line(f"sort {what}", "GB/CPU s", ours, Bar(3), "sort", theirs)
    parts = [directory / f"part{number}" for number in range(MERGED)]
    for part in parts:
        write_lines(directory / "text", log_line, setting.size(1_000_000_000, 4_000_000) // MERGED, part.name)
        subprocess.run([libexec("msort"), "-o", part, directory / "text"], check=True)
    ours, theirs = interleave(setting.rounds, *(turn(command, ("-m",), parts, directory) for command in commands))
    yield Line(f"merge of {MERGED}", "GB/CPU s", ours, Bar(1.5), "sort -m", theirs)


def log_line(chance: random.Random) -> str:
    day, second = chance.randrange(365), chance.randrange(86_400)
    at = f"2026-{day // 31 + 1:02}-{day % 31 + 1:02} {second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"
    return (
        f"{at}.{chance.randrange(10**6):06} host{chance.randrange(32):02} GET /api/v1/users 200 {chance.random():.5f}"
    )


def word_line(chance: random.Random) -> str:
    """One of `KINDS` words, some common and most rare."""
    return f"w{int(KINDS ** chance.random()) * 7919 % KINDS:05}"


def number_line(chance: random.Random) -> str:
    return f"{chance.randrange(10**9)}\tw{chance.randrange(KINDS):05}"


def write_lines(path: Path, line: Callable[[random.Random], str], size: int, seed: str = "") -> Path:
    """Write about `size` bytes of lines."""
    chance = random.Random(seed)
    with open(path, "w") as file:
        while file.tell() < size:
            first = line(chance)
            more = min(PIECE, (size - file.tell()) // (len(first) + 1)) - 1
            file.write("\n".join([first, *(line(chance) for _ in range(more))]) + "\n")
    return path


def turn(command: Sequence[str], options: Sequence[str], inputs: Sequence[Path], directory: Path) -> Turn:
    """A turn that sorts the inputs into a file, which is removed again."""
    size = sum(path.stat().st_size for path in inputs)
    target = directory / "sorted"
    whole = [*command, "-S", MEMORY, "-T", str(directory), *options, "-o", str(target), *map(str, inputs)]

    def work() -> float:
        before = children_cpu()
        subprocess.run(whole, env=os.environ | {"LC_ALL": "C"}, check=True)
        took = children_cpu() - before
        if target.stat().st_size != size:
            raise RuntimeError(f"{command[0]} has lost or added bytes")
        target.unlink()
        return size / 1e9 / took

    return work


def children_cpu() -> float:
    """CPU seconds of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
