"""remora image build-default: Debian with the usual tools, as an image."""

from __future__ import annotations

from pathlib import Path

import click

from cli.frame import Plain
from cli.service.account_options import with_state_dir
from cli.service.image.common import images


@click.command("build-default", cls=Plain)
@click.argument("name", metavar="[VERSION]", required=False)
@click.option("--suite", metavar="NAME", help="Debian release. [default: bookworm]")
@click.option("--mirror", metavar="URL", help="Where its packages are. [default: debootstrap's own]")
def command(name: str | None, suite: str | None, mirror: str | None, state_dir: Path | None) -> None:
    """Make an image of Debian's smallest system with the usual tools, and call it VERSION (the newest published one).

    It takes a minute, and needs debootstrap and a Debian mirror.

    \b
    Examples:
      remora image build-default
      remora image build-default 17.0.0 --suite trixie
    """
    from scheduler.model.tiers import IMAGES
    from scheduler.providers.images import sources

    chosen, release = name or IMAGES[-1], suite or sources.SUITE
    with images(state_dir) as store:
        source = f"{release} from {mirror}" if mirror else release
        image = store.add(chosen, source, lambda target: sources.build_default(target, release, mirror))
    print(f"{chosen}\t{image.id}")


with_state_dir(command)
