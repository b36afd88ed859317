"""Exponential back-off: the pauses between tries of work that fails.

A pause doubles with each failure, up to the longest. No jitter is added: each retried peer is one supervisor, one
database or one disk, and its callers do not begin together.

Example: `Backoff(0.2, 10.0)` pauses 0.2, 0.4, 0.8 … 10, 10 seconds; after `reset` it begins with 0.2 again.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Backoff:
    """The pauses of one piece of work, in seconds."""

    first: float
    longest: float
    pause: float = field(init=False)  # the next one

    def __post_init__(self) -> None:
        self.reset()

    @property
    def fresh(self) -> bool:
        """Whether no pause has been taken since the last reset."""
        return self.pause == self.first

    def reset(self) -> None:
        """Begin with the first pause again, after a success."""
        self.pause = self.first

    def next(self) -> float:
        """The seconds to pause now; the next pause is twice as long."""
        pause = self.pause
        self.pause = min(2 * pause, self.longest)
        return pause
