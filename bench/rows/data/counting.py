"""Words counted by hash: `maggr`, beside `mawk` and `sort | uniq -c`, on the same lines, one word each.

`maggr` aggregates numbers, so each line gets a 1 (`sed`), which is part of its time. Tasks have all of these programs;
a reducer that gets words need not sort them only to count them.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

from bench.measure import Bar, Line, Turn, interleave, seconds
from bench.peers import installed
from bench.setting import PLAIN, Setting, words
from datapath import libexec

MAWK = "mawk '{n[$1]++} END {for (w in n) print w, n[w]}'"
SORT = "sort | uniq -c | awk '{print $2, $1}'"


def lines(setting: Setting) -> Iterator[Line]:
    size = setting.size(50_000_000, 1_000_000)
    file = setting.directory("counting") / "words"
    file.write_bytes(words(size).replace(b" ", b"\n"))
    found: dict[str, list[bytes]] = {}

    def turn(name: str, script: str) -> Turn:
        def count() -> None:
            done = subprocess.run(
                ["bash", "-c", f"({script}) < {file}"], env=PLAIN | {"LC_ALL": "C"}, stdout=subprocess.PIPE, check=True
            )
            found[name] = sorted(done.stdout.splitlines())

        return lambda: size / seconds(count) / 1e6

    turns = [turn("maggr", f"sed 's/$/ 1/' | {libexec('maggr')} -c1=key count"), turn("sort", SORT)]
    with_mawk = installed("mawk") is not None
    if with_mawk:
        turns.append(turn("mawk", MAWK))
    ours, sorting, *mawk = interleave(setting.rounds, *turns)
    if any(counts != found["maggr"] for counts in found.values()):
        raise RuntimeError("the programs count words differently")
    what = f"words counted by maggr, {size / 1e6:,.0f} MB"
    yield Line(what, "MB/s", ours, Bar(goal=2.0), "sort | uniq -c", sorting)
    if with_mawk:
        yield Line(what, "MB/s", ours, Bar(), "mawk", mawk[0])
