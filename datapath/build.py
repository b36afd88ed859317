"""The build of the C sources into a Python extension and static executables.

Every `src/*/*.c` is compiled once, strictly, into an object. The objects go into two kinds of
product: the extension `datapath._core` (objects + the glue that cffi writes) and one static
executable for each `bin/NAME.c`. A new mechanism is a new file; no list of files exists. Apart from them is the library
of `loadable/`, for a program that is none of ours.

Functions for Python are declared in the headers and nowhere else: the text between
`/* cffi begin */` and `/* cffi end */` of each `include/*/*.h` is what cffi reads.

Used by `setup.py`, and by the C tests, which compile the same files with sanitizers.
"""

from __future__ import annotations

import functools
import os
import re
import shlex
import shutil
import subprocess
import sysconfig
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from datapath import PREFORK

ROOT = Path(__file__).parent
INCLUDE = ROOT / "include"

STRICT = ["-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Wformat", "-Wformat-security", "-Werror", f"-I{INCLUDE}"]
# The same objects serve the extension and the executables, which are position-independent too.
RELEASE = [*STRICT, "-O2", "-fPIC", "-fvisibility=hidden", "-ffunction-sections", "-fdata-sections"]
# Hardening against mistakes in a parser: checks of the stack and of the bounds of known objects.
CHECKED = ["-fstack-protector-strong", "-U_FORTIFY_SOURCE"]
# The first flag of each line that compiler and C library support: older ones check less, and branch protection depends
# on the machine.
CHECKED_IF_KNOWN = (
    ("-D_FORTIFY_SOURCE=3", "-D_FORTIFY_SOURCE=2"),
    ("-fstack-clash-protection",),
    ("-fcf-protection=full", "-mbranch-protection=standard"),
)
SEALED = ["-Wl,-z,relro,-z,now,-z,noexecstack"]
# Into the bash of an image, with the C library of that image, which may have nothing of what our hardening calls.
LOADABLE = [*STRICT, "-O2", "-fPIC", "-fvisibility=hidden", "-fno-stack-protector", "-U_FORTIFY_SOURCE"]
LINK_LOADABLE = ["-shared", "-nostdlib", *SEALED]
LINK_STATIC = ["-static-pie", "-Wl,--gc-sections", *SEALED]
PROBE = '#include <stdio.h>\nint main(void) { return puts("") < 0; }\n'

EXPORTED = re.compile(r"^/\* cffi begin \*/$(.*?)^/\* cffi end \*/$", re.MULTILINE | re.DOTALL)
COMPILERS = ("cc", "gcc", "clang")


class BuildError(Exception):
    """The reason why the C cannot be built: one sentence for the user."""


def compiler() -> list[str]:
    """The compiler's command: `CC`, or the first that is found. Raises BuildError."""
    if chosen := shlex.split(os.environ.get("CC", "")):
        if shutil.which(chosen[0]):
            return chosen
        raise BuildError(f"no C compiler found (CC is {chosen[0]!r}, which is no program)")
    for name in COMPILERS:
        if shutil.which(name):
            return [name]
    raise BuildError(f"no C compiler found (tried {', '.join(COMPILERS)}; install gcc or set CC)")


@functools.cache
def checked(cc: tuple[str, ...]) -> list[str]:
    """The hardening flags that a compiler supports."""

    def knows(flag: str) -> bool:
        command = [*cc, "-O2", "-Werror", "-U_FORTIFY_SOURCE", flag, "-x", "c", "-", "-c", "-o", os.devnull]
        return subprocess.run(command, input=PROBE, text=True, capture_output=True, check=False).returncode == 0

    found = [next((flag for flag in line if knows(flag)), None) for line in CHECKED_IF_KNOWN]
    return [*CHECKED, *(flag for flag in found if flag is not None)]


def require_headers(cc: Sequence[str]) -> None:
    """Raise BuildError if Python's headers or a static C library are missing."""
    python_h = Path(sysconfig.get_path("include")) / "Python.h"
    if not python_h.exists():
        raise BuildError(f"{python_h} is missing (install the headers of this Python, such as python3-dev)")
    found = subprocess.run([*cc, "-print-file-name=libc.a"], capture_output=True, text=True, check=False).stdout.strip()
    if not os.path.isabs(found):
        raise BuildError("the static C library libc.a is missing (install the C library's development files)")


