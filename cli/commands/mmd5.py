"""mmd5: checksums of objects, without fetching them."""

from __future__ import annotations

import binascii
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from cli import text
from cli.client.problem import Problem
from cli.completion import remote_path
from cli.frame import Command, note, session
from cli.operands import Failures, named
from cli.output import print_name
from scheduler.model import names

if TYPE_CHECKING:
    from cli.client.session import Session

PARALLEL = 10


@click.command("mmd5", cls=Command)
@click.option("-j", "--json", "as_json", is_flag=True, help="One JSON object per path: path, md5.")
@click.argument("where", metavar="path...", nargs=-1, shell_complete=remote_path)
def command(where: Sequence[str], as_json: bool) -> None:
    """Print the MD5 of objects as the service keeps it, one per line, as md5sum does.

    \b
    Examples:
      mmd5 ~~/stor/lear.txt
      cd copy && mmd5 ~~/stor/a ~~/stor/b | sed 's:/jill/stor/::' | md5sum -c

    Exit status: 0, or 1 if a path is no object; the others are still printed.
    """
    failures = Failures()
    with session() as client:
        for path, digest in digests(client, list(named(client, where, failures))):
            if isinstance(digest, Problem):
                failures.any = True
                note(f"mmd5: {names.as_line(path)}: {digest.message}")
            else:
                if as_json:
                    print(text.compact({"path": path, "md5": digest}))
                else:
                    print_name(f"{digest}  {path}")
    failures.end()


def digests(client: Session, wanted: Sequence[str]) -> list[tuple[str, str | Problem]]:
    """The MD5 of each path in hex, or what is wrong with it, in the order that was given."""

    def ask(path: str) -> tuple[str, str | Problem]:
        try:
            return path, digest_of(client, path)
        except Problem as problem:
            return path, problem

    if len(wanted) == 1:
        return [ask(wanted[0])]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(PARALLEL) as pool:
        return list(pool.map(ask, wanted))


def digest_of(client: Session, path: str) -> str:
    """The MD5 of one object in hex. Raises `Problem`."""
    from cli.client import objects

    found = objects.info(client, path)
    if found.is_directory:
        raise Problem(f"{path} is a directory")
    try:
        return binascii.a2b_base64(found.headers["content-md5"]).hex()
    except (KeyError, binascii.Error):
        raise Problem("missing MD5") from None
