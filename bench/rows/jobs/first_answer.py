"""From 500 log files on this machine to the first answer: how many lines say ERROR.

Remora's turn is one command that stores the files and runs the job (`mjob create -o --put`), into a new directory
each turn, and once more with all of them there already. The peer is GNU parallel on the files themselves, which a
user would otherwise use: it keeps nothing and isolates nothing. Each must print the right sum.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from bench.measure import Bar, Line, interleave, seconds
from bench.peers import gnu_parallel, missing
from bench.setting import Setting, words

BYTES = 268_000  # of a file: a user's 500 files had 134 MB
COUNT = "grep -c ERROR || true"
SUM = "awk '{n += $1} END {print n}'"


def lines(setting: Setting) -> Iterator[Line]:
    count = setting.size(500, 20)
    logs, answer = made(setting.directory("logs"), count)
    numbers = itertools.count()

    def ours(goal: str) -> float:
        words = ("mjob", "create", "-q", "-o", "--put", str(logs), "--to", goal, "-m", COUNT, "-r", SUM)
        program = f"from cli.main import {words[0]}; {words[0]}()"
        return seconds(lambda: expect(answer, [sys.executable, "-c", program, *words[1:]], setting))

    def first() -> float:
        return ours(f"{setting.home}/logs-{next(numbers)}")

    def again() -> float:
        return ours(f"{setting.home}/logs-0")

    def with_parallel() -> float:
        command = f'find {logs} -type f | parallel -j2 "grep -c ERROR {{}} || true" | {SUM}'
        return seconds(lambda: expect(answer, ["bash", "-c", command], setting)) if gnu_parallel() else 0.0

    new, old, other = interleave(setting.rounds, first, again, with_parallel)
    what = f"{count} log files of {BYTES:,} bytes to one answer"
    if not gnu_parallel():
        yield Line(what, "s", new, Bar())
        raise missing("GNU parallel")
    yield Line(what, "s", new, Bar(goal=1.0, at_most=True), "parallel -j2", other)
    yield Line(f"{what}, stored already", "s", old, Bar(goal=1.0, at_most=True), "parallel -j2", other)


def made(logs: Path, count: int) -> tuple[Path, str]:
    """Make files with one to seven lines that say ERROR; returns their directory and the number of those lines."""
    text = words(BYTES).replace(b"ERROR", b"error")
    for number in range(count):
        (logs / f"{number:03}.log").write_bytes(text + b"\nERROR of some kind" * (number % 7 + 1) + b"\n")
    return logs, f"{sum(number % 7 + 1 for number in range(count))}\n"


def expect(answer: str, command: list[str], setting: Setting) -> None:
    said = subprocess.run(command, env=setting.service.env, stdout=subprocess.PIPE, check=True, text=True)
    if said.stdout != answer:
        raise RuntimeError(f"{said.stdout!r} is not the answer, which is {answer!r}")
