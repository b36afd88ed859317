"""The data path, in C: the code that moves bytes.

One idea: *a byte that a task reads or writes passes through no Python.* The control
plane decides which descriptor a program gets; the kernel and a few hundred lines of C
do the rest. Three consequences follow:

- Mechanisms that the agent needs while it runs (feeding a pipe, passing descriptors,
  flushing) are C functions that release the interpreter lock, bound through one cffi
  extension, `datapath._core`. Each has a thin typed module here: `passing`, `feed`,
  `split`, `spool`, `blobfile`; `shuffle_file` is pure Python. The Python never repeats a constant or a layout: both
  come from the headers, which are the contract.
- Programs that run inside an instance (`lackey`, `mpipe`, `mcat`, `mtee`, `msplit`, `maggr`, `msort`,
  `mpartition`, `mmerge`, `launch`) run in any image that the user chose, or in none. So they are static executables
  made of the same sources, and need nothing but a kernel.
- Nothing here knows jobs, tiers or the wire protocol. The meaning of a message is decided above.

`include/` holds the contracts, `src/` one file per mechanism, `bin/` one file per program, `loadable/` what the bash
of an instance loads, and `build` turns them into the extension, the executables and a library.

Example: `subprocess.Popen([libexec("lackey"), "--help"])`.
"""

from __future__ import annotations

from pathlib import Path

LIBEXEC = Path(__file__).parent / "libexec"
PREFORK = ("prefork.so", "prefork.sh")  # there, too: what bash loads, and what tells it so


def libexec(name: str) -> Path:
    """The path of an executable, or of one of PREFORK. Raises FileNotFoundError if the package was built without it."""
    path = LIBEXEC / name
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: build the package first (pip install -e .)")
    return path
