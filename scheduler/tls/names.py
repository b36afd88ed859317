"""The names and roles that a certificate speaks for.

Certificates of `remora cluster ca` name roles: `remora://agent/n1` speaks for the agent of node n1. A certificate of
another authority, without such URIs, speaks in every role for its DNS names and its common name.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from typing import Any, Protocol
from urllib.parse import quote

SCHEME = "remora://"
ROLES = ("agent", "supervisor", "gateway")
AGENT = "agent"
Certificate = Mapping[str, Any]  # as returned by `ssl.SSLObject.getpeercert`


class Transport(Protocol):
    """The part of a transport that this module needs."""

    def get_extra_info(self, name: str, default: Any = None) -> Any: ...


def uri(role: str, name: str) -> str:
    return f"{SCHEME}{role}/{quote(name, safe='')}"


def speaks_for(certificate: Certificate, role: str, name: str | None = None) -> bool:
    """Whether a certificate speaks for this name in this role; without a name, for any."""
    uris = [value for value in alternative(certificate, "URI") if value.startswith(SCHEME)]
    if not uris:
        return name is None or name in alternative(certificate, "DNS") or name in common_names(certificate)
    if name is None:
        return any(value.startswith(f"{SCHEME}{role}/") for value in uris)
    return uri(role, name) in uris


def alternative(certificate: Certificate, kind: str) -> list[str]:
    return [value for found, value in certificate.get("subjectAltName", ()) if found == kind]


def common_names(certificate: Certificate) -> Iterator[str]:
    return (value for part in certificate.get("subject", ()) for kind, value in part if kind == "commonName")


def comes_from(transport: Transport | None, role: str, name: str | None = None) -> bool:
    """Whether the peer of a connection speaks for this name. True where the context asks for no certificates.

    A resumed session is not trusted: its certificate was checked when it began, and may be revoked.
    """
    tls = None if transport is None else transport.get_extra_info("ssl_object")
    if tls is None or tls.context.verify_mode is ssl.CERT_NONE:
        return True
    assert transport is not None
    certificate = transport.get_extra_info("peercert")
    return bool(certificate) and not tls.session_reused and speaks_for(certificate, role, name)
