"""The parts of the machine that tasks see: lists of the C code, for instances of both kinds.

    PROGRAMS        directories of `/` with programs and what they need; tasks see them, read-only
    SYSTEM          the parts of /sys that describe the size of the machine
    HIDDEN          files below /proc about other processes or the whole machine; covered
    UNCHANGEABLE    read-only, whatever their modes say

The lackey builds an instance by them (`include/sandbox/hostview.h`, `include/sandbox/procmask.h`); for a container
they go into its runtime's spec.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from datapath._core import ffi, lib


def strings(array) -> Iterator[str]:  # type: ignore[no-untyped-def]  # cffi's types are made at run time
    """The strings of an array that ends with a null pointer."""
    while array[0] != ffi.NULL:
        yield os.fsdecode(ffi.string(array[0]))
        array += 1


PROGRAMS = tuple(f"/{name}" for name in strings(lib.hostview_programs()))
SYSTEM = tuple(f"/{name}" for name in strings(lib.hostview_system()))
HIDDEN = tuple(strings(lib.procmask_hidden()))
UNCHANGEABLE = tuple(strings(lib.procmask_unchangeable()))
