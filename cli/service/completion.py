"""remora completion: scripts for the shell."""

from __future__ import annotations

import click

from cli.completion.scripts import SHELLS, script
from cli.frame import Plain
from cli.main import PROGRAMS


@click.command("completion", cls=Plain)
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> None:
    """Print what makes a shell complete options, sub-commands, job ids and names of objects.

    \b
    Examples:
      eval "$(remora completion bash)"                 in ~/.bashrc
      remora completion fish > ~/.config/fish/conf.d/remora.fish
    """
    click.echo(script(shell, list(PROGRAMS)))
