"""Version ranges as a phase's `image` gives them: npm-style, over `major.minor.patch`.

Every form is an interval or a union of intersections of intervals. A *partial* version
(`13`, `13.1`, `13.1.*`) stands for all versions that begin so: `[13.1.0, 13.2.0)`. The
operators widen or cut that interval:

    =p  p          the interval of p
    >=p            from its start          <p    below its start
    >p             from its end            <=p   below its end
    ~p             p, patch free           ^p    p, all below the leftmost non-zero part free
    p - q          from start of p to end of q

Blanks mean "and", `||` means "or", an empty range and `*` mean any version.

A pre-release (`13.1.0-rc.1`) lies just before its release. No image has such a version, so its
interval is empty and only its position matters: `>=13.1.0-rc.1` begins with 13.1.0. A build (`+5`)
is ignored.

Example: `~13.3.4 || >=16` is `[13.3.4, 13.4.0)` or `[16.0.0, …)`.

Ranges are parsed before the caller is authenticated, so parsing takes linear time: a text is read once from left to
right, split at bars, then at blanks, then at dots, and each part is parsed alone. Regular expressions could
backtrack.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

Version = tuple[int, int, int]
Interval = tuple[Version, Version]  # start included, end excluded

START: Version = (0, 0, 0)
END: Version = (1 << 62, 0, 0)
# The limit of npm: a longer text is no range. Numbers end where a double can no longer tell two of them apart.
MAX_LENGTH = 256
LARGEST = (1 << 53) - 1
OPERATORS = (">=", "<=", "~>", ">", "<", "~", "^", "=")
ENDS_OPERATOR = tuple("><~^=")
PREFIX = "v="
WILDCARDS = frozenset("xX*")
IDENTIFIER = frozenset("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-")


class Partial(NamedTuple):
    """A version of which only the leading `numbers` are given: `13.x.2` has only 13."""

    numbers: list[int]
    prerelease: bool


def parse_version(text: str) -> Version:
    """`"13.1.0"` as `(13, 1, 0)`. Raises ValueError."""
    major, minor, patch = text.split(".")
    return int(major), int(minor), int(patch)


def parse_range(text: str) -> list[list[Interval]]:
    """A union of intersections of intervals. Raises ValueError if `text` is no range."""
    if len(text) > MAX_LENGTH:
        raise ValueError(f"a version range has at most {MAX_LENGTH} characters")
    return [_alternative(part.split()) for part in text.split("||")]


def satisfies(version: Version, ranges: list[list[Interval]]) -> bool:
    return any(all(start <= version < end for start, end in alternative) for alternative in ranges)


def newest(versions: Iterable[str], text: str) -> str | None:
    """The newest of `versions` that the range `text` allows, or None. Raises ValueError if it is no range."""
    ranges = parse_range(text)
    allowed = [version for version in versions if satisfies(parse_version(version), ranges)]
    return max(allowed, key=parse_version, default=None)


def _alternative(words: list[str]) -> list[Interval]:
    if words.count("-") == 1:
        dash = words.index("-")
        return [(_start(_hyphenated(words[:dash])), _end(_hyphenated(words[dash + 1 :])))]
    return [_comparator(word) for word in _glued(words)] or [(START, END)]


def _hyphenated(words: list[str]) -> Partial:
    """One side of a hyphen range. A prefix of the version may be separated by a blank: `v 1.2`."""
    *before, version = words or [""]
    if any(word.strip(PREFIX) for word in before):
        raise ValueError(f"not a version: {' '.join(words)!r}")
    return _partial(version)


def _glued(words: list[str]) -> list[str]:
    """The words with each operator joined to the version after it: `>= 13.1` becomes `>=13.1`."""
    glued: list[str] = []
    open_ended = False
    for word in words:
        if open_ended:
            glued[-1] += word
        else:
            glued.append(word)
        open_ended = word.endswith(ENDS_OPERATOR)
    return glued


def _comparator(word: str) -> Interval:
    operator = next((known for known in OPERATORS if word.startswith(known)), "")
    partial = _partial(word.removeprefix(operator))
    match operator:
        case ">=":
            return _start(partial), END
        case "<":
            return START, _start(partial)
        case ">":
            return _end(partial), END
        case "<=":
            return START, _end(partial)
        case "~" | "~>":
            return _start(partial), _after(partial.numbers[:2])
        case "^":
            return _start(partial), _caret_end(partial.numbers)
        case _:
            return _start(partial), _end(partial)


def _partial(text: str) -> Partial:
    """Parse a partial version: `v13.1.0-rc.1+5`, `13.x`. Raises ValueError for any other text."""
    version, plus, build = text.lstrip(PREFIX).partition("+")
    release, dash, prerelease = version.partition("-")
    parts = release.split(".")
    valid = (
        len(parts) <= 3
        and (len(parts) == 3 or not (plus or dash))
        and all(part in WILDCARDS or _is_number(part) for part in parts)
        and (not dash or all(_is_label(label) for label in prerelease.split(".")))
        and (not plus or all(_is_identifier(label) for label in build.split(".")))
    )
    if not valid:
        raise ValueError(f"not a version range: {text!r}")
    numbers: list[int] = []
    for part in parts:
        if part in WILDCARDS:
            break
        if len(part) > len(str(LARGEST)) or int(part) > LARGEST:
            raise ValueError(f"not a version: {text!r}")
        numbers.append(int(part))
    return Partial(numbers, prerelease=len(numbers) == 3 and bool(dash))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and (text == "0" or text[0] != "0")


def _is_identifier(text: str) -> bool:
    return bool(text) and IDENTIFIER.issuperset(text)


def _is_label(text: str) -> bool:
    """Whether a text is one identifier of a pre-release, or a number."""
    return _is_identifier(text) and (not text.isdigit() or _is_number(text))


def _start(partial: Partial) -> Version:
    major, minor, patch = [*partial.numbers, 0, 0, 0][:3]
    return major, minor, patch


def _end(partial: Partial) -> Version:
    return _start(partial) if partial.prerelease else _after(partial.numbers)


def _after(numbers: list[int]) -> Version:
    """The first version that does not begin with `numbers`."""
    match numbers:
        case []:
            return END
        case [major]:
            return major + 1, 0, 0
        case [major, minor]:
            return major, minor + 1, 0
        case _:
            return numbers[0], numbers[1], numbers[2] + 1


def _caret_end(numbers: list[int]) -> Version:
    for index, number in enumerate(numbers):
        if number:
            return _after(numbers[: index + 1])
    return _after(numbers)
