"""Build the C tests with the address and undefined-behaviour sanitizers, and run them.

    python datapath/tests/run.py [NAME ...]

Each `test_*.c` is a program that ends with 0 or says what failed; each `fuzz_*.c` is a
fuzz target, driven by `fuzz_main.c` unless it has a `main` of its own. All are linked
with all of `src/`. Needs gcc or clang, and nothing else.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[2]))
from datapath import build

HERE = Path(__file__).parent
SCRATCH = build.ROOT.parent / "build" / "sanitized"
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
CHECKED = [*build.STRICT, f"-I{HERE}", "-O1", "-g", "-fno-omit-frame-pointer", *SANITIZE]
DRIVER = HERE / "fuzz_main.c"
SECONDS = 120


class Result(NamedTuple):
    name: str
    failed: bool
    output: str


def programs() -> list[Path]:
    """Tests and fuzz targets, without the driver."""
    return sorted({*HERE.glob("test_*.c"), *HERE.glob("fuzz_*.c")} - {DRIVER})


def build_all(wanted: Sequence[Path]) -> list[Path]:
    """The executables of `wanted`, rebuilt where stale. Raises `build.BuildError`."""
    cc = build.compiler()
    core = build.objects(cc, build.sources(), SCRATCH / "src", CHECKED)
    mains = build.objects(cc, [*wanted, DRIVER], SCRATCH / "tests", CHECKED)
    driver = mains.pop()

    def one(source: Path, main: Path) -> Path:
        target = SCRATCH / source.stem
        driven = source.stem.startswith("fuzz_") and "int main(" not in source.read_text("utf-8")
        build.link(cc, [main, *([driver] if driven else []), *core], target, SANITIZE)
        return target

    with ThreadPoolExecutor(os.cpu_count()) as workers:
        return list(workers.map(one, wanted, mains))


def run(program: Path) -> Result:
    done = subprocess.run([program], capture_output=True, text=True, check=False, timeout=SECONDS)
    return Result(program.name, done.returncode != 0, done.stdout + done.stderr)


def main(names: Sequence[str]) -> int:
    wanted = [source for source in programs() if not names or source.stem in names]
    results = [run(program) for program in build_all(wanted)]
    for result in results:
        print(f"{'FAILED' if result.failed else 'ok':8}{result.name}")
        if result.failed:
            print(result.output)
    return int(any(result.failed for result in results))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
