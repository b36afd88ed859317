"""Names as people write them: `~~/stor/a` is `/<account>/stor/a`."""

from __future__ import annotations

import posixpath

from cli.client.problem import Problem
from scheduler.model import names

JOB_STOR_DEPTH = 4  # /login/jobs/ID/stor


def expand(text: str, home: str) -> str:
    """The normal form of a path: `~~` replaced, `.`, `..` and `//` resolved, no slash at the end.

    What is neither `/…` nor `~~…` comes back as it is: see `is_full`.
    """
    if text == "~~" or text.startswith("~~/"):
        text = f"/{home}{text[2:]}"
    if not text.startswith("/"):
        return text
    return "/" + posixpath.normpath(text).lstrip("/")


def valid(text: str, home: str) -> str:
    """The expanded path of a text, as `expand`. Raises `Problem` for `/`, which belongs to no account."""
    path = expand(text, home)
    if path == "/":
        raise Problem(f"{text} is not a valid Manta path", "InvalidPathError")
    return path


def is_full(text: str) -> bool:
    """Whether a command-line operand names a path of the service."""
    return text.startswith(("/", "~~/")) or text == "~~"


def is_remote(text: str) -> bool:
    """Whether an operand that may also be a file of this machine is a path of the service: `/login/stor…`, `~~…`."""
    top = text.split("/")[2:3] if text.startswith("/") else []
    return text == "~~" or text.startswith("~~/") or (bool(top) and top[0] in names.TOP_LEVEL)


def parents(path: str) -> list[str]:
    """The directories above `path` that may have to be made, outermost first.

    Roots always exist, and a job's own directories are made with the job: `/j/stor/a/b` gives `["/j/stor/a"]`,
    `/j/jobs/ID/stor/a/b` gives `["/j/jobs/ID/stor/a"]`.
    """
    return [
        above for above in names.ancestors(path) if names.top(path) != "jobs" or names.depth(above) > JOB_STOR_DEPTH
    ]
