"""`mmerge` against `LC_ALL=C sort`: ranges one after another are the merged whole, and what is not sorted is found.

The cases are those of sorts. A default run takes few; `REMORA_SORT_CASES=20000` takes that many.
"""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

import pytest

from datapath import libexec
from tests.property.lines.test_sort_properties import run
from tests.support.lines.sort_cases import Case, case

CASES = int(os.environ.get("REMORA_SORT_CASES", "100"))
GROUP = 25
FILES = 3


def keys_of(tried: Case) -> int:
    return tried.options.count("-k")


def mmerge(*options: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([libexec("mmerge"), *options], capture_output=True, check=False)


def parts_of(tried: Case, tmp_path: Path) -> tuple[list[str], bytes]:
    """The lines of a case in sorted files, and the end of a line."""
    end = b"\0" if "-z" in tried.options else b"\n"
    files = [str(tmp_path / str(number)) for number in range(FILES)]
    for number, file in enumerate(files):
        part = end.join(tried.text.split(end)[number::FILES])
        Path(file).write_bytes(run("sort", *tried.options, text=part)[1])
    return files, end


@pytest.mark.parametrize("first", range(0, CASES, GROUP))
def test_ranges_one_after_another_are_what_sort_merges(first: int, tmp_path: Path) -> None:
    for seed in range(first, min(first + GROUP, CASES)):
        tried, chance = case(seed), random.Random(seed)
        files, end = parts_of(tried, tmp_path)
        dividing = chance.randint(1, keys_of(tried)) if "-s" in tried.options and keys_of(tried) else 0
        divides = dividing_options(tried, dividing)
        lines = tried.text.split(end)
        chosen = end.join(chance.choices(lines, k=chance.randint(0, 6)))
        borders = run("sort", *(each for each in divides if each != "-u"), text=chosen)[1]
        (tmp_path / "borders").write_bytes(borders)
        found = b""
        for number in range(borders.count(end) + 1):
            words = ["--borders", str(tmp_path / "borders"), "--partition", str(number)]
            words += ["--keys", str(dividing)] if dividing else []
            done = mmerge(*tried.options, *words, *files)
            assert (done.returncode, done.stderr) == (0, b""), (seed, tried.options)
            found += done.stdout
        assert (0, found) == run("sort", "-m", *tried.options, *files, text=b""), (seed, tried.options, dividing)


def dividing_options(tried: Case, keys: int) -> list[str]:
    """The options of a case with its first keys alone."""
    if not keys:
        return tried.options
    options, seen, words = [], 0, iter(tried.options)
    for word in words:
        if word == "-k":
            seen += 1
            keydef = next(words)
            options += ["-k", keydef] if seen <= keys else []
        else:
            options.append(word)
    return options


@pytest.mark.parametrize("first", range(0, CASES, GROUP))
def test_what_is_not_sorted_is_found(first: int, tmp_path: Path) -> None:
    for seed in range(first, min(first + GROUP, CASES)):
        tried = case(seed)
        options = [option for option in tried.options if option != "-u"]  # -c with it wants no two equal lines
        file = tmp_path / "text"
        file.write_bytes(tried.text)
        expected = subprocess.run(
            ["sort", "-c", *options, file], env={**os.environ, "LC_ALL": "C"}, capture_output=True, check=False
        )
        done = mmerge(*options, str(file))
        assert done.returncode == expected.returncode, (seed, options)
        assert done.stderr[:-1] == expected.stderr[:-1].replace(b"sort: ", b"mmerge: ", 1), (seed, options)
