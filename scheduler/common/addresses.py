"""Network addresses that an operator gives."""

from __future__ import annotations

# Hosts that stand for every address of the machine: a listener there is reached from other machines.
EVERYWHERE = frozenset(["", "0.0.0.0", "::"])  # noqa: S104 - compared with, not listened at
