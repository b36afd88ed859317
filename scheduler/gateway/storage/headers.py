"""The headers of a reply that describe an entry, and those that CORS lets a page see."""

from __future__ import annotations

import re
from collections.abc import Mapping

from multidict import CIMultiDict

from scheduler.model.dates import rfc1123
from scheduler.objects.entries import DEFAULT_TYPE, Entry
from scheduler.objects.headers import CORS


def of_entry(entry: Entry, method: str, origin: str | None) -> CIMultiDict[str]:
    """The headers that describe an entry in the reply to `method`, requested by a page of `origin`."""
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
    """The stored headers that a page of `origin` may see: if it may not read, no CORS header at all."""
    if origin is None:
        return dict(kept)
    return {name: value for name, value in kept.items() if name not in CORS} | cors(kept, method, origin)


def cors(kept: Mapping[str, str], method: str, origin: str) -> dict[str, str]:
    """The CORS headers of a reply to a page of `origin`, none if the stored policy does not let it read."""
    if not (origin_matches(kept, origin) and method_allowed(kept, method)):
        return {}
    exposed = kept.get("access-control-expose-headers")
    return {"access-control-allow-origin": origin} | ({"access-control-expose-headers": exposed} if exposed else {})


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
    """Whether an `Accept` header accepts a content type."""
    if not accept:
        return True
    main = content_type.split(";")[0].strip().lower()
    wildcard = main.split("/")[0] + "/*"
    for offer in accept.lower().split(","):
        kind, *parameters = [part.strip() for part in offer.split(";")]
        if kind in ("*", "*/*", main, wildcard) and not any(re.fullmatch(r"q=0(\.0*)?", p) for p in parameters):
            return True
    return False
