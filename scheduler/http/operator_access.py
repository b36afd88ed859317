"""Who may read what concerns all accounts: metrics, and the reasons why a process is unhealthy.

The operator is the caller who sends the metrics token, `Authorization: Bearer TOKEN`; or, where no token was set, a
caller who connects from this machine itself and not through a proxy on it.
"""

from __future__ import annotations

import hmac
import ipaddress

from aiohttp import web

FORWARDED = ("Forwarded", "Via", "X-Forwarded-For", "X-Real-IP")
METRICS_TYPE = "text/plain; version=0.0.4"


def is_operator(request: web.BaseRequest, token: str | None) -> bool:
    """Whether the caller may see data about all accounts. `token`: the one that was set, if one was."""
    if token is not None:
        sent = request.headers.get("Authorization", "").encode("utf-8", "replace")
        return hmac.compare_digest(sent, f"Bearer {token}".encode())
    return is_local(request) and not any(name in request.headers for name in FORWARDED)


def is_local(request: web.BaseRequest) -> bool:
    """Whether the peer of the connection is on this machine: at an address of ours, or at a loopback address."""
    ends = [request.transport.get_extra_info(name) for name in ("peername", "sockname")] if request.transport else []
    if not ends or not all(isinstance(end, tuple) for end in ends):
        return False
    peer, own = (ipaddress.ip_address(end[0].partition("%")[0]) for end in ends)
    mapped = peer.ipv4_mapped if isinstance(peer, ipaddress.IPv6Address) else None
    return peer == own or (mapped or peer).is_loopback
