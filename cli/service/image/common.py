"""What the commands about images share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cli.client.problem import Problem
from cli.client.settings import state_directory

if TYPE_CHECKING:
    from scheduler.providers.images.store import ImageStore

Function = TypeVar("Function", bound=Callable[..., Any])


def max_size_option(function: Function) -> Function:
    option = click.option("--max-size", type=click.IntRange(min=1), default=32, show_default=True, metavar="GB",
                          help="The most that the image's files may have in all.")  # fmt: skip
    return option(function)


@contextmanager
def images(state_dir: Path | None, changed: bool = True) -> Iterator[ImageStore]:
    """The images of a service. Raises `Problem`, for what is raised inside too."""
    from scheduler.providers.images.store import ImageError, ImageStore
    from scheduler.service.state import StateError, require_own

    if changed and os.geteuid() != 0:
        raise Problem("images keep the owners of their files, which takes root")
    directory = state_dir or state_directory(os.environ)
    try:
        require_own(directory)
        yield ImageStore(directory.absolute() / "images")
    except (ImageError, StateError) as error:
        raise Problem(str(error)) from None
    except OSError as error:
        raise Problem(f"{error.filename or 'the images'}: {error.strerror}") from None
