"""How fast this is, told as ratios.

A figure such as "3,000 tasks/s" says as much about the machine, and about who else was using
it that minute, as about the program. A *ratio* to a tool that does the same work, on the same
bytes, in the same minute, says how much of the machine we waste. So every row here runs two
or more contestants, ours and a peer: what a user would otherwise pick (`parallel`, `cat`,
`cp`, `mawk`), or the bare minimum that the work needs (a C loop that only forks).

From "a machine gets busy and idle again" follows that contestants take turns, never all of A
before all of B: a slow minute then hits both. And since each finds memory and disk as the
one before left them, nobody always comes second: every other round goes backwards, A B,
B A, A B. A turn gives one sample; the ratio is taken within each round, and the *median* of
the rounds is what the table shows, with the lowest and the highest beside it. If those two
lie far apart the machine was not quiet, and the row says little.

From "who runs more processes gets more of a busy machine" follows that only a quiet one
tells the truth. So before each row we look on for half a second, and the table says so if
others were at work.

From "a ratio is only as honest as its peer" follows that peers get every advantage that a
user would give them: files in the page cache, no name resolution, no durability.

Some promises are to a person, who waits in milliseconds: those rows are absolute, and their
bar is a time.

`python -m bench` prints the table (`--smoke`: small sizes, one round; the figures mean little,
but all that is measured runs). `rows/` has one file a row. The `test_*.py` files here are another
thing: micro-benchmarks of single mechanisms, for comparing two versions of this code on one
machine: `pytest bench --benchmark-autosave`, later `pytest bench --benchmark-compare`.

Example, one line of a table from a busy machine, as its spread shows:

    feed, 8,192 x 64 KiB  2.8 GB/s  cat, same pipe: 1.42 GB/s  1.98x (1.48-2.82)  >= 0.9x  -  met
"""
