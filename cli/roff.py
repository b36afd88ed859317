"""Typesetting a manual page: `manual.Page` in, the text that man(1) reads out.

The macros are those of man(7), which both groff and mandoc know. Everything that has to be copied
from a page and pasted into a shell keeps its characters: a minus is no hyphen, a quote not curly.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from cli.version import RELEASED, VERSION

if TYPE_CHECKING:
    from cli.manual import Block, Page

WIDTH = 78
SPECIAL = {"\\": r"\e", "~": r"\(ti", "^": r"\(ha", "`": r"\(ga", "'": r"\(aq", '"': r"\(dq", "-": r"\-"}
WORD_HYPHEN = re.compile(r"(?<=[a-z])\\-(?=[a-z])")  # of prose, where a line may break
OPTION = re.compile(r"(?<![\w-])--?[A-Za-z][\w-]*")


def escape(text: str) -> str:
    """Text that stays what it is."""
    return "".join(SPECIAL.get(c, c if c.isascii() else rf"\[u{ord(c):04X}]") for c in text)


def prose(text: str) -> str:
    """A paragraph: options are bold, hyphens between letters are hyphens."""
    pieces: list[str] = []
    at = 0
    for option in OPTION.finditer(text):
        pieces += [WORD_HYPHEN.sub("-", escape(text[at : option.start()])), rf"\fB{escape(option[0])}\fR"]
        at = option.end()
    whole = "".join([*pieces, WORD_HYPHEN.sub("-", escape(text[at:]))])
    return "\n".join(map(line, textwrap.wrap(whole, WIDTH, break_long_words=False, break_on_hyphens=False)))


def line(text: str) -> str:
    """An input line that is no request, whatever it begins with."""
    return rf"\&{text}" if text.startswith((".", "'")) else text


def term(text: str) -> str:
    r"""`-f, --file FILE` with bold options and slanted values."""
    shown: list[str] = []
    for word in text.split(" "):
        bare = word.rstrip(",")
        kind = "B" if word.startswith("-") or (not shown and not bare.isupper()) else "I"
        shown.append(rf"\f{kind}{escape(bare)}\fR{word[len(bare) :]}")
    return " ".join(shown)


def verbatim(lines: Iterable[str]) -> list[str]:
    return [".EX", *(line(escape(one)) for one in lines), ".EE"]


def table(rows: Mapping[str, str]) -> list[str]:
    """Terms with their explanations."""
    return [text for name, said in rows.items() for text in (".TP", term(name), prose(said) or r"\&")]


def blocks(body: Iterable[Block]) -> list[str]:
    shown: list[str] = []
    for block in body:
        if isinstance(block, str):
            shown += [".PP", prose(block)]
        elif isinstance(block, Mapping):
            shown += table(block)
        else:
            shown += [".PP", ".RS 4", *verbatim(block), ".RE"]
    return shown


def typeset(page: Page) -> str:
    """The source of a page, section 1."""
    name = escape(page.name)
    text = [
        rf'.TH {name.upper()} 1 "{RELEASED}" "Remora {VERSION}" "Remora"',
        ".SH NAME",
        rf"{name} \- {WORD_HYPHEN.sub('-', escape(page.summary))}",
        ".SH SYNOPSIS",
        *[piece for usage in page.usage for piece in synopsis(usage)][1:],  # no space after a heading
        ".SH DESCRIPTION",
        *blocks(page.body)[1:],
    ]
    for title, rows in (("COMMANDS", page.commands), ("OPTIONS", page.options)):
        text += [f".SH {title}", *table(rows)] if rows else []
    if page.examples:
        text += [".SH EXAMPLES", *verbatim(page.examples)]
    if page.environment:
        text += [".SH ENVIRONMENT", *table(page.environment)]
    if page.status:
        text += [".SH EXIT STATUS", prose(page.status)]
    if page.see:
        text += [".SH SEE ALSO", *(rf".BR {escape(other)} (1){comma}" for other, comma in listed(page.see))]
    return "\n".join(text) + "\n"


def synopsis(usage: str) -> list[str]:
    """One form of a command: its name in bold, then the rest."""
    words = usage.split(" ")
    end = next((at for at, word in enumerate(words) if not word.isalnum()), len(words))
    return [".PP", rf".B {escape(' '.join(words[:end]))}", line(escape(" ".join(words[end:]))) or r"\&"]


def listed(names: Iterable[str]) -> list[tuple[str, str]]:
    """Names, each with the comma that follows it."""
    found = list(names)
    return [(name, "," if name != found[-1] else "") for name in found]
