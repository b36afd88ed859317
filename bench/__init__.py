"""Benchmarks: Remora's speed, measured as ratios to peers.

A figure such as "3,000 tasks/s" says as much about the machine, and about its other users at
that minute, as about the program. A *ratio* to a tool that does the same work, on the same
bytes, in the same minute, says how much of the machine Remora wastes. So every row here runs two
or more contestants, Remora and a peer: a tool that a user would otherwise pick (`parallel`, `cat`,
`cp`, `mawk`), or the bare minimum that the work needs (a C loop that only forks).

A machine's load changes from minute to minute, so contestants take turns, never all of A
before all of B: a slow minute then hits both. Each contestant finds memory and disk as the
one before left them, so none may always come second: every other round goes backwards, A B,
B A, A B. A turn gives one sample; the ratio is taken within each round, and the table shows the
*median* of the rounds, with the lowest and the highest beside it. If those two
lie far apart the machine was not quiet, and the row says little.

A program with more processes gets more of a busy machine, so only a quiet machine gives true
ratios. The benchmark counts what other programs use while a row runs (`foreign`), and says which rows to
measure again.

A ratio is only as fair as its peer, so peers get every advantage that a
user would give them: files in the page cache, no name resolution, no durability.

Some rows measure the latency that a person waits for: they are absolute, and their
bar is a time.

`python -m bench` prints the table (`--smoke`: small sizes, one round; the figures mean little,
but every row runs). `--json FILE` keeps the samples, and `--compare FILE` prints the figures beside
those of an earlier run. The exit status is 1 if a bar is not met. `rows/` has one file a row, in a
folder for each kind. The `test_*.py` files here are a separate set: micro-benchmarks of single
mechanisms, for comparing two versions of this code on one machine: `pytest bench
--benchmark-autosave`, later `pytest bench --benchmark-compare`.

Example, one line of a table from a busy machine, as its spread shows:

    feed, 8,192 x 64 KiB  2.8 GB/s  cat, same pipe: 1.42 GB/s  1.98x (1.48-2.82)  >= 0.9x  -  met
"""

# Some rows run parts of a service here: SQLite is told what it is told there, before another module imports it.
import scheduler.records.sqlite_library  # noqa: F401
