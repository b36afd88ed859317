"""`python -m bench`: measure the rows, and print the table."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.measure import Line, SkippedError
from bench.rows import ROWS
from bench.setting import Setting
from bench.table import as_json, render


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    with (
        tempfile.TemporaryDirectory(prefix="remora-bench-", dir=options.dir) as scratch,
        Setting(Path(scratch), options.smoke) as setting,
    ):
        lines, skipped = measure(setting, options.rows or list(ROWS))
    print(render(lines))
    for name, why in skipped:
        print(f"SKIPPED in {name}: {why}")
    if options.smoke:
        print("A smoke run: small sizes, one round. The figures mean little.")
    if options.json:
        options.json.write_text(json.dumps(as_json(lines), indent=1) + "\n")
    return 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
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


def measure(setting: Setting, names: Sequence[str]) -> tuple[list[Line], list[tuple[str, str]]]:
    """The lines of the rows, and what could not be measured and why. Says on stderr how far it is."""
    lines: list[Line] = []
    skipped: list[tuple[str, str]] = []
    for name in names:
        print(f"bench: {name} ...", end="", file=sys.stderr, flush=True)
        started = time.monotonic()
        try:
            for line in ROWS[name](setting):
                lines.append(line)  # one by one: a row that skips its last line keeps the others
        except SkippedError as why:
            skipped.append((name, str(why)))
        print(f" {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    return lines, skipped


if __name__ == "__main__":
    sys.exit(main())
