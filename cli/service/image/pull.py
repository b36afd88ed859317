"""remora image pull: make an image of one that a registry has."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from cli.client.problem import Problem
from cli.frame import Plain
from cli.service.account_options import with_state_dir
from cli.service.image.common import images, max_size_option


@click.command("pull", cls=Plain)
@click.argument("reference")
@click.argument("name", metavar="VERSION")
@click.option("--user", metavar="NAME", help="Log in to the registry; the password is the first line of the input.")
@max_size_option
@click.option("--insecure", is_flag=True, help="Plain HTTP, to a registry on this machine.")
def command(reference: str, name: str, user: str | None, insecure: bool, max_size: int, state_dir: Path | None) -> None:
    """Make an image of what a registry calls REFERENCE, and call it VERSION.

    REFERENCE is [HOST[:PORT]/]NAME[:TAG][@sha256:DIGEST]. Of an image for many kinds of machines, this one's is taken.

    \b
    Examples:
      remora image pull python:3.13 17.0.0
      remora image pull registry.example/team/tools:1.2 17.1.0 --user jill < password
    """
    from scheduler.providers.images.registry import pull
    from scheduler.providers.images.sources import Allowance

    login = (user, password()) if user else None
    with images(state_dir) as store:
        image = store.add(
            name, reference, lambda target: pull(reference, target, insecure, login, Allowance(max_size << 30))
        )
    print(f"{name}\t{image.id}")


def password() -> str:
    """Raises Problem."""
    line = sys.stdin.readline().rstrip("\n")
    if not line:
        raise Problem("there is no password on standard input")
    return line


with_state_dir(command)
