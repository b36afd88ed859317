"""remora image tag: give an image one more version."""

from __future__ import annotations

from pathlib import Path

import click

from cli.frame import Plain
from cli.service.account_options import with_state_dir
from cli.service.image.common import images


@click.command("tag", cls=Plain)
@click.argument("name", metavar="VERSION")
@click.argument("new")
def command(name: str, new: str, state_dir: Path | None) -> None:
    """Let the version NEW mean the image that VERSION means.

    \b
    Example:
      remora image tag 16.1.0 16.1.1
    """
    with images(state_dir) as store:
        store.tag(name, new)


with_state_dir(command)
