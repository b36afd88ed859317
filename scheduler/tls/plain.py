"""Plain HTTP: allowed to this machine, and elsewhere only if an operator says so."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit


def stays_here(host: str) -> bool:
    """Whether this is a loopback address.

    Any other name or address may be another machine, and so may the any-address.
    """
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def is_exposed(url: str) -> bool:
    """Whether another machine could read a request to this URL on its way."""
    parts = urlsplit(url)
    return parts.scheme == "http" and not stays_here(parts.hostname or "")


def refusal(option: str, where: str) -> str:
    """The sentence by which a process refuses to listen at an address with plain HTTP."""
    return (
        f"{option} {where} is reached from other machines, and plain HTTP shows them credentials and data: "
        "give --tls-cert and --tls-key, or say --plain if the network is yours alone"
    )
