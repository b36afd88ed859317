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

A pre-release (`13.1.0-rc.1`) lies just before its release. There is no such image, so its
interval is empty, and only where it lies matters: `>=13.1.0-rc.1` begins with 13.1.0. A
build (`+5`) means nothing.

Example: `~13.3.4 || >=16` is `[13.3.4, 13.4.0)` or `[16.0.0, …)`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

Version = tuple[int, int, int]
Interval = tuple[Version, Version]  # start included, end excluded

START: Version = (0, 0, 0)
END: Version = (1 << 62, 0, 0)
NUMBER = r"(?:0|[1-9][0-9]*)"
PART = rf"(?:[xX*]|{NUMBER})"
LABEL = rf"(?:{NUMBER}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
PRERELEASE = rf"(?:-{LABEL}(?:\.{LABEL})*)"
BUILD = r"(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)"
PREFIX = r"[v=\s]*"
PARTIAL = rf"{PREFIX}{PART}(?:\.{PART}(?:\.{PART}{PRERELEASE}?{BUILD}?)?)?"
OPERATOR = r">=|<=|>|<|~>?|\^|="
COMPARATOR = re.compile(rf"(?P<op>{OPERATOR})?(?P<version>{PARTIAL})\Z")
HYPHEN = re.compile(rf"\s*({PARTIAL})\s+-\s+({PARTIAL})\s*\Z")
GLUE = re.compile(rf"({OPERATOR})\s+")
# Versions end where a double can no longer tell two numbers apart.
LARGEST = (1 << 53) - 1


def parse_version(text: str) -> Version:
    """`"13.1.0"` as `(13, 1, 0)`. Raises ValueError."""
    major, minor, patch = text.split(".")
    return int(major), int(minor), int(patch)


def parse_range(text: str) -> list[list[Interval]]:
    """A union of intersections of intervals. Raises ValueError if `text` is no range."""
    return [_alternative(part) for part in text.split("||")]


def satisfies(version: Version, ranges: list[list[Interval]]) -> bool:
    return any(all(start <= version < end for start, end in alternative) for alternative in ranges)


def newest(versions: Iterable[str], text: str) -> str | None:
    """The newest of `versions` that the range `text` allows, or None. Raises ValueError if it is no range."""
    ranges = parse_range(text)
    allowed = [version for version in versions if satisfies(parse_version(version), ranges)]
    return max(allowed, key=parse_version, default=None)


def _alternative(text: str) -> list[Interval]:
    if match := HYPHEN.match(text):
        return [(_interval(match[1])[0], _interval(match[2])[1])]
    words = GLUE.sub(r"\1", text).split()  # `>= 13.1` is one word
    return [_comparator(word) for word in words] or [(START, END)]


def _comparator(word: str) -> Interval:
    match = COMPARATOR.match(word)
    if not match:
        raise ValueError(f"not a version range: {word!r}")
    start, end = _interval(match["version"])
    numbers = _numbers(match["version"])
    match match["op"]:
        case ">=":
            return start, END
        case "<":
            return START, start
        case ">":
            return end, END
        case "<=":
            return START, end
        case "~" | "~>":
            return start, _after(numbers[:2])
        case "^":
            return start, _caret_end(numbers)
        case _:
            return start, end


def _numbers(text: str) -> list[int]:
    """The leading numbers of a partial version: `13.x.2` has only 13. Raises ValueError for one beyond all measure."""
    numbers: list[int] = []
    for part in _release(text).split("."):
        if not part.isdigit():
            break
        number = int(part) if len(part) <= len(str(LARGEST)) else LARGEST + 1
        if number > LARGEST:
            raise ValueError(f"not a version: {text!r}")
        numbers.append(number)
    return numbers


def _release(text: str) -> str:
    """A partial version without what stands before and after its numbers."""
    return re.split(r"[-+]", re.sub(PREFIX, "", text, count=1))[0]


def _interval(text: str) -> Interval:
    numbers = _numbers(text)
    major, minor, patch = [*numbers, 0, 0, 0][:3]
    start = (major, minor, patch)
    prerelease = len(numbers) == 3 and "-" in text.partition("+")[0]
    return start, start if prerelease else _after(numbers)


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
