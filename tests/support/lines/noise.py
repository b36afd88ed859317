"""Bytes that do not compress, the same in every run."""

from __future__ import annotations

import hashlib


def noise(size: int) -> bytes:
    return hashlib.shake_128(b"noise").digest(size)
