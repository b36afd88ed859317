"""What the commands of `remora cluster` share: options, and talking to Nomad."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cli.client.problem import Problem
from cli.frame import fail
from cli.service.cluster import jobfiles

if TYPE_CHECKING:
    from scheduler.nomad.api import NomadApi

T = TypeVar("T")


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


def in_namespace(function: Callable[..., Any]) -> Callable[..., Any]:
    """Options that say in which namespace of Nomad the service is; the function gets `namespace`."""

    def read(context: click.Context, _: click.Parameter, files: tuple[Path, ...]) -> None:
        try:
            if files and context.params.get("namespace") is None:
                context.params["namespace"] = str(jobfiles.choices(files, ())["namespace"])
        except Problem as problem:
            fail(context, problem)

    options = [
        click.option("--namespace", metavar="NAME", is_eager=True,
                     help="Where the service runs. [default: as --var-file says, or $NOMAD_NAMESPACE]"),
        click.option("--var-file", metavar="FILE", multiple=True, type=click.Path(path_type=Path), callback=read,
                     expose_value=False, help="The file that deploy was given."),
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
    from scheduler.nomad.api import why_too_old

    if why := why_too_old(await api.version()):
        raise Problem(why)
