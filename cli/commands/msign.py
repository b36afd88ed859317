"""msign: addresses with which one thing can be done for a while, without a key."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from cli.client.problem import Problem
from cli.completion import remote_path
from cli.frame import Command, operands, role_tag_option, settings
from cli.output import print_name
from scheduler.model import names

if TYPE_CHECKING:
    from cli.client.keys import Signer

METHODS = ("GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS")
RELATIVE = re.compile(r"([1-9][0-9]*)([smhdwy])", re.ASCII)
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400, "y": 365 * 86400}
DEFAULT_SECONDS = 3600


@click.command("msign", cls=Command)
@click.option("-e", "--expires", type=click.IntRange(min=1), metavar="EPOCH",
              help="When it ends to work, in seconds since 1970. [default: in an hour]")  # fmt: skip
@click.option("-E", "--expires-relative", "lasts", metavar="N[smhdwy]",
              help="For how long it works, as 90s, 10m, 12h, 1d, 2w or 1y.")  # fmt: skip
@click.option("-m", "--method", "methods", multiple=True, default=["GET"], metavar="METHOD",
              help="What it allows: GET, HEAD, PUT, POST, DELETE, OPTIONS. Repeatable. [default: GET]")  # fmt: skip
@click.option("--directory", is_flag=True, help="With -m PUT: it makes a directory.")
@click.option("--link", metavar="SOURCE", help="With -m PUT: it makes a link to the object SOURCE.")
@click.option("--metadata", is_flag=True, help="With -m PUT: it replaces the metadata, and not the contents.")
@click.option("-f", "--file", "key_file", metavar="KEY", type=click.Path(),
              help="Private key to sign with, instead of the one that --keyId means.")  # fmt: skip
@click.option("-g", "--algorithm", metavar="ALG", help="Algorithm to sign with, such as rsa-sha512.")
@role_tag_option
@click.argument("where", metavar="path...", nargs=-1, shell_complete=remote_path)
def command(
    where: Sequence[str],
    expires: int | None,
    lasts: str | None,
    methods: Sequence[str],
    directory: bool,
    link: str | None,
    metadata: bool,
    key_file: str | None,
    algorithm: str | None,
    role_tags: Sequence[str],
) -> None:
    """Print a signed address for each path. Who has it can do with the object what was signed, until it expires.

    Nothing is sent to the service: whether the object exists shows when the address is used. An address for PUT takes
    an object, and nothing else unless --directory, --link or --metadata says so. None creates jobs or tokens.

    \b
    Examples:
      curl "$(msign ~~/stor/lear.txt)"
      msign -E 1d ~~/stor/lear.txt
      curl -T notes "$(msign -m PUT -E 10m ~~/stor/inbox/notes)"
      curl -X PUT "$(msign -m PUT --link ~~/stor/lear.txt ~~/public/lear.txt)"

    Exit status: 0, or 1 if there is no key to sign with.
    """
    from cli.client import keys

    for method in methods:
        if method not in METHODS:
            raise click.UsageError(f"method invalid: {method}", click.get_current_context())
    if key_file:
        signer = keys.of_file(key_file)
        click.get_current_context().meta["common"]["key_id"] = signer.fingerprint
    wanted = settings()
    paths = operands(where, wanted.home)
    makes = what_it_makes(directory, operands([link], wanted.home)[0] if link else None, metadata)
    if not key_file:
        if not wanted.key_id:
            raise Problem("there is no key to sign with: MANTA_KEY_ID is not set")
        signer = keys.find(wanted.key_id, wanted.key_file)
    if algorithm:
        signer = signer.using(algorithm.lower())
    query = {"expires": str(deadline(expires, lasts)), "keyId": wanted.key_name(signer.fingerprint), **makes}
    if wanted.roles:
        query["role"] = ",".join(wanted.roles)
    if role_tags:
        query["role-tag"] = ",".join(role_tags)
    for path in paths:
        print_name(signed(wanted.url, path, methods, query, signer))


def what_it_makes(directory: bool, source: str | None, metadata: bool) -> dict[str, str]:
    """The parameters by which a PUT is none of an object. Raises `Problem`."""
    if [directory, source is not None, metadata].count(True) > 1:
        raise Problem("of --directory, --link and --metadata only one can be specified")
    if source is not None:
        return {"type": "link", "location": names.encode(source)}
    return {"type": "directory"} if directory else {"metadata": "true"} if metadata else {}


def deadline(expires: int | None, lasts: str | None) -> int:
    """When the address expires, in seconds since the epoch."""
    if lasts is None:
        return expires or int(time.time()) + DEFAULT_SECONDS
    if expires is not None:
        raise Problem("-e and -E cannot be specified together")
    match = RELATIVE.fullmatch(lasts)
    if match is None:
        raise Problem(f"invalid expires: {lasts}")
    return int(time.time()) + int(match[1]) * UNITS[match[2]]


def signed(url: str, path: str, methods: Sequence[str], query: Mapping[str, str], signer: Signer) -> str:
    """The address of `path` that carries its own proof."""
    from scheduler.model.credentials import httpsig

    listed = ",".join(sorted(set(methods)))
    pairs = {**query, "algorithm": signer.algorithm.upper()}
    if "," in listed:
        pairs["method"] = listed
    parts = urlsplit(url)
    target = parts.path + names.encode(path)
    text = httpsig.presigned_text(listed, parts.netloc, target, pairs.items())
    encoded = text.decode().rpartition("\n")[2]  # the query, as it is signed
    signature = httpsig.strict_quote(base64.b64encode(signer.sign(text)).decode())
    return f"{parts.scheme}://{parts.netloc}{target}?{encoded}&signature={signature}"
