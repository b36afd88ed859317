"""What the commands of `remora cluster` share: options, and talking to Nomad."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cli.client.problem import Problem
from cli.service.cluster import jobfiles

if TYPE_CHECKING:
    from scheduler.nomad.api import NomadApi

T = TypeVar("T")
LEAST_VERSION = (1, 7, 0)


def choosing(function: Callable[..., Any]) -> Callable[..., Any]:
    """Options that say what is chosen; the function gets `chosen` of them by `chosen_of`."""
    options = [
        click.option("--var-file", "files", metavar="FILE", multiple=True, type=click.Path(path_type=Path),
                     help="Variables that differ from what holds by itself. Repeatable."),
        click.option("--var", "words", metavar="NAME=VALUE", multiple=True, help="One variable. Repeatable."),
        click.option("--jobs", "directory", metavar="DIR", type=click.Path(path_type=Path),
                     help="Job files of your own, made by render --dir."),
    ]  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


def wanted_jobs(names: tuple[str, ...]) -> list[str]:
    """The jobs that a command is about: those named, or all. Raises `Problem`."""
    for name in names:
        if name not in jobfiles.JOBS:
            raise Problem(f"there is no job {name!r}: there are {', '.join(jobfiles.JOBS)}")
    return [job for job in jobfiles.JOBS if not names or job in names]


def ask_nomad(work: Callable[[NomadApi], Awaitable[T]], namespace: str | None = None) -> T:
    """Run `work` with Nomad as the environment names it, in this namespace of it. Raises `Problem`."""
    from dataclasses import replace

    from scheduler.nomad.api import Access, NomadApi, NomadError

    async def run() -> T:
        access = Access.from_environment()
        api = NomadApi(replace(access, namespace=namespace) if namespace else access)
        try:
            return await work(api)
        finally:
            await api.close()

    try:
        return asyncio.run(run())
    except NomadError as error:
        raise Problem(str(error)) from None


async def check_version(api: NomadApi) -> None:
    """Raises `Problem` if this Nomad is too old."""
    version = await api.version()
    if version < LEAST_VERSION:
        told = ".".join(map(str, version))
        raise Problem(f"this Nomad is {told}; it takes {'.'.join(map(str, LEAST_VERSION))} or newer")
