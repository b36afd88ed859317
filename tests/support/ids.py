"""Ids that read as words in a test and are UUIDs on the wire."""

from __future__ import annotations

import uuid


def id_of(word: str) -> str:
    """The same id for the same word, always."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, word))
