"""Random cases for sorts: options and texts in which much of what matters is near: equal keys, ends, odd numbers.

A case is made of a seed alone, so that one that fails can be run again.
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple

FLAGS = "n r nr g gr h hr M V Vr b bn d f df i if bf fV dV dfV iV fh fM".split()
GLOBAL = ("n", "g", "h", "M", "V", "d", "f", "i", "b", "fb", "nb", "df")
NUMBERS = "inf -inf 0x1p3 1e400 -0 -0.0 00 .5 -.5 1..2 --1 1e-4950 Infinity -".split()
MONTHS = "jan FEB March apr ma may Dec Decx".split()
VERSIONS = (
    "a1 a01 a~ a a0 a0~ . .. .a a.b a.b~ a.1 a.b.c a1.tar.gz a1b a-1 a_1 ~ a10 a2 a.~1~ A.b1 1.2.3 1.02.3 .B".split()
)
UNITS = ("", ".", ".0", ".5", ".50", ".05", "K", "M", "m", "k", "Ki", ".5G", "e3", "E-2")
SEPARATORS = (None, None, ",", " ", "\t", "a", "\0")
SIZES = (0, 1, 2, 5, 20, 60, 400)


class Case(NamedTuple):
    """Options and standard input of one sort."""

    options: list[str]
    text: bytes


def case(seed: int) -> Case:
    chance = Random(seed)
    separator = chance.choice(SEPARATORS)
    end = "\0" if chance.random() < 0.1 else "\n"
    options = [] if separator is None else ["-t", "\\0" if separator == "\0" else separator]
    for _ in range(chance.choice([0, 0, 1, 1, 1, 2, 3])):
        options += ["-k", keydef(chance)]
    options += [f"-{flag}" for flag in "rsu" if chance.random() < 0.25]
    if chance.random() < 0.3:
        options.append(f"-{chance.choice(GLOBAL)}")
    if end == "\0":
        options.append("-z")
    return Case(options, text(chance, separator, end, chance.choice(SIZES)))


def keydef(chance: Random) -> str:
    """A KEYDEF that is valid."""

    def position(least: int) -> str:
        char = f".{chance.randint(least, 4)}" if chance.random() < 0.3 else ""
        return f"{chance.randint(1, 3)}{char}{'b' if chance.random() < 0.2 else ''}"

    flags = chance.choice([*FLAGS, "", "", ""])
    start = position(1)
    if chance.random() < 0.4:
        return start + flags
    return f"{start}{flags if chance.random() < 0.3 else ''},{position(0)}{flags}"


def text(chance: Random, separator: str | None, end: str, lines: int) -> bytes:
    """Lines of a few words each, from a small vocabulary."""
    between = [" ", "  ", "\t", " \t"] if separator is None else [separator, separator, " "]
    vocabulary = [word(chance) for _ in range(chance.choice([3, 10, 100]))]
    rows = []
    for _ in range(lines):
        words = [chance.choice(vocabulary) + chance.choice(between) for _ in range(chance.randint(0, 3))]
        rows.append("".join(words) + chance.choice(vocabulary))
    last = end if rows and chance.random() < 0.8 else ""
    return (end.join(rows) + last).encode("latin-1")


def word(chance: Random) -> str:
    kind = chance.random()
    if kind < 0.25:
        return "".join(chance.choices("ab", k=chance.randint(0, 4)))
    if kind < 0.45:
        digits = str(chance.randint(0, 12)).zfill(chance.randint(1, 3))
        return chance.choice(["", "-", "- ", "+"]) + digits + chance.choice(UNITS)
    if kind < 0.75:
        return chance.choice(chance.choice([NUMBERS, MONTHS, VERSIONS]))
    if kind < 0.85:
        return "".join(chance.choices("aAbBzZ09 .-_,\x01\x02\x7f\xe9\xff\r", k=chance.randint(0, 10)))
    if kind < 0.9:
        return "commonprefix" + "".join(chance.choices("ab", k=chance.randint(0, 20)))
    if kind < 0.96:
        return "\0" * chance.randint(0, 10) + "x" * chance.choice([0, 0, 70]) + chance.choice(["", "a", "b"])
    return "".join(chance.choices("0123456789", k=chance.randint(1, 120)))
