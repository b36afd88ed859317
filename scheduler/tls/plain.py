"""Where plain HTTP may go: to this machine, and elsewhere only if an operator says so."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit


def stays_here(host: str) -> bool:
    """Is this a loopback address? Every other name or address, and every-address too, may be another machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def is_exposed(url: str) -> bool:
    """Would a request to this URL, with all that it carries, be read on its way?"""
    parts = urlsplit(url)
    return parts.scheme == "http" and not stays_here(parts.hostname or "")


def refusal(option: str, where: str) -> str:
    """Why a process does not listen there."""
    return (
        f"{option} {where} is reached from other machines, and plain HTTP shows them credentials and data: "
        "give --tls-cert and --tls-key, or say --plain if the network is yours alone"
    )
