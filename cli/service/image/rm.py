"""remora image rm: forget versions, and the images that have none any more."""

from __future__ import annotations

from pathlib import Path

import click

from cli.frame import Plain
from cli.service.account_options import with_state_dir
from cli.service.image.common import images


@click.command("rm", cls=Plain)
@click.argument("names", nargs=-1, required=True, metavar="VERSION...")
def command(names: tuple[str, ...], state_dir: Path | None) -> None:
    """Forget versions. An image goes with its last version, or with the last instance that uses it.

    Jobs that can do with another version go on with that; tasks of others fail.

    \b
    Example:
      remora image rm 16.1.0
    """
    with images(state_dir) as store:
        for name in names:
            store.remove(name)


with_state_dir(command)
