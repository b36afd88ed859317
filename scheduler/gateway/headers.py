"""Which headers of a request stay with the entry, and which go back with it.

Stored under their lower-case names: the user's own (`m-*`), what browsers and caches
want to be told, and the permissions of CORS. User metadata is limited in total, and what
would go beyond that is silently left out, because that is what clients have come to know.
"""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Mapping

from multidict import CIMultiDict

from scheduler.model.dates import rfc1123
from scheduler.model.errors import bad_request, invalid_durability_level
from scheduler.objects.entries import DEFAULT_COPIES, DEFAULT_TYPE, Entry

USER = re.compile(r"m-\w+")
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
TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # noqa: S105 (RFC 9110's word for it)
PARAMETER = rf';\s*({TOKEN})\s*=\s*({TOKEN}|"(?:[^"\\]|\\.)*")\s*'
DISPOSITION = re.compile(rf"\s*({TOKEN})\s*((?:{PARAMETER})*)\Z")


def stored(headers: Mapping[str, str], public: bool = False, directory: bool = False) -> dict[str, str]:
    """The headers of a request that are kept with the entry that it puts. Raises WireError.

    What is put below `public` may be read by pages of any origin, unless the request says otherwise.
    """
    kept = {name: headers[name] for name in STORED if name in headers}
    kept.update(user_metadata(headers))
    if not directory and "content-disposition" in headers:
        kept["content-disposition"] = disposition(headers["content-disposition"])
    if public and not directory:
        kept.setdefault("access-control-allow-origin", "*")
    return {name: value.encode("utf-8", "replace").decode() for name, value in kept.items()}


def user_metadata(headers: Mapping[str, str]) -> dict[str, str]:
    """The `m-*` headers, as long as their values' bytes stay below the limit."""
    kept: dict[str, str] = {}
    total = 0
    for name, value in headers.items():
        name = name.lower()
        if USER.match(name):
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
    """The type to store: a value without `/` is a file extension."""
    value = headers.get("Content-Type", "").strip()
    if value and "/" not in value:
        return mimetypes.guess_type(f"x.{value.lstrip('.')}")[0] or DEFAULT_TYPE
    return value or DEFAULT_TYPE


def copies(headers: Mapping[str, str]) -> int:
    """The durability level asked for. Raises WireError."""
    value = headers.get("durability-level") or headers.get("x-durability-level")
    if value is None:
        return DEFAULT_COPIES
    if not (value.isascii() and value.isdigit() and 1 <= int(value[:4]) <= MAX_COPIES):
        raise invalid_durability_level(MAX_COPIES)
    return int(value)


def of_entry(entry: Entry, method: str, origin: str | None) -> CIMultiDict[str]:
    """The headers that describe an entry in a reply to `method`, asked for by a page of `origin`."""
    headers = CIMultiDict(allowed_to_origin(entry.headers, method, origin))
    headers["Last-Modified"] = rfc1123(entry.mtime)
    if not entry.is_directory:
        headers["Etag"] = entry.etag or ""
        headers["Content-Type"] = entry.type or DEFAULT_TYPE
        headers["Durability-Level"] = str(entry.copies)
        headers["Content-MD5"] = entry.md5 or ""
        headers["Accept-Ranges"] = "bytes"
    return headers


def allowed_to_origin(kept: Mapping[str, str], method: str, origin: str | None) -> dict[str, str]:
    """Stored headers as a page of `origin` may see them: if it may not read, no CORS header at all."""
    if origin is None:
        return dict(kept)
    visible = {name: value for name, value in kept.items() if name not in CORS}
    if origin_matches(kept, origin) and method_allowed(kept, method):
        visible["access-control-allow-origin"] = origin
        if exposed := kept.get("access-control-expose-headers"):
            visible["access-control-expose-headers"] = exposed
    return visible


def origin_matches(kept: Mapping[str, str], origin: str) -> bool:
    return bool({"*", origin} & words(kept.get("access-control-allow-origin", "")))


def method_allowed(kept: Mapping[str, str], method: str) -> bool:
    allowed = kept.get("access-control-allow-methods")
    return allowed is None or method in words(allowed)


def preflight(kept: Mapping[str, str], headers: Mapping[str, str]) -> dict[str, str]:
    """The CORS headers that answer an OPTIONS request, none if the stored policy does not permit it."""
    origin = headers.get("Origin", "")
    method = headers.get("Access-Control-Request-Method", "")
    wanted = words(headers.get("Access-Control-Request-Headers", "").lower())
    if "access-control-allow-methods" not in kept or not (
        origin_matches(kept, origin) and method_allowed(kept, method)
    ):
        return {}
    allowed = kept.get("access-control-allow-headers", "").lower()
    if not all(name in allowed for name in wanted):
        return {}
    visible = {name: kept[name] for name in CORS if name in kept and name != "access-control-expose-headers"}
    visible["access-control-allow-origin"] = origin
    return visible


def words(comma_list: str) -> set[str]:
    return {word.strip() for word in comma_list.split(",") if word.strip()}


def acceptable(accept: str | None, content_type: str) -> bool:
    """Whether an `Accept` header takes a content type."""
    if not accept:
        return True
    main = content_type.split(";")[0].strip().lower()
    wildcard = main.split("/")[0] + "/*"
    for offer in accept.lower().split(","):
        kind, *parameters = [part.strip() for part in offer.split(";")]
        if kind in ("*", "*/*", main, wildcard) and not any(re.fullmatch(r"q=0(\.0*)?", p) for p in parameters):
            return True
    return False
