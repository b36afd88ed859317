"""Whether a phase's instances can ever be made, on any node that there is.

Tiers are caps, so nearly every phase fits nearly everywhere; but a node says how large a tier
it can offer at all. A phase that is too large for every node would wait for ever, and is told
so instead. Without any node nobody knows, and tasks wait for one to come.

Example: nodes with 4 GiB and 16 GiB. A tier of 8 GiB waits for the second, one of 32 GiB
cannot be had. With the disk it is the same; a node must have room for both.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from scheduler.model.job import PhaseSpec


@dataclass(frozen=True, slots=True)
class Tiers:
    """What an instance asks for, or the largest that a node offers."""

    memory_mb: int
    disk_gb: int

    @classmethod
    def of(cls, phase: PhaseSpec) -> Tiers:
        return cls(phase.memory_mb, phase.disk_gb)

    def within(self, offer: Tiers) -> bool:
        return self.memory_mb <= offer.memory_mb and self.disk_gb <= offer.disk_gb


def why_infeasible(wanted: Tiers, offers: Iterable[Tiers]) -> str | None:
    """Why no node can have such an instance, as the message of a TaskInitError; None if one can, or none is known."""
    known = list(offers)
    if not known or any(wanted.within(offer) for offer in known):
        return None
    scarce = "disk space" if any(wanted.memory_mb <= offer.memory_mb for offer in known) else "memory"
    return f"failed to dispatch task: not enough {scarce} available"
