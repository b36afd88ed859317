"""Build the C tests with the address and undefined-behaviour sanitizers, and run them.

    python datapath/tests/run.py [NAME ...]
    python datapath/tests/run.py --fuzz SECONDS [NAME ...]

The folders are those of `src/`. Each `test_*.c` is a program that ends with 0 or says what
failed. Each `fuzz_*.c` is a fuzz target, and `corpus/fuzz_*/` holds inputs that together reach all of the code that
was ever reached. Without `--fuzz`, `fuzz_main.c` drives the targets: it takes the corpus
and a fixed number of small changes of it, which needs any C compiler and nothing else.

With `--fuzz`, clang's libFuzzer looks for new inputs, SECONDS for each target, one after
another. Inputs that reach new code are added to the corpus; one that fails is left in
`build/fuzzed/`, with the way to run it again. All are linked with all of `src/`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[2]))
from datapath import build

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
SCRATCH = build.ROOT.parent / "build" / "sanitized"
FUZZED = build.ROOT.parent / "build" / "fuzzed"
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
CHECKED = [*build.STRICT, f"-I{HERE}", "-O1", "-g", "-fno-omit-frame-pointer", *SANITIZE]
DRIVER = HERE / "fuzz_main.c"
SECONDS = 120
MAX_LEN = 4096  # what the targets and their driver take


class Result(NamedTuple):
    name: str
    failed: bool
    output: str


def targets() -> list[Path]:
    """The fuzz targets."""
    return sorted(HERE.glob("*/fuzz_*.c"))


def programs() -> list[Path]:
    """Tests and fuzz targets."""
    return sorted([*HERE.glob("*/test_*.c"), *targets()])


def build_all(wanted: Sequence[Path]) -> list[Path]:
    """The executables of `wanted`, rebuilt where stale. Raises `build.BuildError`."""
    cc = build.compiler()
    core = build.objects(cc, build.sources(), SCRATCH / "src", CHECKED)
    mains = build.objects(cc, [*wanted, DRIVER], SCRATCH / "tests", CHECKED)
    driver = mains.pop()

    def one(source: Path, main: Path) -> Path:
        target = SCRATCH / source.stem
        driven = [driver] if is_target(source.stem) else []
        build.link(cc, [main, *driven, *core], target, SANITIZE)
        return target

    with ThreadPoolExecutor(os.cpu_count()) as workers:
        return list(workers.map(one, wanted, mains))


def is_target(name: str) -> bool:
    return name.startswith("fuzz_")


def run(program: Path, *changes: str) -> Result:
    """Run a program; a target on its corpus, and on so many changes of it (as many as its driver says)."""
    command: list[str | Path] = [program]
    if is_target(program.name):
        command += [CORPUS / program.name, *changes]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
    return Result(program.name, done.returncode != 0, done.stdout + done.stderr)


def fuzz(source: Path, seconds: int) -> bool:
    """Look for inputs of one target that fail, and keep those that reach new code. Returns whether one failed."""
    program = build_fuzzer(source)
    kept, found = CORPUS / source.stem, FUZZED / "found" / source.stem
    kept.mkdir(parents=True, exist_ok=True)
    found.mkdir(parents=True, exist_ok=True)
    common: list[str | Path] = [program, f"-max_len={MAX_LEN}", f"-artifact_prefix={FUZZED}/{source.stem}-"]
    print(f"{source.stem}: {seconds} s", flush=True)
    search = [*common, f"-max_total_time={seconds}", "-timeout=10", "-verbosity=1", "-print_final_stats=1", found, kept]
    failed = subprocess.run(search, check=False).returncode != 0
    # Counters would keep an input for every number of rounds of every loop.
    merge = [*common, "-merge=1", "-use_counters=0", "-verbosity=0", kept, found]
    subprocess.run(merge, check=True)
    return failed


def build_fuzzer(source: Path) -> Path:
    """The target with libFuzzer. Raises `build.BuildError`."""
    if not shutil.which("clang"):
        raise build.BuildError("--fuzz needs clang and its runtime (install clang)")
    cc = ["clang"]
    flags = [*CHECKED, "-fsanitize=fuzzer-no-link"]
    parts = build.objects(cc, [source, *build.sources()], FUZZED / "objects", flags)
    program = FUZZED / source.stem
    build.link(cc, parts, program, [*SANITIZE, "-fsanitize=fuzzer"])
    return program


def named(sources: Sequence[Path], parts: Sequence[str]) -> list[Path]:
    """The sources whose name contains one of `parts`, or all."""
    for part in parts:
        if not any(part in source.stem for source in sources):
            raise SystemExit(f"no such C test: {part}")
    return [source for source in sources if not parts or any(part in source.stem for part in parts)]


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="./dev c", description="C tests and fuzz runs under sanitizers.")
    parser.add_argument("--fuzz", type=int, metavar="SECONDS", help="fuzz each target so long, with libFuzzer")
    parser.add_argument("names", nargs="*", metavar="NAME", help="a part of a name, such as split (default: all)")
    given = parser.parse_args(argv)
    if given.fuzz:
        failed = [fuzz(source, given.fuzz) for source in named(targets(), given.names)]
        return int(any(failed))
    results = [run(program) for program in build_all(named(programs(), given.names))]
    for result in results:
        print(f"{'FAILED' if result.failed else 'ok':8}{result.name}")
        if result.failed:
            print(result.output)
    return int(any(result.failed for result in results))


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except build.BuildError as why:
        sys.exit(str(why))
