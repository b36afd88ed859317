"""remora image ls: list the images."""

from __future__ import annotations

from pathlib import Path

import click

from cli import text
from cli.frame import Plain
from cli.service.account_options import json_option, with_state_dir
from cli.service.image.common import images


@click.command("ls", cls=Plain)
def command(as_json: bool, state_dir: Path | None) -> None:
    """List the images: id, versions, when they were made, and of what.

    One without a version is still in use, and goes with the last instance.

    \b
    Examples:
      remora image ls
      remora image ls --json | jq -r .versions[]
    """
    with images(state_dir, changed=False) as store:
        found = store.list()
    for image in found:
        if as_json:
            told = {"id": image.id, "versions": image.versions, "created": image.created, "source": image.source}
            print(text.compact(told))
        else:
            print(f"{image.id}\t{' '.join(image.versions) or '-'}\t{image.created}\t{text.escape(image.source)}")


with_state_dir(command, json_option())
