"""The keys of a sort, as `sort -k` defines them: `F[.C][FLAGS][,F[.C][FLAGS]]`.

A key is a part of a line and a way to order it. It begins at the C-th character of the F-th field and ends with
another field, or at a character of it, all counted from 1; without an end it goes to the end of the line.

    2,2n     the second field, by its number
    1.3,1r   the first field from its third character on, backwards
    3        all from the third field on

A text has many forms of one key: `2,2nr`, `2rn,2` and `2.1,2.0rn` are the same. `canonical` writes the one form that
is stored with sorted sets and given to the C tools, so that two keys are the same if their texts are. Flags stand at
the end, in the order of `FLAGS`, but for the `b` of the start. The C tools parse the same language
(`datapath/include/keys/keydef.h`) and refuse with the same sentences.

Example: `canonical("2.1rn,2.0")` is `"2,2nr"`, and `parse("2,1x")` raises KeydefError with the text
`"2,1x" is no key: x is none of b d f g h i M n r V`.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass

FLAGS = "bdfghiMnrV"
MAX_KEYS = 32
# What a flag of one group excludes is any flag of another group.
EXCLUDING = ("n", "g", "h", "M", "Vdi")
# A field or character that no line reaches: larger numbers mean the same.
FAR = 2**32 - 2
QUOTED = 100  # characters of a wrong text that its sentence shows


class KeydefError(ValueError):
    """A text that is no key; the message is the sentence for the user."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key. `end_field` is None at the end of the line; `end_char` is 0 for all of that field."""

    start_field: int
    start_char: int = 1
    end_field: int | None = None
    end_char: int = 0
    flags: frozenset[str] = frozenset()  # other than b
    skips_start: bool = False  # `b` of the start: blanks before it do not count
    skips_end: bool = False

    def __str__(self) -> str:
        """The canonical text."""
        flags = "".join(flag for flag in FLAGS if flag in self.flags)
        blanks = "b" if self.skips_start else ""
        start = _position(self.start_field, self.start_char, 1)
        if self.end_field is None:
            return start + blanks + flags
        end = _position(self.end_field, self.end_char, 0)
        return f"{start}{blanks},{end}{'b' if self.skips_end else ''}{flags}"


def parse(text: str) -> Key:
    """The key that `text` defines. Raises KeydefError."""
    start, comma, end = text.partition(",")
    start_field, start_char, start_flags = _read(text, start, 1, "it does not begin with the number of a field")
    if not comma:
        end_field, end_char, end_flags = None, 0, ""
    else:
        end_field, end_char, end_flags = _read(text, end, 0, "no number of a field follows the comma")
    flags = frozenset(start_flags + end_flags) - {"b"}
    if "d" in flags:
        flags -= {"i"}  # what is left by d can be printed
    _check_exclusions(text, flags)
    return Key(start_field, start_char, end_field, end_char, flags, "b" in start_flags, "b" in end_flags)


def canonical(text: str) -> str:
    """The canonical text of a key. Raises KeydefError."""
    return str(parse(text))


def begins(keys: Sequence[str], longer: Sequence[str]) -> bool:
    """Whether `keys` are the first ones of `longer`, as `reduce_by` must be of `sort_by`. Raises KeydefError."""
    return [canonical(key) for key in keys] == [canonical(key) for key in longer[: len(keys)]]


def check_flags(text: str) -> str:
    """Global flags such as `nr`, in canonical order. Raises KeydefError."""
    _check_known(text, text, "are no flags")
    flags = frozenset(text)
    _check_exclusions(text, flags, "are no flags")
    return "".join(flag for flag in FLAGS if flag in flags)


def _position(field: int, char: int, usual: int) -> str:
    return str(field) if char == usual else f"{field}.{char}"


def _read(text: str, part: str, least: int, missing: str) -> tuple[int, int, str]:
    """The field, character and flags of one position; `least` is the smallest character, which is the default."""
    field, rest = _number(text, part, missing)
    if field == 0:
        raise _refusal(text, "fields count from 1")
    char = least
    if rest.startswith("."):
        char, rest = _number(text, rest[1:], "no number follows the point")
        if char < least:
            raise _refusal(text, "characters count from 1")
    if "," in rest:
        _check_known(text, rest.partition(",")[0])
        raise _refusal(text, "a second comma")
    _check_known(text, rest)
    return field, char, rest


def _number(text: str, part: str, missing: str) -> tuple[int, str]:
    """The number that `part` begins with, at most FAR, and the rest."""
    rest = part.lstrip(string.digits)
    digits = part[: len(part) - len(rest)]
    significant = digits.lstrip("0")
    if not digits:
        raise _refusal(text, missing)
    return (FAR if len(significant) > len(str(FAR)) else min(int(significant or "0"), FAR)), rest


def _check_known(text: str, flags: str, wrong: str = "is no key") -> None:
    for letter in flags:
        if letter not in FLAGS:
            shown = letter if " " <= letter < "\x7f" else "?"
            raise _refusal(text, f"{shown} is none of {' '.join(FLAGS)}", wrong)


def _check_exclusions(text: str, flags: frozenset[str], wrong: str = "is no key") -> None:
    found = [next(flag for flag in FLAGS if flag in group and flag in flags) for group in EXCLUDING if flags & {*group}]
    if len(found) > 1:
        raise _refusal(text, f"{found[0]} and {found[1]} exclude each other", wrong)


def _refusal(text: str, why: str, wrong: str = "is no key") -> KeydefError:
    return KeydefError(f'"{text[:QUOTED]}" {wrong}: {why}')
