"""Where the records are, as commands are told: `--database URL`, `--database-file FILE`, or the environment.

All users of a machine see the words of a command line (`ps`), and for as long as a service runs. So a URL with a
password is refused there; a file, the environment and libpq's own places (`~/.pgpass`, `PGPASSFILE`) keep it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import click
from click.core import ParameterSource

from cli.client.problem import Problem
from cli.frame import fail

F = TypeVar("F", bound=Callable[..., Any])
FILE = "database-file"
SEEN = (
    "--database: all users of this machine see the password of a command line: put the URL into a file and say "
    "--database-file FILE, or set REMORA_DATABASE, or leave the password to ~/.pgpass"
)


def database_options(text: str, keep: Callable[[click.Context, str | None], None] | None = None) -> list[click.Option]:
    """Both options; `text` is the help of `--database`. The value is the parameter `database`, or goes to `keep`."""

    def read(context: click.Context, _: click.Parameter, path: Path | None) -> None:
        try:
            context.meta[FILE] = url_in(path) if path is not None else None
        except Problem as problem:
            fail(context, problem)

    def choose(context: click.Context, _: click.Parameter, url: str | None) -> str | None:
        said = context.get_parameter_source("database") is ParameterSource.COMMANDLINE
        from_file: str | None = context.meta.get(FILE)
        if said and context.get_parameter_source("database_file") is ParameterSource.COMMANDLINE:
            fail(context, Problem("--database and --database-file say the same: give one of them"))
        if said and url is not None and has_password(url):
            fail(context, Problem(SEEN))
        chosen = url if said else from_file or url
        if keep is not None:
            keep(context, chosen)
        return chosen

    return [
        click.Option(
            ["--database"], metavar="URL", envvar="REMORA_DATABASE", help=text, callback=choose,
            expose_value=keep is None,
        ),
        click.Option(
            ["--database-file"], metavar="FILE", envvar="REMORA_DATABASE_FILE", type=click.Path(path_type=Path),
            is_eager=True, callback=read, expose_value=False,
            help="File with that URL, which others cannot read. [$REMORA_DATABASE_FILE]",
        ),
    ]  # fmt: skip


def with_database_options(text: str) -> Callable[[F], F]:
    """Decorates the function of a command with both options."""

    def decorate(function: F) -> F:
        function.__dict__.setdefault("__click_params__", []).extend(reversed(database_options(text)))
        return function

    return decorate


def url_in(path: Path) -> str:
    """The one line of a file. Raises Problem, without a word of it."""
    try:
        text = path.read_text().strip()
    except OSError as error:
        raise Problem(f"--database-file {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Problem(f"--database-file {path}: it is not text") from None
    if not text or len(text.splitlines()) > 1:
        raise Problem(f"--database-file {path}: one line with a URL is needed")
    return text


def has_password(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:  # it will be refused for that
        return False
    return bool(parts.password) or "password" in parse_qs(parts.query)
