"""The manual: what `--help` says, as pages for man(1). No text is written for it a second time.

Every program explains itself in the same few forms, whether it is a click command or a C program
that runs within a task: a usage, paragraphs, examples, an exit status, a list of options. So a page
is a help text that has been taken apart by these forms, and `roff` puts it together again.

- A command's help is its docstring. Options and sub-commands are asked of click.
- A tool's help is what it prints for `--help`: the program is run, as it ships with the package.

What all commands have in common (variables, exit codes) comes from where it is decided:
`settings.VARIABLES`, `frame.EXIT_CODES`.

Example: the block `Exit status: 0, or 1 if …` of a docstring is the section EXIT STATUS, and a block
that begins with `Examples:` is the section EXAMPLES, line by line.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module

import click

from cli.client.settings import VARIABLES
from cli.frame import EXIT_CODES, Command
from cli.main import PROGRAMS
from datapath import libexec
from scheduler.common import child

OWNER = {"MANTA_USER": "The account whose job this is: what ~~ stands for."}
OUTPUTS = {"MANTA_OUTPUT_BASE": "Set in every task: how the names of its outputs begin."}
# The tools of tasks, and what they read of the environment.
TOOLS: Mapping[str, Mapping[str, str]] = {
    "mpipe": OWNER | OUTPUTS,
    "mcat": OWNER,
    "mtee": OWNER,
    "msplit": OUTPUTS,
    "maggr": {},
    "msort": {"TMPDIR": "Where pieces lie that do not fit into memory, without -T."},
    "mpartition": {},
    "mmerge": {},
}
AS_IT_IS = "\b"  # how a docstring marks a block that must not be filled
ROW = re.compile(r"  (\S+(?: \S+)*)(?:\s{2,}(.*))?")
Block = str | list[str] | dict[str, str]  # a paragraph, lines as they are, terms with explanations


@dataclass
class Page:
    """A page of section 1. `usage` has one entry a form of the command."""

    name: str
    summary: str = ""
    usage: list[str] = field(default_factory=list)
    body: list[Block] = field(default_factory=list)
    commands: dict[str, str] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)
    examples: list[str] = field(default_factory=list)
    environment: Mapping[str, str] = field(default_factory=dict)
    status: str = ""
    see: list[str] = field(default_factory=list)


def pages() -> Iterator[Page]:
    """All pages: programs, their sub-commands, tools."""
    for program, module in PROGRAMS.items():
        loaded = import_module(module)
        context = click.Context(loaded.command, info_name=program, **loaded.command.context_settings)
        yield from of_command(context, summary_of(loaded.__doc__ or ""))
    for tool in TOOLS:
        done = child.run([libexec(tool), "--help"], capture_output=True, text=True, check=True)
        yield of_tool(tool, done.stdout)


def summary_of(docstring: str) -> str:
    """`mls: list directories.` says `list directories`."""
    return docstring.partition("\n")[0].partition(": ")[2].rstrip(".")


# Commands.


def of_command(context: click.Context, summary: str) -> Iterator[Page]:
    """The page of a command, and those of its sub-commands."""
    command, path = context.command, context.command_path
    page = Page(path.replace(" ", "-"), summary, [" ".join([path, *command.collect_usage_pieces(context)])])
    take_apart(page, inspect.cleandoc(command.help or ""))
    options = (parameter for parameter in command.get_params(context) if isinstance(parameter, click.Option))
    records = (option.get_help_record(context) for option in options)
    page.options = dict(record for record in records if record)
    if isinstance(command, Command):
        page.environment = VARIABLES
    elif any(parameter.name == "state_dir" for parameter in command.params):
        page.environment = {name: VARIABLES[name] for name in ("REMORA_STATE_DIR",)}
    page.status = f"{page.status or 'As its sub-commands have it.'} {EXIT_CODES}"
    page.see = relatives(context)
    below = list(sub_commands(context))
    page.commands = {sub.command_path: sub.command.get_short_help_str(200) for sub in below}
    yield page
    for sub in below:
        yield from of_command(sub, page.commands[sub.command_path])


def sub_commands(context: click.Context) -> Iterator[click.Context]:
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            command = context.command.get_command(context, name)
            assert command is not None
            yield click.Context(command, info_name=name, parent=context, **command.context_settings)


def relatives(context: click.Context) -> list[str]:
    """What a reader may want next: the program of a sub-command, the other programs of a program, its parts."""
    parts = [sub.command_path.replace(" ", "-") for sub in sub_commands(context)]
    if context.parent is not None:
        return [*parts, context.parent.command_path.replace(" ", "-")]
    return [*parts, *(program for program in PROGRAMS if program != context.info_name)]


# Tools.


def of_tool(name: str, text: str) -> Page:
    """The page of a C program, from what it prints for `--help`."""
    page = Page(name, environment=TOOLS[name], see=[*(tool for tool in TOOLS if tool != name), "mjob-create"])
    usage, _, rest = text.partition("\n\n")
    for line in usage.removeprefix("usage: ").splitlines():
        if line.split()[0] == name:
            page.usage.append(line.strip())
        else:
            page.usage[-1] += f" {line.strip()}"
    take_apart(page, rest)
    first = re.split("[.,:]", str(page.body[0]))[0]
    page.summary = first[:1].lower() + first[1:]
    return page


# Forms.


def take_apart(page: Page, text: str) -> None:
    """Put each block of a help text where it belongs."""
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        lines = block.splitlines()
        as_it_is = lines[0] == AS_IT_IS
        if as_it_is:
            del lines[0]
        title, _, said = lines[0].partition(": ")
        rest = textwrap.dedent("\n".join(lines[1:])).splitlines()
        if title in ("Example", "Example:", "Examples:"):
            page.examples += [said] if said else rest
        elif title == "Exit status":
            page.status = joined(lines).partition(": ")[2]
        elif all(line.startswith("  ") for line in lines):
            page.options = rows(lines)
        elif title.endswith(":") and lines[1:]:
            page.body += [title, rows(lines[1:])]
        else:
            page.body.append(lines if as_it_is else joined(lines))


def joined(lines: list[str]) -> str:
    return " ".join(line.strip() for line in lines)


def rows(lines: list[str]) -> dict[str, str]:
    """A two-column table: terms two blanks from the margin, explanations behind them and below."""
    found: dict[str, str] = {}
    last = ""
    for line in lines:
        if match := ROW.fullmatch(line):
            last = match[1]
            found[last] = match[2] or ""
        else:
            found[last] = f"{found[last]} {line.strip()}".strip()
    return found
