"""remora image: the root file systems that containers can have."""

from __future__ import annotations

from cli.frame import Lazy

command = Lazy(
    "image",
    commands_in="cli.service.image",
    modules={
        "build-default": "build_default",
        "import": "import_",
        "ls": "ls",
        "pull": "pull",
        "rm": "rm",
        "tag": "tag",
    },
    help="""Images for instances that are containers (remora up --provider containerd).

    A job asks for a range of versions ("image": ">=16.1.0", or mjob create --image) and gets the newest that is here.
    The machine itself stands for the published versions that were not imported. An image needs bash, nothing else.

    \b
    Examples:
      remora image build-default 16.1.0
      remora image import python.tar 17.0.0
      remora image pull python:3.13 17.1.0
      remora image ls

    Exit status: 0, or 1 if something is wrong.
    """,
)
