"""Network addresses that an operator gives."""

from __future__ import annotations

import os

# Hosts that stand for every address of the machine: a listener there is reached from other machines.
EVERYWHERE = frozenset(["", "0.0.0.0", "::"])  # noqa: S104 - compared with, not listened at


def cannot_listen(host: str, port: int, error: OSError) -> str:
    """Why an address cannot be had, as a sentence. Python's own text repeats the address behind the reason."""
    known = error.errno is not None and error.errno > 0  # else it is a code of the resolver
    reason = os.strerror(error.errno) if known else error.strerror
    return f"cannot listen on {host} port {port}: {reason}"
