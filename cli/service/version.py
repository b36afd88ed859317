"""remora version: print the version."""

from __future__ import annotations

import click

from cli.frame import Plain
from cli.version import SUMMARY, VERSION


@click.command("version", cls=Plain)
def command() -> None:
    """Print the version."""
    click.echo(f"remora {VERSION}\n{SUMMARY}")