def headers() -> list[Path]:
    """The headers of `include/`, which are the contracts."""
    return sorted(INCLUDE.rglob("*.h"))


def included() -> list[Path]:
    """All files that a source may include: when one changes, everything is compiled again."""
    return [*headers(), *(ROOT / "src").rglob("*.h"), *(ROOT / "tests").glob("*.h")]


def sources() -> list[Path]:
    return sorted((ROOT / "src").rglob("*.c"))


def programs() -> list[Path]:
    return sorted((ROOT / "bin").glob("*.c"))


def declarations() -> str:
    """The declarations for Python in the headers, in cffi's form."""
    exported = [text for header in headers() for text in EXPORTED.findall(header.read_text("utf-8"))]
    return "\n".join(["typedef int... off_t;", *exported])


def write_glue(path: Path) -> None:
    """Let cffi write the C of `datapath._core`; an unchanged file keeps its time."""
    from cffi import FFI

    ffi = FFI()
    ffi.cdef(declarations())
    exporting = [header for header in headers() if EXPORTED.search(header.read_text("utf-8"))]
    ffi.set_source("datapath._core", "\n".join(f'#include "{header.relative_to(INCLUDE)}"' for header in exporting))
    path.parent.mkdir(parents=True, exist_ok=True)
    ffi.emit_c_code(str(path))


def objects(
    cc: Sequence[str], files: Iterable[Path], directory: Path, flags: Sequence[str] | None = None
) -> list[Path]:
    """Compile `files` into `directory`, skipping what is up to date; without `flags` for release. Raises BuildError."""
    if flags is None:
        flags = [*RELEASE, *checked(tuple(cc))]

    def one(source: Path) -> Path:
        target = directory / f"{source.stem}.o"
        if stale(target, [source, *included(), Path(__file__)]):
            make([*cc, *flags, "-c", str(source)], target)
        return target

    with ThreadPoolExecutor(os.cpu_count()) as workers:
        return list(workers.map(one, files))


def link(cc: Sequence[str], parts: Sequence[Path], target: Path, flags: Sequence[str] = LINK_STATIC) -> None:
    """Link an executable, unless it is newer than its parts. Raises BuildError."""
    if stale(target, parts):
        make([*cc, *map(str, parts), *flags, "-lpthread", "-lm"], target)


def executables(cc: Sequence[str], core: Sequence[Path], scratch: Path, directory: Path) -> list[Path]:
    """Build every program into `directory`; `core` are the objects of `src/`."""
    mains = objects(cc, programs(), scratch / "bin")
    targets = [directory / main.stem for main in mains]
    for main, target in zip(mains, targets, strict=True):
        link(cc, [main, *core], target)
    return targets


def loadables(cc: Sequence[str], scratch: Path, directory: Path) -> list[Path]:
    """Build the builtin for bash into `directory`, and put the script beside it that loads it."""
    parts = objects(cc, [ROOT / "loadable" / "prefork.c", ROOT / "src" / "protocol" / "pass.c"], scratch, LOADABLE)
    library, script = (directory / name for name in PREFORK)
    if stale(library, parts):
        make([*cc, *map(str, parts), *LINK_LOADABLE], library)
    shutil.copy(ROOT / "loadable" / script.name, script)
    return [library, script]


def stale(target: Path, parts: Iterable[Path]) -> bool:
    made = target.stat().st_mtime_ns if target.exists() else 0
    return any(part.stat().st_mtime_ns > made for part in parts)


def make(command: Sequence[str], target: Path) -> None:
    """Run a compiler that makes `target`, which appears only when it is complete. Raises BuildError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.{os.getpid()}")
    result = subprocess.run([*command, "-o", str(partial)], capture_output=True, text=True, check=False)
    if result.returncode:
        raise BuildError(f"{shlex.join(command)} failed:\n{result.stderr}")
    partial.replace(target)
