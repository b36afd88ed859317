"""Texts that are safe to print on a terminal: other users' names in them cannot control it.

A terminal obeys more than the control characters that JSON escapes: DEL, C1 (U+009B begins a sequence as ESC [ does),
and characters that change the direction of writing. JSON may write any character as `\\uXXXX` with the same meaning.
So the service and its commands escape these characters, and a reader of JSON sees no difference.

Example: the name `a<U+009B>31m` is `{"name":"a\\u009b31m"}` in a listing, for curl on a terminal too.
"""

from __future__ import annotations

import json

JOINERS = "\u200c\u200d"  # these join letters of Persian and Hindi, and the parts of an emoji


def is_harmless(character: str) -> bool:
    """Whether a terminal shows a character and does nothing else."""
    return character.isprintable() or character in JOINERS


def in_json(line: str) -> str:
    """A line of JSON with the same meaning, in which all characters that a terminal would obey are escaped."""
    return line if line.isprintable() else "".join(map(_in_json, line))


def _in_json(character: str) -> str:
    if is_harmless(character) or "\ud800" <= character <= "\udfff":  # the encoder deals with halves of surrogate pairs
        return character
    return "\\u007f" if character == "\x7f" else json.dumps(character)[1:-1]


def in_text(line: str) -> str:
    """A line for people, in which all characters that a terminal would obey are replaced."""
    return line if line.isprintable() else "".join(c if is_harmless(c) else ascii(c)[1:-1] for c in line)


def compact(record: object) -> str:
    """A JSON value on one line, without blanks."""
    return in_json(_compact(record))


_compact = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode

__all__ = ["compact", "in_json", "in_text", "is_harmless"]
