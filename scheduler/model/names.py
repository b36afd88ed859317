"""Names of objects: absolute paths, split at slashes, in any UTF-8.

A path is `/<login>/<top>/<name…>`. Inside the service a path is always *normal*:
decoded, one slash between segments, none at the end, no `.` or `..`. Paths enter in two ways.
A request path is percent-decoded once, and refused if it does not decode
or holds a NUL or a `.`/`..` segment: clients normalise before they encode, so such
a path is an attack or a mistake. A job's input line is raw text and is normalised.
"""

from __future__ import annotations

import posixpath
import re
from urllib.parse import quote, unquote_to_bytes

from scheduler.model.errors import invalid_resource

LOGIN = re.compile(r"[A-Za-z][A-Za-z0-9_\-.@%]*\Z")
TOP_LEVEL = ("jobs", "public", "reports", "stor")
# A slash before each segment; no segment is empty, `.` or `..`, or holds a NUL.
NORMAL = r"(?:/(?:[^/\x00.][^/\x00]*|\.[^/\x00.][^/\x00]*|\.\.[^/\x00]+))+"
_NORMAL = re.compile(NORMAL)
# A longer path cannot be a file name in an instance, and no client makes one.
MAX_PATH_BYTES = 4096
# Each directory above an object is a record of its own.
MAX_DEPTH = 256


def from_request(raw_path: str) -> str:
    """The normal path of a percent-encoded request path (without its query).

    Raises `WireError` InvalidResource for undecodable segments, NUL, `.`, `..`, more than `MAX_PATH_BYTES` or
    `MAX_DEPTH` segments.
    """
    if len(raw_path) > 3 * MAX_PATH_BYTES or not raw_path.startswith("/"):
        raise invalid_resource(raw_path)
    try:
        segments = [unquote_to_bytes(segment).decode("utf-8") for segment in raw_path.split("/") if segment]
    except UnicodeDecodeError:
        raise invalid_resource(raw_path) from None
    if len(segments) > MAX_DEPTH or any(bad_segment(segment) for segment in segments):
        raise invalid_resource(raw_path)
    path = "/" + "/".join(segments)
    if not fits(path):
        raise invalid_resource(raw_path)
    return path


def fits(path: str) -> bool:
    """Whether a path is text and short enough, in bytes and in segments."""
    try:
        return len(path.encode()) <= MAX_PATH_BYTES and depth(path) <= MAX_DEPTH
    except UnicodeEncodeError:
        return False


def bad_segment(segment: str) -> bool:
    return segment in (".", "..") or "\0" in segment or "/" in segment


def is_normal(path: str) -> bool:
    """Whether a text is a normal path (see the module), of any length."""
    return _NORMAL.fullmatch(path) is not None


def from_input_line(line: str) -> str:
    """The normal path of a raw line of job input. A relative line stays relative, and so names no object."""
    return posixpath.normpath(line).replace("//", "/", 1) if line.startswith("/") else line


def as_line(path: str) -> str:
    """A path as a line of a list: line breaks become `\\n` and `\\r`, so that one name cannot look like two."""
    return path.replace("\n", "\\n").replace("\r", "\\r")


def split(path: str) -> tuple[str, str]:
    """`(directory, base name)` of a normal path: `/jill/stor/a` is `("/jill/stor", "a")`."""
    directory, _, name = path.rpartition("/")
    return directory or "/", name


def owner(path: str) -> str:
    """The first segment: the login of the account that owns the path."""
    return path.split("/", 2)[1] if path.startswith("/") else ""


def top(path: str) -> str:
    """The second segment (`stor`, `public`, …), or an empty string."""
    parts = path.split("/", 3)
    return parts[2] if len(parts) > 2 else ""


def depth(path: str) -> int:
    """The number of segments: 1 for `/jill`, 2 for `/jill/stor`, 3 for an entry of it."""
    return path.count("/") if path != "/" else 0


def is_root(path: str) -> bool:
    """Whether a path is `/login` or `/login/<top>`: directories that always exist and cannot be put or deleted."""
    segments = depth(path)
    return segments < 2 or (segments == 2 and top(path) in TOP_LEVEL)


def ancestors(path: str) -> list[str]:
    """The directories above a path that may have to be created, outermost first, without roots.

    `/jill/stor/a/b/c` gives `["/jill/stor/a", "/jill/stor/a/b"]`.
    """
    parts = path.split("/")
    return ["/".join(parts[:end]) for end in range(4, len(parts))]


def encode(path: str) -> str:
    """Percent-encode a path segment by segment, as `Location` headers and clients do."""
    return quote(path, safe="/!'()*~")


__all__ = [
    "LOGIN",
    "MAX_DEPTH",
    "MAX_PATH_BYTES",
    "NORMAL",
    "TOP_LEVEL",
    "ancestors",
    "as_line",
    "depth",
    "encode",
    "fits",
    "from_input_line",
    "from_request",
    "is_normal",
    "is_root",
    "owner",
    "split",
    "top",
]
