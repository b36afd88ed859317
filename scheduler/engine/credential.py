"""Which credentials of a node are good: generations, an overlap, and revocation.

The credentials of a node are numbered by *generation*, the first is 0. A *rotation* makes a new one, and those from
`oldest` on stay good for an overlap, in which the node gets the new one: so nothing that it holds is lost. A
*revocation* ends all at once, and the next rotation begins with none of them.

    rotate:  generation 0, 0 good  ──▶  generation 1, 0 good until the overlap ends, 1 good
    revoke:  none good             ──▶  rotate: generation 2, only 2 good
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Trust:
    """How a node stands. Times are ms since the epoch; `until` None: the overlap ends with the next rotation."""

    generation: int = 0
    oldest: int = 0
    until: int | None = None
    revoked: int | None = None

    def accepts(self, generation: int, now: int) -> bool:
        """Whether a credential of this generation is good."""
        if self.revoked is not None or not self.oldest <= generation <= self.generation:
            return False
        return generation == self.generation or self.until is None or now < self.until

    def rotate(self, until: int | None) -> Trust:
        """A new generation; the last one, if it was good, stays so `until` then (None: without an end)."""
        fresh = self.generation + 1
        return Trust(fresh, fresh if self.revoked is not None else self.generation, until)

    def revoke(self, now: int) -> Trust:
        return self if self.revoked is not None else replace(self, revoked=now)


FIRST = Trust()
