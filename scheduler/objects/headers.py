"""Headers that are stored with an entry.

These are, under their lower-case names, the user's own (`m-*`), those for browsers and caches, and the permissions of
CORS. User metadata is limited in total, and what exceeds the limit is silently left out, as clients expect. A stored
header is sent again later, so only valid headers are stored.

All functions take header names in any case if the mapping ignores case, or in lower case.
"""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Mapping

from scheduler.model.errors import bad_request, invalid_durability_level
from scheduler.objects.entries import DEFAULT_COPIES, DEFAULT_TYPE

TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # noqa: S105 (RFC 9110's word for it)
USER = re.compile(rf"(?=m-\w){TOKEN}", re.IGNORECASE)
CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
CORS = (
    "access-control-allow-origin",
    "access-control-allow-methods",
    "access-control-allow-headers",
    "access-control-expose-headers",
    "access-control-max-age",
)
STORED = ("cache-control", "surrogate-key", *CORS)
MAX_USER_BYTES = 4096
MAX_COPIES = 6
PARAMETER = rf';\s*({TOKEN})\s*=\s*({TOKEN}|"(?:[^"\\]|\\.)*")\s*'
DISPOSITION = re.compile(rf"\s*({TOKEN})\s*((?:{PARAMETER})*)\Z")


def stored(headers: Mapping[str, str], public: bool = False, directory: bool = False) -> dict[str, str]:
    """The headers of a request that are stored with the entry that it puts. Raises WireError.

    Pages of any origin may read what is put below `public`, unless the request says otherwise.
    """
    if not headers:
        return {"access-control-allow-origin": "*"} if public and not directory else {}
    kept = {name: headers[name] for name in STORED if name in headers}
    kept.update(user_metadata(headers))
    if not directory and "content-disposition" in headers:
        kept["content-disposition"] = disposition(headers["content-disposition"])
    if public and not directory:
        kept.setdefault("access-control-allow-origin", "*")
    return {
        name: value.encode("utf-8", "replace").decode() for name, value in kept.items() if not CONTROL.search(value)
    }


def user_metadata(headers: Mapping[str, str]) -> dict[str, str]:
    """The `m-*` headers, as many as fit: the bytes of their values stay below the limit."""
    kept: dict[str, str] = {}
    total = 0
    for name, value in headers.items():
        name = name.lower()
        if USER.fullmatch(name):
            total += len(value.encode("utf-8", "replace"))
            if total < MAX_USER_BYTES:
                kept[name] = value
    return kept


def disposition(value: str) -> str:
    """A canonical `Content-Disposition`. Raises WireError."""
    match = DISPOSITION.match(value)
    if match is None:
        raise bad_request(f'Content-Disposition "{value}" is invalid')
    parameters = [f"; {name.lower()}={text}" for name, text in re.findall(PARAMETER, match[2])]
    return match[1].lower() + "".join(parameters)


def content_type(headers: Mapping[str, str]) -> str:
    """The content type to store: a value without `/` is a file extension."""
    value = headers.get("content-type", "").strip()
    if value and "/" not in value:
        return mimetypes.guess_type(f"x.{value.lstrip('.')}")[0] or DEFAULT_TYPE
    return DEFAULT_TYPE if CONTROL.search(value) else value or DEFAULT_TYPE


def requested_kind(headers: Mapping[str, str]) -> str:
    """The `type` parameter of an `application/json` media type, in lower case, or an empty string."""
    main, *parameters = [part.strip().lower() for part in headers.get("content-type", "").split(";")]
    if main != "application/json":
        return ""
    found = [text.removeprefix("type=").strip('"') for text in parameters if text.startswith("type=")]
    return found[0] if found else ""


def copies(headers: Mapping[str, str]) -> int:
    """The requested durability level. Raises WireError."""
    value = headers.get("durability-level") or headers.get("x-durability-level")
    if value is None:
        return DEFAULT_COPIES
    if not (value.isascii() and value.isdigit() and len(value) <= 4 and 1 <= int(value) <= MAX_COPIES):
        raise invalid_durability_level(MAX_COPIES)
    return int(value)
