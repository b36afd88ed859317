"""Secrets that can be replaced without an outage: several keys in one text, one a line.

The first key signs, and all of them verify. So a key is replaced in three steps: put the new one in front of the old
one on every process, wait until nothing that the old one signed is in use, remove the old one.
"""

from __future__ import annotations

SHORTEST = 16  # characters: shorter secrets can be guessed


def keys_of(text: str) -> tuple[str, ...]:
    """The keys of a secret, the signing key first; none if the text is empty."""
    return tuple(key for line in text.splitlines() if (key := line.strip()))
