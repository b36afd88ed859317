"""Shell completion: names of the service as candidates, and scripts for the shells (`scripts`).

click knows how a shell asks (through `_MLS_COMPLETE` in the environment) and how options
complete; `remote_path` adds what it cannot know, the objects below `~~/…`.

Names are chosen by strangers, and a shell runs what is on its command line. So a candidate is never put there as it
is: zsh (`compadd` without `-Q`) and fish quote it themselves, for bash `quoted` does, and no word of the reply is
expanded on the way there. A name with control characters is no candidate.

Example: of `$(reboot)` TAB makes `\\$\\(reboot\\)` in bash.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import click

from scheduler.common.display import is_harmless

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

MAX_CANDIDATES = 256


def one_of(values: Iterable[object]) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """Completes the value of an option that is one of a few."""

    def complete(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
        return [str(value) for value in values if str(value).startswith(incomplete)]

    return complete


def remote_path(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Objects and directories that begin as the word does. No service, no candidates."""
    from click.shell_completion import CompletionItem

    from cli.client import objects, paths
    from cli.client.problem import Problem
    from cli.frame import session

    if not paths.is_full(incomplete):
        return [CompletionItem("~~/stor/")] if not incomplete else []
    typed, _, prefix = incomplete.rpartition("/")
    try:
        with session(context) as client:
            query = {"limit": str(MAX_CANDIDATES), **({"marker": prefix} if prefix else {})}
            found = objects.page(client, paths.expand(typed or "/", client.settings.home), query)
            names = [entry["name"] + ("/" if entry["type"] == "directory" else "") for entry in found]
    except Problem:
        return []
    return [CompletionItem(f"{typed}/{name}") for name in names if name.startswith(prefix) and can_be_typed(name)]


def local_or_remote_path(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem[str]]:
    """As `remote_path`, where an operand may also be a file of this machine, which the shell knows best."""
    from click.shell_completion import CompletionItem

    if incomplete.startswith(("~~", "/")) and (found := remote_path(context, parameter, incomplete)):
        return found
    return [CompletionItem(incomplete, type="file")]


def can_be_typed(name: str) -> bool:
    return all(map(is_harmless, name))
