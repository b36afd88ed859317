"""remora image import: make an image of a directory or an archive."""

from __future__ import annotations

from pathlib import Path

import click

from cli.frame import Plain
from cli.service.account_options import with_state_dir
from cli.service.image.common import images, max_size_option


@click.command("import", cls=Plain)
@max_size_option
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("name", metavar="VERSION")
def command(source: Path, name: str, max_size: int, state_dir: Path | None) -> None:
    """Make an image of SOURCE, and call it VERSION.

    SOURCE is a directory, an archive of one (tar, whatever its compression), or an OCI archive, as `docker save` and
    `skopeo copy` write them. A version that there is already means the new image from now on; instances that run keep
    theirs.

    \b
    Examples:
      remora image import /srv/roots/bookworm 16.1.0
      docker export $(docker create python:3.13) > python.tar && remora image import python.tar 17.0.0
    """
    from scheduler.providers.images.sources import Allowance, fill_from

    with images(state_dir) as store:
        image = store.add(name, str(source), lambda target: fill_from(source, target, Allowance(max_size << 30)))
    print(f"{name}\t{image.id}")


with_state_dir(command)
