"""`msort` against `LC_ALL=C sort`: the same bytes and exit status, for any options on any text.

A default run takes few cases, the same ones each time. `REMORA_SORT_CASES=20000` takes that many.

Not compared: two or more NaNs by `-g`, whose order GNU's sort takes from memory that it has not set.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from datapath import libexec
from tests.support.lines.sort_cases import Case, case

CASES = int(os.environ.get("REMORA_SORT_CASES", "300"))
GROUP = 50  # cases in a test: few enough that the first one that fails is soon named
ENVIRONMENT = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
# How a case is run, by turns: at once, in many runs that are merged, by threads.
WAYS = ((), ("-S", "1K"), ("-S", "16K"), ("--parallel=2",))


def run(program: str, *options: str, text: bytes) -> tuple[int, bytes]:
    done = subprocess.run([program, *options], input=text, capture_output=True, env=ENVIRONMENT, check=False)
    return done.returncode, done.stdout


def differs(tried: Case, *way: str) -> bool:
    expected = run("sort", *tried.options, text=tried.text)
    return run(str(libexec("msort")), *tried.options, *way, text=tried.text) != expected


@pytest.mark.parametrize("first", range(0, CASES, GROUP))
def test_lines_are_sorted_as_sort_does(first: int) -> None:
    for seed in range(first, min(first + GROUP, CASES)):
        tried, way = case(seed), WAYS[seed % len(WAYS)]
        assert not differs(tried, *way), (seed, tried.options, way)


@pytest.mark.parametrize("first", range(0, CASES // 4, GROUP))
def test_what_is_sorted_is_found_to_be(first: int) -> None:
    for seed in range(first, min(first + GROUP, CASES // 4)):
        tried = case(seed)
        expected, _ = run("sort", "-C", *tried.options, text=tried.text)
        assert run(str(libexec("msort")), "-C", *tried.options, text=tried.text) == (expected, b""), seed
        _, found = run(str(libexec("msort")), *tried.options, text=tried.text)
        assert run(str(libexec("msort")), "-C", *tried.options, text=found) == (0, b""), seed


@pytest.mark.parametrize("first", range(0, CASES // 4, GROUP))
def test_sorted_files_are_merged_as_sort_does(first: int, tmp_path: Path) -> None:
    for seed in range(first, min(first + GROUP, CASES // 4)):
        tried = case(seed)
        end = b"\0" if "-z" in tried.options else b"\n"
        files = [str(tmp_path / str(number)) for number in range(3)]
        for number, file in enumerate(files):
            part = end.join(tried.text.split(end)[number :: len(files)])
            Path(file).write_bytes(run("sort", *tried.options, text=part)[1])
        expected = run("sort", "-m", *tried.options, *files, text=b"")
        assert run(str(libexec("msort")), "-m", *tried.options, *files, text=b"") == expected, seed
