"""mls: list directories."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import dropwhile
from typing import TYPE_CHECKING, Any

import click

from cli import text
from cli.completion import remote_path
from cli.frame import Command, session
from cli.operands import each
from scheduler.model import dates, names

if TYPE_CHECKING:
    from cli.client.objects import Info
    from cli.client.session import Session


@click.command("mls", cls=Command, context_settings={"help_option_names": ["--help"]})
@click.option("-l", "--long", "long", is_flag=True, help="Long format: type, owner, size, time, name.")
@click.option("-h", "--human-readable", "human", is_flag=True, help="With -l: sizes like 1.5K, 20M, 3G.")
@click.option("-j", "--json", "as_json", is_flag=True, help="One JSON object per line.")
@click.option("--fulljson", is_flag=True, help="As -j, with all response headers if the path is an object.")
@click.option("-m", "--marker", metavar="NAME", default="", help="Start at NAME (with -t: at this ISO date).")
@click.option("-r", "--reverse", is_flag=True, help="Reverse the order.")
@click.option("-t", "--time", "by_time", is_flag=True, help="Newest first.")
@click.option("--type", "kind", type=click.Choice(["d", "o"]), help="Directories only, or objects only.")
@click.argument("where", metavar="[path...]", nargs=-1, shell_complete=remote_path)
def command(where: Sequence[str], **options: Any) -> None:
    """List directories, one name per line; directories end in a slash.

    Without a path, lists ~~/stor. A path that does not begin with / or ~~ is taken below ~~/stor. A path may be a
    pattern in quotes: * ? and [...] match within a name, ** any number of directories. An object is listed by its own
    name. Names are escaped as in JSON, so that a line is always one name.

    \b
    Examples:
      mls                         what is in ~~/stor
      mls -l ~~/stor/logs         with sizes and times
      mls -t ~~/jobs | head -3    the three newest jobs
      mls '~~/stor/logs/*.gz'     what matches
      mls -j ~~/stor | jq .size   sizes (null: directory)

    Exit status: 0, or 1 if a path does not exist or may not be listed; the others are.
    """
    with session() as client:

        def show(path: str) -> None:
            for line in listing(client, path, **options):
                print(line)

        each(client, where or ("~~/stor",), show)


def listing(
    client: Session, path: str, *, fulljson: bool, as_json: bool, long: bool, human: bool, **order: Any
) -> Iterator[str]:
    """The lines for one path."""
    from cli.client import objects

    found = objects.info(client, path)
    directory = found.is_directory
    entries = in_order(client, path, **order) if directory else [object_entry(found)]
    parent = path if directory else names.split(path)[0]
    now = int(time.time() * 1000)
    for entry in entries:
        if as_json or fulljson:
            record = entry if directory else described(found, with_headers=fulljson)
            yield text.compact({**record, "parent": parent})
        elif long:
            yield long_line(entry, names.owner(path), now, human=human)
        else:
            yield text.escape(entry["name"]) + ("/" if entry["type"] == "directory" else "")


def in_order(
    client: Session, path: str, *, marker: str, reverse: bool, by_time: bool, kind: str | None
) -> Iterable[Any]:
    """A directory's entries as asked for.

    By time they are sorted here: pages by time cannot be joined, since many entries may share a millisecond.
    """
    from cli.client import objects

    if not by_time:
        return objects.entries(client, path, marker=marker, reverse=reverse, kind=kind)
    entries = sorted(
        objects.entries(client, path, kind=kind), key=lambda entry: str(entry["mtime"]), reverse=not reverse
    )
    if not marker:
        return entries
    return dropwhile(lambda e: e["mtime"] < marker if reverse else e["mtime"] > marker, entries)


def described(found: Info, *, with_headers: bool) -> dict[str, Any]:
    """An object as JSON: what Manta's client makes of a HEAD, which is not what a listing says."""
    import mimetypes

    content_type = found.headers.get("content-type", "")
    record = {
        "name": names.split(found.path)[1],
        "extension": (mimetypes.guess_extension(content_type.partition(";")[0]) or "")[1:] or None,
        "type": content_type or None,
        "etag": found.headers.get("etag"),
        "md5": found.headers.get("content-md5"),
        "size": size_of(found),
        "headers": found.headers if with_headers else None,
        "durability": found.headers.get("durability-level"),
        "mtime": found.headers.get("last-modified"),
    }
    return {key: value for key, value in record.items() if value is not None}


def size_of(found: Info) -> int:
    return int(found.headers.get("content-length", 0))


def object_entry(found: Info) -> dict[str, Any]:
    """What HEAD says of an object, in the words of a listing."""
    name = names.split(found.path)[1]
    modified = dates.parse_rfc1123(found.headers.get("last-modified", ""))
    entry = {
        "name": name,
        "extension": name.rpartition(".")[2] if "." in name else "",
        "type": "object",
        "contentType": found.headers.get("content-type"),
        "etag": found.headers.get("etag"),
        "md5": found.headers.get("content-md5"),
        "size": size_of(found),
        "durability": int(found.headers.get("durability-level", 0)) or None,
        "mtime": dates.iso(modified) if modified is not None else None,
    }
    return {key: value for key, value in entry.items() if value is not None}


def long_line(entry: dict[str, Any], owner: str, now: int, *, human: bool) -> str:
    """`-rwxr-xr-x 1 jill            44 Sep 11  2012 a b.txt`"""
    size = int(entry.get("size", 0))
    shown = text.human_size(size) if human else str(size)
    kind = "d" if entry["type"] == "directory" else "-"
    date = text.short_date(entry.get("mtime", ""), now)
    return f"{kind}rwxr-xr-x 1 {owner} {shown:>13} {date} {text.escape(entry['name'])}"
