"""Hostile texts for a regular expression, made from its own syntax tree.

A pattern that backtracks does so where a repetition ends: it gives back one character after another, and for each tries
the rest again. So a hostile text leads up to a repetition, repeats what it matches very often, and then does not match.

    \\s*(\\w+)\\s+-\\s+x\\Z   →   "   …   \\0",  "aaa…aaa\\0",  "a   …   \\0",  "a -   …   \\0", all pumped at once, …
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator
from re import _constants as constants  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

PRINTABLE = [c for c in string.printable if c not in "\x0b\x0c\r"]
BREAKERS = ("\0", "!", "")
REPEATS = (constants.MAX_REPEAT, constants.MIN_REPEAT, getattr(constants, "POSSESSIVE_REPEAT", None))


def texts(pattern: re.Pattern[Any], size: int) -> Iterator[str]:
    """Texts of about `size` characters that may be dear for `pattern`."""
    source = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
    tree = parser.parse(source, pattern.flags & ~re.DEBUG & ~(re.UNICODE if isinstance(pattern.pattern, bytes) else 0))
    pieces = Pieces(tree)
    for chosen in [*([at] for at in range(pieces.repeats)), *([at, at + 1] for at in range(pieces.repeats - 1)),
                   list(range(pieces.repeats))]:  # fmt: skip
        for variant in range(VARIANTS):
            for breaker in BREAKERS:
                yield pieces.write(set(chosen), variant, size // max(1, len(chosen))) + breaker
    for one in sorted(pieces.alphabet):
        for other in sorted(pieces.alphabet)[:8]:
            yield (one + other) * (size // 2) + "\0"


VARIANTS = 4


class Pieces:
    """A pattern as a list of what matches: literal examples, and repetitions, which `write` pumps."""

    def __init__(self, tree: Any) -> None:
        self.repeats = 0
        self.alphabet: set[str] = set()
        self._plan = [self._piece(op, argument) for op, argument in tree]

    def write(self, pumped: set[int], variant: int, size: int) -> str:
        return "".join(self._text(piece, pumped, variant, size) for piece in self._plan)

    def _piece(self, op: Any, argument: Any) -> Any:
        if op in REPEATS:
            number = self.repeats
            self.repeats += 1
            least, _, inside = argument
            return "repeat", number, least, [self._piece(*each) for each in inside]
        if op is constants.SUBPATTERN:
            return "all", [self._piece(*each) for each in argument[-1]]
        if getattr(constants, "ATOMIC_GROUP", None) is op:
            return "all", [self._piece(*each) for each in argument]
        if op is constants.BRANCH:
            return "any", [[self._piece(*each) for each in branch] for branch in argument[1]]
        characters = self._characters(op, argument)
        self.alphabet.update(characters[:VARIANTS])
        return "one", characters

    def _characters(self, op: Any, argument: Any) -> list[str]:
        """Some of what a node of one character matches, blanks and what others match too among them."""
        if op is constants.LITERAL:
            return [chr(argument)]
        if op is constants.ANY:
            return ["a", " ", "/", '"']
        if op is constants.NOT_LITERAL:
            return [c for c in 'a /"\\' if c != chr(argument)]
        if op is constants.IN:
            found = [c for c in PRINTABLE if matches(argument, c)]
            return spread(found) or ["a"]
        return []  # anchors, assertions

    def _text(self, piece: Any, pumped: set[int], variant: int, size: int) -> str:
        kind, *rest = piece
        if kind == "one":
            return rest[0][variant % len(rest[0])] if rest[0] else ""
        if kind == "all":
            return "".join(self._text(each, pumped, variant, size) for each in rest[0])
        if kind == "any":
            return "".join(self._text(each, pumped, variant, size) for each in rest[0][variant % len(rest[0])])
        number, least, inside = rest
        once = "".join(self._text(each, pumped, variant, size) for each in inside)
        return once * (size // max(1, len(once)) if number in pumped and once else least)


def matches(items: Any, character: str) -> bool:
    """Whether a character class matches a character."""
    negated = any(op is constants.NEGATE for op, _ in items)
    found = False
    for op, argument in items:
        if op is constants.LITERAL:
            found = found or ord(character) == argument
        elif op is constants.RANGE:
            found = found or argument[0] <= ord(character) <= argument[1]
        elif op is constants.CATEGORY:
            found = found or bool(re.match(CATEGORIES[argument], character))
    return found != negated


CATEGORIES = {
    constants.CATEGORY_DIGIT: r"\d",
    constants.CATEGORY_NOT_DIGIT: r"\D",
    constants.CATEGORY_SPACE: r"\s",
    constants.CATEGORY_NOT_SPACE: r"\S",
    constants.CATEGORY_WORD: r"\w",
    constants.CATEGORY_NOT_WORD: r"\W",
}


def spread(characters: list[str]) -> list[str]:
    """A blank, if there is one, and others from everywhere."""
    blanks = [c for c in characters if c.isspace()][:1]
    others = [c for c in characters if not c.isspace()]
    step = max(1, len(others) // 3)
    return [*others[::step][: VARIANTS - len(blanks)], *blanks]
