"""Network addresses that an operator gives."""

from __future__ import annotations

import os

# Hosts that stand for every address of the machine: a listener there is reached from other machines.
EVERYWHERE = frozenset(["", "0.0.0.0", "::"])  # noqa: S104 - compared with, not listened at


def cannot_listen(host: str, port: int, error: OSError) -> str:
    """The reason why an address cannot be listened at, as a sentence. Python's own text repeats the address."""
    number = error.errno or 0  # negative: a code of the resolver
    reason = os.strerror(number) if number > 0 else error.strerror
    return f"cannot listen on {host} port {port}: {reason}"
