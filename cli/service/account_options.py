"""What the commands about accounts and keys share."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cli.client.problem import Problem
from cli.client.settings import state_directory
from cli.frame import note
from cli.service.database import database_options
from cli.service.up import state_dir_option
from cli.text import count

if TYPE_CHECKING:
    from scheduler.objects.blobs import BlobStore
    from scheduler.records.database import Connection, Database

T = TypeVar("T")
STDIN = Path("-")


def json_option() -> click.Option:
    return click.Option(["--json", "as_json"], is_flag=True, help="One JSON object per line.")


def end_jobs_option() -> click.Option:
    return click.Option(["--end-jobs"], is_flag=True, help="Cancel the jobs as well; their tasks end within seconds.")


def tell_of_jobs(login: str, ended: int, left: int) -> None:
    """Say what became of jobs of an account, if it has any: how many were cancelled, how many go on."""
    if ended:
        note(f"cancelled {count(ended, 'job')} of {login}")
    if left:
        note(f"{count(left, 'job')} of {login} still running, see --end-jobs")


def with_state_dir(command: click.Command, *more: click.Parameter) -> click.Command:
    """`command` with the option that says where the service keeps its state, and `more` before it."""
    command.params[:0] = [*more, state_dir_option()]
    return command


def with_records(command: click.Command, *more: click.Parameter) -> click.Command:
    """The same, for what may as well be in the records of a cluster: see `records`."""

    def remember(context: click.Context, database: str | None) -> None:
        context.meta["database"] = database

    text = "Records of a cluster, postgresql://… [default: $REMORA_DATABASE, or those in the state directory]"
    command.params[:0] = [*more, state_dir_option(), *database_options(text, remember)]
    return command


def records(state_dir: Path | None) -> Path | str:
    """Where the records are: in the state directory that was named; else by --database; else where they are usually."""
    return state_dir or server() or state_directory(os.environ)


def server() -> str | None:
    """The URL that --database names, if it was said. Raises `Problem`."""
    database: str | None = click.get_current_context().meta.get("database")
    if database and not database.startswith(("postgresql://", "postgres://")):
        raise Problem("--database wants postgresql://USER@HOST/NAME")
    return database or None


def change(
    state_dir: Path | None,
    work: Callable[[Connection], T],
    event: str,
    details: Callable[[T], dict[str, object]] = lambda _: {},
    **fields: object,
) -> T:
    """Run `work` on the records in a transaction; it holds at once, and is in the audit log. Raises `Problem`.

    `event`, `fields` and what `details` makes of the result say there what was changed, without any secret.
    """
    from scheduler.service import administration

    with said_plainly():
        where = records(state_dir)
        result = administration.change(where, work)
    audited(where, event, fields | details(result))
    return result


def audited(where: Path | str, event: str, fields: dict[str, object]) -> None:
    """Append a change to the audit log: REMORA_AUDIT_LOG if it is set, or that of the state directory, if there is one.

    A service on this machine whose records are on a server has a state directory, too.
    """
    from scheduler import audit

    named = os.environ.get("REMORA_AUDIT_LOG")
    objects = own_objects()
    place = where if isinstance(where, Path) else objects.parent if objects is not None else None
    path = Path(named) if named else None if place is None else place / audit.FILE
    if path is None:
        return
    try:
        audit.append(path, event, {"by": operating_user(), **fields})
    except OSError as error:
        note(f"changed, but not written to the audit log {path}: {error.strerror}")


def operating_user() -> str:
    """The user of this machine who runs the command, as sudo knows it."""
    return os.environ.get("SUDO_USER") or f"uid {os.getuid()}"


def look(state_dir: Path | None, work: Callable[[Connection], T]) -> T:
    """Run `work` on the records, which changes nothing. Raises `Problem`."""
    from scheduler.service import administration

    with said_plainly():
        return administration.look(records(state_dir), work)


def with_store(command: click.Command, *more: click.Parameter) -> click.Command:
    """The same as `with_records`, for what reads the objects, too: the function gets `objects`."""
    directory = click.Option(
        ["--objects"], metavar="DIR", envvar="REMORA_OBJECTS", type=click.Path(path_type=Path),
        help="Directory of objects of a cluster. [$REMORA_OBJECTS; default: that in the state directory]",
    )  # fmt: skip
    return with_records(command, *more, directory)


def use_store(
    state_dir: Path | None, objects: Path | None, use: Callable[[Database, BlobStore], Coroutine[Any, Any, T]]
) -> T:
    """Run `use` on records and objects. Raises `Problem`."""
    from scheduler.service import administration

    with said_plainly():
        where = records(state_dir)
        if isinstance(where, Path):
            return administration.with_store(where, None, use)
        return administration.with_store(where, objects or own_objects(), use)


def own_objects() -> Path | None:
    """The objects of a service on this machine whose records are on a server; None if there is none here."""
    try:
        directory = state_directory(os.environ) / "blobs"
    except Problem:
        return None
    return directory if directory.is_dir() else None


def public_key(path: Path) -> str:
    """The one line of a public key file, `-` for stdin. Raises `Problem`."""
    from scheduler.service.first_account import checked_line, read_public

    with said_plainly():
        return checked_line(sys.stdin.buffer.read(), "stdin") if path == STDIN else read_public(path)


@contextmanager
def said_plainly() -> Iterator[None]:
    from scheduler.service.state import StateError

    try:
        yield
    except StateError as error:
        raise Problem(str(error)) from None
