"""Addresses that a process listens at, as they are told to people."""

from __future__ import annotations

import os


def cannot_listen(host: str, port: int, error: OSError) -> str:
    """Why an address cannot be had, as a sentence. Python's own text repeats the address behind the reason."""
    known = error.errno is not None and error.errno > 0  # else it is a code of the resolver
    reason = os.strerror(error.errno) if known else error.strerror
    return f"cannot listen on {host} port {port}: {reason}"
