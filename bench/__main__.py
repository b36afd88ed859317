"""`python -m bench`: measure the rows, and print the table."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.measure import Line, SkippedError
from bench.rows import ROWS
from bench.setting import Setting, foreign_load
from bench.table import as_json, render

# The share of the machine that other programs may use before a table says that it was not quiet.
QUIET = 0.1


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table, and write the samples if they are wanted; returns the exit status."""
    options = parse(arguments)
    with (
        tempfile.TemporaryDirectory(prefix="remora-bench-", dir=options.dir) as scratch,
        Setting(Path(scratch), options.smoke) as setting,
    ):
        results = measure(setting, options.rows or list(ROWS))
    print(render(results.lines))
    for name, why in results.skipped:
        print(f"SKIPPED in {name}: {why}")
    if results.foreign_load > QUIET:
        busy = f"{results.foreign_load:.0%}"
        print(f"The machine was not quiet: before a row others kept {busy} of it busy. Measure again.")
    if options.smoke:
        print("A smoke run: small sizes, one round. The figures mean little.")
    if options.json:
        options.json.write_text(json.dumps(as_json(results.lines), indent=1) + "\n")
    return 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options; exits with a message if a row does not exist."""
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure Remora side by side with what a user would otherwise use, and print a table of ratios.",
        epilog="Rows: " + ", ".join(ROWS) + ". Without ROW all are measured, which takes some minutes.",
    )
    parser.add_argument("rows", metavar="ROW", nargs="*", help="measure only these rows")
    parser.add_argument("--smoke", action="store_true", help="small sizes and one round: does it all still run?")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all samples to FILE as well")
    parser.add_argument(
        "--dir", metavar="DIR", type=Path, help="measure on DIR's file system (default: that of TMPDIR)"
    )
    options = parser.parse_args(arguments)
    for row in options.rows:
        if row not in ROWS:
            parser.error(f'no such row: "{row}" (there are: {", ".join(ROWS)})')
    return options


@dataclass(slots=True)
class Results:
    """The measured lines; the skipped rows with reasons; the largest share of the machine that other programs used."""

    lines: list[Line] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    foreign_load: float = 0.0


def measure(setting: Setting, names: Sequence[str]) -> Results:
    """Measure the rows, and report progress on stderr."""
    results = Results()
    for name in names:
        results.foreign_load = max(results.foreign_load, foreign_load())
        print(f"bench: {name} ...", end="", file=sys.stderr, flush=True)
        started = time.monotonic()
        try:
            for line in ROWS[name](setting):
                results.lines.append(line)  # one by one: a row that skips its last line keeps the others
        except SkippedError as why:
            results.skipped.append((name, str(why)))
        print(f" {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    return results


if __name__ == "__main__":
    sys.exit(main())
