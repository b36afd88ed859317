"""The signal that made a core file, read from the file.

The kernel also dumps core for a process whose file outgrew its limit (SIGXFSZ), and then the user
must read "out of disk space" and not "dumped core". The task's own status does not tell, since the
process that dumped may have been a grandchild. The core file does, in the note that debuggers read
first. A task can forge it, and then misleads only its own user.
"""

from __future__ import annotations

import os
import struct

PT_NOTE = 4
NT_PRSTATUS = 1
MAX_HEADERS = 4096
MAX_NOTES = 1 << 20


def core_signal(fd: int) -> int | None:
    """The signal that ended the process; None if this is no core file of this machine's kind."""
    try:
        for offset, size in note_segments(fd):
            if (found := find_signal(os.pread(fd, min(size, MAX_NOTES), offset))) is not None:
                return found
    except (struct.error, OSError, OverflowError):
        pass
    return None


def note_segments(fd: int) -> list[tuple[int, int]]:
    """The `(offset, size)` of each note segment of a 64-bit ELF file."""
    header = os.pread(fd, 64, 0)
    if header[:5] != b"\x7fELF\x02":
        return []
    (start,) = struct.unpack_from("=Q", header, 32)
    entry, count = struct.unpack_from("=HH", header, 54)
    table = os.pread(fd, entry * min(count, MAX_HEADERS), start)
    segments = []
    for at in range(0, len(table), entry or 1):
        kind, _, offset, _, _, size = struct.unpack_from("=IIQQQQ", table, at)
        if kind == PT_NOTE:
            segments.append((offset, size))
    return segments


def find_signal(notes: bytes) -> int | None:
    """The `si_signo` of the first PRSTATUS note: the first number of its contents."""
    at = 0
    while at + 12 <= len(notes):
        name_size, size, kind = struct.unpack_from("=III", notes, at)
        contents = at + 12 + padded(name_size)
        if kind == NT_PRSTATUS and size >= 4:
            (signal,) = struct.unpack_from("=i", notes, contents)
            return int(signal)
        at = contents + padded(size)
    return None


def padded(size: int) -> int:
    return (size + 3) & ~3
