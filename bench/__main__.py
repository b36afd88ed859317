"""`python -m bench`: measure the rows, and print the table."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.disk import lacks_journal
from bench.foreign import Watch
from bench.measure import Line, SkippedError
from bench.rows import ROWS
from bench.setting import Setting
from bench.table import Measured, as_json, compared, render

# The share of the machine that other programs may use during a row before a table says that it was not quiet.
QUIET = 0.1


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table, and write the samples if they are wanted; returns the exit status.

    It is 1 if a bar is not met, unless that was a smoke run, and if a row failed.
    """
    options = parse(arguments)
    with (
        tempfile.TemporaryDirectory(prefix="remora-bench-", dir=options.dir) as scratch,
        Setting(Path(scratch), options.smoke, times=options.times) as setting,
    ):
        results = measure(setting, options.rows or list(ROWS))
        is_slow = lacks_journal(Path(scratch))
    lines = [measured.line for measured in results.measured]
    print(render(lines))
    if options.compare:
        print(f"\nAgainst {options.compare}:\n{compared(results.measured, json.loads(options.compare.read_text()))}")
    for name, why in results.skipped:
        print(f"SKIPPED in {name}: {why}")
    for name, why in results.failed:
        print(f"FAILED in {name}: {why}")
    busy = {measured.row: measured.foreign for measured in results.measured if measured.foreign > QUIET}
    if busy:
        told = ", ".join(f"{row} {share:.0%}" for row, share in busy.items())
        print(f"The machine was not quiet: others kept so much of it busy while rows ran: {told}. Measure those again.")
    if is_slow:
        print("The disk is ext4 without a journal, which makes small files slowly: measure with --dir on another one.")
    if options.smoke:
        print("A smoke run: small sizes, one round. The figures mean little.")
    if options.json:
        options.json.write_text(json.dumps(as_json(results.measured), indent=1) + "\n")
    return int(bool(results.failed) or (not options.smoke and any(line.misses_bar for line in lines)))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options; exits with a message if a row does not exist."""
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure Remora side by side with what a user would otherwise use, and print a table of ratios.",
        epilog="Rows: " + ", ".join(ROWS) + ". Without ROW all are measured, which takes some minutes.",
    )
    parser.add_argument("rows", metavar="ROW", nargs="*", help="measure only these rows")
    parser.add_argument("--smoke", action="store_true", help="small sizes and one round: does it all still run?")
    parser.add_argument(
        "--times", metavar="N", type=int, default=1, help="sort N times as much text, once (rows sorting and reducing)"
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all samples to FILE as well")
    parser.add_argument(
        "--compare", metavar="FILE", type=Path, help="print each figure beside that of an earlier --json FILE"
    )
    parser.add_argument(
        "--dir", metavar="DIR", type=Path, help="measure on DIR's file system (default: that of TMPDIR)"
    )
    options = parser.parse_args(arguments)
    if options.times < 1:
        parser.error(f"--times is how many times as much, 1 or more: {options.times}")
    for row in options.rows:
        if row not in ROWS:
            parser.error(f'no such row: "{row}" (there are: {", ".join(ROWS)})')
    return options


@dataclass(slots=True)
class Results:
    """The measured lines, and the skipped and failed rows with reasons."""

    measured: list[Measured] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)


def measure(setting: Setting, names: Sequence[str]) -> Results:
    """Measure the rows, and report progress on stderr."""
    results = Results()
    for name in names:
        print(f"bench: {name} ...", end="", file=sys.stderr, flush=True)
        started, watch = time.monotonic(), Watch()
        lines: list[Line] = []
        try:
            for line in ROWS[name](setting):
                lines.append(line)  # one by one: a row that skips its last line keeps the others
        except SkippedError as why:
            results.skipped.append((name, str(why)))
        except Exception as error:  # what was measured before, or will be, took minutes
            traceback.print_exc()
            results.failed.append((name, f"{type(error).__name__}: {error}"))
        foreign = watch.foreign_load()
        results.measured += [Measured(name, line, foreign) for line in lines]
        print(f" {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    return results


if __name__ == "__main__":
    sys.exit(main())
