"""Texts that are hard to divide evenly, or to sort at all."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable

Data = Callable[[random.Random], bytes]
LINES = 3000
DATA: dict[str, Data] = {
    "random": lambda chance: lines_of(f"{chance.randrange(10**6)} {chance.random()}" for _ in range(LINES)),
    "all equal": lambda chance: lines_of("the same" for _ in range(LINES)),
    "one giant key": lambda chance: lines_of(
        f"{'giant' if chance.random() < 0.95 else chance.randrange(99)} {chance.randrange(99)}" for _ in range(LINES)
    ),
    "sorted": lambda chance: lines_of(f"{n:06}" for n in range(LINES)),
    "reversed": lambda chance: lines_of(f"{n:06}" for n in reversed(range(LINES))),
    "empty": lambda chance: b"",
    "empty lines": lambda chance: b"\n" * LINES,
    "no last newline": lambda chance: lines_of(f"{n * 7919 % LINES}" for n in range(LINES))[:-1],
    "one line": lambda chance: b"only",
}


def lines_of(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()
