"""The count of vague pronouns in comments and docstrings, a part of `./dev lint`.

A sentence about "whoever" or "nobody" hides which component acts: the supervisor, the agent, a reader, another user.
So each room in `ROOMS` may have at most `LIMIT` such words per 10,000 lines of its code; the other rooms are not
counted yet. Words in code and in texts for users do not count.

Example: a room of 5,900 lines may have 11. With 12 the check prints the 12 places and fails.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
ROOMS = (
    "bench",
    "cli",
    "datapath",
    "jobspecs",
    "scheduler/agent",
    "scheduler/common",
    "scheduler/engine",
    "scheduler/gateway",
    "scheduler/http",
    "scheduler/model",
    "scheduler/nomad",
    "scheduler/objects",
    "scheduler/providers",
    "scheduler/records",
    "scheduler/service",
    "scheduler/supervisor",
    "scheduler/tls",
)
LIMIT = 20  # per 10,000 lines
PRONOUN = re.compile(r"\b(?:whoever|nobody|somebody|everybody|anybody|whom)\b", re.IGNORECASE)
# A string or character, which may contain what looks like a comment, or a comment (group 1).
C_TOKEN = re.compile(r""""(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|(/\*.*?\*/|//[^\n]*)""", re.DOTALL)


def python_prose(source: str) -> Iterator[tuple[int, str]]:
    """The comments and docstrings of a Python module: `(number of its first line, text)`."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, DOCUMENTED) and (text := ast.get_docstring(node, clean=False)) is not None:
            yield node.body[0].lineno, text


def c_prose(source: str) -> Iterator[tuple[int, str]]:
    """The comments of a C file: `(number of its first line, text)`."""
    for token in C_TOKEN.finditer(source):
        if token[1] is not None:
            yield source.count("\n", 0, token.start()) + 1, token[1]


def pronouns(path: Path) -> list[str]:
    """The places of vague pronouns in a file, as `PATH:LINE: WORD`."""
    source = path.read_text()
    prose = python_prose(source) if path.suffix == ".py" else c_prose(source)
    return [
        f"{path}:{line + text.count(chr(10), 0, found.start())}: {found[0]}"
        for line, text in prose
        for found in PRONOUN.finditer(text)
    ]


def check_room(room: Path) -> list[str]:
    """The complaints about a room; none if it is within the limit. A room without code is an error, too."""
    files = sorted(path for path in room.rglob("*") if path.suffix in {".py", ".c", ".h"})
    if not files:
        return [f"pronouns: {room} has no code: correct ROOMS"]
    lines = sum(path.read_text().count("\n") for path in files)
    places = [place for path in files for place in pronouns(path)]
    if len(places) * 10_000 <= LIMIT * lines:
        return []
    return [
        *places,
        f"pronouns: {room} has {len(places)} in {lines} lines, more than {LIMIT} per 10,000: name the subject",
    ]


def main(root: Path = ROOT, rooms: Sequence[str] = ROOMS) -> int:
    wrong = [line for room in rooms for line in check_room(root / room)]
    print("\n".join(wrong or [f"pronouns: {len(rooms)} rooms within the limit"]), file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
