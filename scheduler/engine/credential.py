"""Which credentials of a node are good: generations, an overlap, and revocation.

The credentials of a node are numbered by *generation*, the first is 0. A *rotation* makes a new one, and those from
`oldest` on stay good for an overlap, in which the node gets the new one: so nothing that it holds is lost. A
*revocation* ends all at once, and the next rotation begins with none of them. It also ends what was given to the node
before: tokens of jobs that name the node are good only if they were issued later.

    rotate:  generation 0, 0 good  ──▶  generation 1, 0 good until the overlap ends, 1 good
    revoke:  none good             ──▶  rotate: generation 2, only 2 good
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Trust:
    """How a node stands. Times are ms since the epoch; `until` None: the overlap ends with the next rotation.

    `revoked` is when the node was revoked last. While it is, `oldest` lies beyond `generation`.
    """

    generation: int = 0
    oldest: int = 0
    until: int | None = None
    revoked: int | None = None

    @property
    def is_revoked(self) -> bool:
        return self.oldest > self.generation

    def vouches_for(self, issued: int) -> bool:
        """Whether what was issued to the node at this time is good."""
        return not self.is_revoked and (self.revoked is None or issued > self.revoked)

    def accepts(self, generation: int, now: int) -> bool:
        """Whether a credential of this generation is good."""
        if not self.oldest <= generation <= self.generation:
            return False
        return generation == self.generation or self.until is None or now < self.until

    def rotate(self, until: int | None) -> Trust:
        """A new generation; the last one, if it was good, stays so `until` then (None: without an end)."""
        return Trust(self.generation + 1, max(self.generation, self.oldest), until, self.revoked)

    def revoke(self, now: int) -> Trust:
        return self if self.is_revoked else replace(self, oldest=self.generation + 1, revoked=now)


FIRST = Trust()
