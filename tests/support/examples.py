"""The examples that the project prints for its users, as commands to run.

They are taken from where users read them: the examples of each page of the manual (which are those of `--help`), and
the indented or fenced blocks of README. Nothing is listed here, so that a new example is found by itself.

- A line of a manual page is a command; what stands three blanks behind it explains it; a backslash at its end joins
  the next line.
- A block of README with a line that begins with `$ ` shows commands and what they print, another one commands alone.

Example: `mls -l ~~/stor/logs         with sizes and times` on page mls is `Example("mls", "mls -l ~~/stor/logs")`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cli import manual

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
FENCE = re.compile(r"^```\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Example:
    """A command of a page of the manual."""

    page: str
    command: str

    def __str__(self) -> str:
        return f"{self.page}: {self.command}"


@dataclass(frozen=True)
class Shown:
    """A command, and what a document says that it prints."""

    command: str
    output: str


def of_manual() -> list[Example]:
    """All examples of all pages."""
    return [Example(page.name, command) for page in manual.pages() for command in commands(page.examples)]


def commands(lines: list[str]) -> Iterator[str]:
    """Lines of examples as commands, without explanations."""
    whole = ""
    for line in lines:
        whole += re.split(r" {3,}", line.strip())[0]
        if whole.endswith("\\"):
            whole = whole.removesuffix("\\")
        elif whole:
            yield whole
            whole = ""


def blocks(document: Path = README) -> list[str]:
    """The fenced blocks of a document, in order."""
    return FENCE.findall(document.read_text())


def shown(block: str) -> list[Shown]:
    """The commands of a block behind `$ `, each with what follows it."""
    found = []
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        match = re.match(r"((?:.*\\\n)*.*)\n?", part)
        assert match
        found.append(Shown(match[1], part[match.end() :]))
    return found


def pattern(output: str) -> re.Pattern[str]:
    """What matches an output: ids and numbers of processes are others each time, and `…` stands for anything."""
    escaped = re.escape(output)
    some = re.sub(r"[0-9a-f]{8}\\-[0-9a-f]{4}\\-[0-9a-f]{4}\\-[0-9a-f]{4}\\-[0-9a-f]{12}", "[0-9a-f-]{36}", escaped)
    some = re.sub(r"[0-9a-f]{8}\\-…", "[0-9a-f-]{36}", some)
    return re.compile(some.replace("…", "[^ ]*"))
