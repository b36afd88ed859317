"""Shell completion: scripts for the shells, and names of the service as candidates.

click knows how a shell asks (through `_MLS_COMPLETE` in the environment) and how options
complete; `remote_path` adds what it cannot know, the objects below `~~/…`.
"""

from __future__ import annotations

from collections.abc import Sequence

import click
from click.shell_completion import BashComplete, CompletionItem, get_completion_class

SHELLS = ("bash", "zsh", "fish")
MAX_CANDIDATES = 256


def script(shell: str, programs: Sequence[str]) -> str:
    """What a shell must evaluate so that `programs` complete."""
    kind = get_completion_class(shell)
    assert kind is not None
    return "\n".join(source(kind, program) for program in programs)


def source(kind: type, program: str) -> str:
    complete = kind(click.Command(program), {}, program, f"_{program.upper()}_COMPLETE")
    if isinstance(complete, BashComplete):  # its own `source` starts a bash to ask for the version
        return complete.source_template % complete.source_vars()
    text: str = complete.source()
    return text


def remote_path(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Objects and directories that begin as the word does. No service, no candidates."""
    from cli.client import objects, paths
    from cli.client.problem import Problem
    from cli.frame import session

    if not paths.is_full(incomplete):
        return [CompletionItem("~~/stor/", type="nospace")] if not incomplete else []
    typed, _, prefix = incomplete.rpartition("/")
    try:
        with session(context) as client:
            query = {"limit": str(MAX_CANDIDATES), **({"marker": prefix} if prefix else {})}
            found = objects.page(client, paths.expand(typed or "/", client.settings.home), query)
            names = [entry["name"] + ("/" if entry["type"] == "directory" else "") for entry in found]
    except Problem:
        return []
    return [CompletionItem(f"{typed}/{name}") for name in names if name.startswith(prefix)]
