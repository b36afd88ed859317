"""Removal of an instance's directory: the thin binding of `sandbox/removal.h`, which releases the interpreter lock."""

from __future__ import annotations

import os
from pathlib import Path

from datapath._core import ffi, lib


def remove_tree(path: Path) -> None:
    """Remove a directory with all that is below it; none is no error.

    Raises OSError if something is left: for want of rights, in another file system, or too deep.
    """
    if lib.removal_tree(os.fsencode(path)) < 0:
        raise OSError(ffi.errno, os.strerror(ffi.errno), str(path))
