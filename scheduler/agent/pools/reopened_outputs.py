r"""Detection of phases whose tasks may open their own standard output or error again, by name.

A task's output is a file, which it prints into directly. A file that is opened again is truncated, and the second
writer begins at its start: of `echo a; echo b > /dev/stdout; echo c` only b and c are left. So where a phase may do
that, its tasks print into pipes, to which all writers append (`include/lackey/outpipe.h`). That costs some µs and a
copy of the output per task, and the tasks of other phases nothing; so the phase's scripts and assets are searched for
such names first. (O_APPEND would not suffice: the file is truncated all the same, and `cat` could no longer share
blocks with it.)

- `/dev` and what is below it, but for devices that are no output of the task (`2> /dev/null`), and `/proc`. A name
  that is put together counts as well: `/dev/$1`, `cd /dev`.
- Text that cannot be searched counts too: assets that are compressed or large, and in exec and init a shell
  whose program comes from an input (`make-commands | sh`, `bash "$MANTA_INPUT_FILE"`).

Programs of the machine or image are not searched: the manual says what to do about one that does this by
itself.

Example: `gzip -dc 2>/dev/null | awk -f /assets/jill/stor/sum.awk` names nothing; if the awk script has
`print > "/dev/stderr"`, its tasks print into pipes.
"""

from __future__ import annotations

import re

from scheduler.model.wire import PoolSpec

# A regular expression that begins with a literal is searched for at the speed of memory.
DEVICES = re.compile(
    rb"dev(?<![\w.-]dev)(?!/+(?:null|zero|full|u?random|tty|shm|tcp|udp)(?![\w.-]))(?:/|(?<=/dev)(?![\w.-]))"
)
PROCESSES = re.compile(rb"proc(?<![\w.-]proc)(?:/|(?<=/proc)(?![\w.-]))")
# How files of gzip, bzip2, xz, zstd and zip begin; searched everywhere, since an archive may contain some.
COMPRESSED = (b"\x1f\x8b\x08", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"PK\x03\x04")
LARGE = 4 << 20
# An interpreter without a program or with one that a variable names, `eval`, and `. "$file"`.
FOREIGN = re.compile(
    rb"""
    (?<![\w.-])(?:(?:ba|da|k|z)?sh|python[\d.]*+|perl|ruby|node)(?:[ \t]++-\w*+)*+[ \t]*+(?:$|[;&|)<\n]|["']?[${])
    |(?<![\w.-])eval(?![\w.-])
    |(?<![^\s;&|({])(?:\.|source)[ \t]++"?\$
    """,
    re.VERBOSE,
)


def scripts_may_reopen(spec: PoolSpec) -> bool:
    """Whether a script of a phase may open an output again."""
    return any(map(script_may_reopen, (spec.exec, spec.init or "")))


def script_may_reopen(script: str) -> bool:
    """Whether a script, or code that it runs from its input, may open an output again."""
    text = script.encode("utf-8", "surrogateescape")
    return names_output(text) or FOREIGN.search(text) is not None


def asset_may_reopen(data: bytes) -> bool:
    """Whether an asset may open an output again if it is run. Its first LARGE + 1 bytes suffice."""
    return len(data) > LARGE or any(magic in data for magic in COMPRESSED) or names_output(data)


def names_output(text: bytes) -> bool:
    return DEVICES.search(text) is not None or PROCESSES.search(text) is not None
