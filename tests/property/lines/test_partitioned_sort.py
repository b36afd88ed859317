"""A sort in many tasks, by the programs that its tasks run: the bytes of `LC_ALL=C sort`, for any keys and any data.

The text is sampled and cut into slices, each slice is partitioned, each partition is sorted, and the results are put
one after another, as the stages of `mjob sort` do it. A default run takes few cases; `REMORA_SORT_CASES=20000` takes
that many.
"""

from __future__ import annotations

import os
import random
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from datapath import libexec, shuffle_file
from tests.property.lines.test_sort_properties import run
from tests.support.lines.hard_data import DATA
from tests.support.lines.sort_cases import case
from tests.support.variants import variants

CASES = int(os.environ.get("REMORA_SORT_CASES", "48"))
GROUP = 16
PARTITIONS = (1, 3, 64)
SLICES = 4


def tool(name: str, *options: str, text: bytes) -> bytes:
    return subprocess.run([libexec(name), *options], input=text, capture_output=True, check=True).stdout


def slices_of(text: bytes, end: bytes) -> list[bytes]:
    """The text in slices that end at line ends."""
    edges = [0]
    for number in range(1, SLICES):
        found = text.find(end, number * len(text) // SLICES)
        edges.append(max(edges[-1], len(text) if found < 0 else found + 1))
    return [text[begin:stop] for begin, stop in pairwise([*edges, len(text)])]


def sort_in_partitions(options: list[str], text: bytes, partitions: int, directory: Path) -> bytes:
    """What the stages of a sort make of a text."""
    zero = ["-z"] if "-z" in options else []
    sampled = tool("msort", "--sample", "8", *zero, text=text)
    borders = directory / "borders"
    borders.write_bytes(tool("msort", "--borders", str(partitions), *options, text=sampled))
    parts = [b""] * partitions
    for piece in slices_of(text, b"\0" if zero else b"\n"):
        divided = tool("mpartition", "--partitions", str(partitions), "--borders", str(borders), *options, text=piece)
        with (directory / "shuffled").open("w+b") as file:
            file.write(divided)
            file.flush()
            shuffle_file.check(file.fileno(), partitions)
            for number in range(partitions):
                for extent in shuffle_file.find(file.fileno(), number):
                    parts[number] += os.pread(file.fileno(), extent.length, extent.at)
    return b"".join(tool("msort", *options, "-S1M", text=part) for part in parts if part)


@pytest.mark.parametrize("first", range(0, CASES, GROUP))
def test_any_keys_on_any_text(first: int, tmp_path: Path) -> None:
    for seed in range(first, min(first + GROUP, CASES)):
        tried, partitions = case(seed), PARTITIONS[seed % len(PARTITIONS)]
        status, expected = run("sort", *tried.options, text=tried.text)
        assert status == 0
        found = sort_in_partitions(tried.options, tried.text, partitions, tmp_path)
        assert found == expected, (seed, partitions, tried.options)


@pytest.mark.parametrize("partitions", variants(PARTITIONS))
@pytest.mark.parametrize("data", DATA)
def test_data_that_is_hard_to_divide(data: str, partitions: int, tmp_path: Path) -> None:
    text = DATA[data](random.Random(data))
    for options in ([], ["-k1,1"], ["-k1,1", "-s"], ["-u"], ["-n", "-r"], ["-k1,1", "-u"]):
        for ends, each in (([], text), (["-z"], text.replace(b"\n", b"\0"))):
            _, expected = run("sort", *options, *ends, text=each)
            assert sort_in_partitions([*options, *ends], each, partitions, tmp_path) == expected, (options, ends)


def test_a_text_of_equal_lines_is_divided_evenly(tmp_path: Path) -> None:
    text = DATA["all equal"](random.Random(0))
    borders = tool("msort", "--borders", "3", text=text)
    (tmp_path / "borders").write_bytes(borders)
    divided = tool("mpartition", "--partitions", "3", "--borders", str(tmp_path / "borders"), text=text)
    (tmp_path / "shuffled").write_bytes(divided)
    with (tmp_path / "shuffled").open("rb") as file:
        checked = shuffle_file.check(file.fileno(), 3)
        assert {checked.size(number) for number in range(3)} == {len(text) // 3}
