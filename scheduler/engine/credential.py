"""Credentials of a node: which are valid, by generation, overlap and revocation.

The credentials of a node are numbered by *generation*, beginning with 0. A *rotation* makes a new generation. Those
from `oldest` on stay valid for an overlap, in which the node receives the new one, so the node keeps its leases and
intermediates. A *revocation* ends all generations at once, and a later rotation makes only its own generation valid.
A revocation also ends what was issued to the node before: tokens of jobs that name the node are valid only if they
were issued later.

    rotate:  generation 0, 0 valid  ──▶  generation 1, 0 valid until the overlap ends, 1 valid
    revoke:  none valid             ──▶  rotate: generation 2, only 2 valid
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Trust:
    """The valid credentials of one node. Times are ms since the epoch.

    `until` is the end of the overlap; None: it ends with the next rotation. `revoked` is when the node was last
    revoked. While the node is revoked, `oldest` is greater than `generation`.
    """

    generation: int = 0
    oldest: int = 0
    until: int | None = None
    revoked: int | None = None

    @property
    def is_revoked(self) -> bool:
        return self.oldest > self.generation

    def vouches_for(self, issued: int) -> bool:
        """Whether a token that was issued to the node at this time (ms) is valid."""
        return not self.is_revoked and (self.revoked is None or issued > self.revoked)

    def accepts(self, generation: int, now: int) -> bool:
        """Whether a credential of this generation is valid at `now` (ms)."""
        if not self.oldest <= generation <= self.generation:
            return False
        return generation == self.generation or self.until is None or now < self.until

    def rotate(self, until: int | None) -> Trust:
        """The state after a rotation.

        The last generation, if it was valid, stays valid until `until` (None: without an end).
        """
        return Trust(self.generation + 1, max(self.generation, self.oldest), until, self.revoked)

    def revoke(self, now: int) -> Trust:
        return self if self.is_revoked else replace(self, oldest=self.generation + 1, revoked=now)


FIRST = Trust()
