"""Feasibility: whether any known node can ever make an instance for a phase.

Tiers are caps, so nearly every phase fits nearly every node; but each node states the largest tier that it offers. A
phase that is too large for every node would wait for ever, so its tasks fail with a message instead. While no node is
known, tasks wait for one to register.

Example: nodes with 4 GiB and 16 GiB. A tier of 8 GiB waits for the second node, one of 32 GiB is infeasible. Disk is
compared in the same way; one node must have room for both.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from scheduler.model.phase import PhaseSpec


@dataclass(frozen=True, slots=True)
class Tiers:
    """The memory and disk that an instance asks for, or the largest that a node offers."""

    memory_mb: int
    disk_gb: int

    @classmethod
    def of(cls, phase: PhaseSpec) -> Tiers:
        return cls(phase.memory_mb, phase.disk_gb)

    def within(self, offer: Tiers) -> bool:
        return self.memory_mb <= offer.memory_mb and self.disk_gb <= offer.disk_gb


def why_infeasible(wanted: Tiers, offers: Iterable[Tiers]) -> str | None:
    """The reason why no node can make such an instance, as the message of a TaskInitError.

    None if a node can, or no node is known.
    """
    known = list(offers)
    if not known or any(wanted.within(offer) for offer in known):
        return None
    scarce = "disk space" if any(wanted.memory_mb <= offer.memory_mb for offer in known) else "memory"
    return f"failed to dispatch task: not enough {scarce} available"
