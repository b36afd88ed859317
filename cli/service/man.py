"""remora man: manual pages of all commands."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from cli.client.problem import Problem
from cli.frame import Plain
from scheduler.common import child


@click.command("man", cls=Plain)
@click.option("--dir", "directory", metavar="DIR", type=click.Path(path_type=Path),
              help="Write the pages into DIR/man1, all of them unless some are named.")  # fmt: skip
@click.argument("named", metavar="[command...]", nargs=-1)
def command(named: Sequence[str], directory: Path | None) -> None:
    """Show the manual page of a command; without one, list the pages there are.

    The pages are made from what --help says, and hold for commands, their sub-commands and the tools that tasks
    have. Without a terminal the source of the page is printed.

    \b
    Examples:
      remora man mjob create
      remora man --dir ~/man && man -M ~/man mjob-create
      remora man msplit | mandoc -T pdf > msplit.pdf

    Exit status: 0, or 1 if there is no such page.
    """
    from cli.manual import pages
    from cli.roff import typeset

    known = {page.name: page for page in pages()}
    chosen = [known[name] for name in page_names(named, known)]
    if directory:
        target = directory / "man1"
        target.mkdir(parents=True, exist_ok=True)
        for page in chosen or known.values():
            (target / f"{page.name}.1").write_text(typeset(page))
    elif chosen:
        show("".join(typeset(page) for page in chosen))
    else:
        width = max(map(len, known))
        print("\n".join(f"{page.name:<{width}}  {page.summary}" for page in known.values()))


def page_names(words: Sequence[str], known: object) -> list[str]:
    """The pages that words name: `mls mjob create` are mls and mjob-create. Raises `Problem`."""
    assert isinstance(known, dict)
    found: list[str] = []
    for word in words:
        if found and f"{found[-1]}-{word}" in known:
            found[-1] += f"-{word}"
        elif word in known:
            found.append(word)
        else:
            raise Problem(f"there is no page {word} (remora man lists them)")
    return found


def show(source: str) -> None:
    """Show a page with man, or print its source if the output is no terminal or there is no man."""
    if sys.stdout.isatty() and child.find("man"):
        child.run(["man", "-l", "-"], input=source.encode(), check=False)
    else:
        print(source, end="")
